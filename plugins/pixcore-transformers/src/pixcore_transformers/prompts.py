"""What requests of one image share: its tower's work, and the keys and values of all that stands before its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from pixcore.geometry import VisualLayout
from pixcore_transformers.tap import PREFIX, keys_alone

Tensor = torch.Tensor
_KERNELS = frozenset({f"{PREFIX}sdpa", f"{PREFIX}eager"})  # that take a mask of any form
_TAKEN = frozenset({"input_ids", "attention_mask", "position_ids", "past_key_values", "logits_to_keep"})
_OF_TEXT = frozenset({"input_ids", "attention_mask"})
_LEAST = 2  # tokens after the image: the row of the last but one may be asked for


def can_share(model: PreTrainedModel) -> bool:
    """Tell whether a model's keys and values of an image can serve several texts after it.

    Its decoder's layers must all look back at everything, by positions that are counted along the text: no window that
    moves on, no state that is overwritten, no rows and columns (Qwen-VL); and its kernel must take any mask.
    """
    text = model.config.get_text_config(decoder=True)
    rotary = getattr(text, "rope_parameters", None) or {}
    return (
        signature(model.forward).parameters.keys() >= _TAKEN
        and text._attn_implementation in _KERNELS
        and all(type(layer) is DynamicLayer for layer in DynamicCache(config=text).layers)
        and "mrope_section" not in rotary
        and not hasattr(getattr(model, "model", None), "rope_deltas")
    )


@dataclass(frozen=True, eq=False)
class Prompt:
    """One request in two parts: what ends with its image, and the text after it.

    Attributes:
        image: Names the first part: the image's digest, and the tokens up to the last one that it decides.
        inputs: Of the first part, as the processor left them: a batch of one.
        ids: All its tokens.
        before: How many of them the first part has.
        columns: (cells,) int64, where the visual tokens lie.
        layout: Of the visual tokens.
    """

    image: tuple[str, bytes]
    inputs: Mapping[str, Any]
    ids: tuple[int, ...]
    before: int
    columns: Tensor
    layout: VisualLayout

    @classmethod
    def split(
        cls,
        image: str,
        inputs: Mapping[str, Any],
        visual: NDArray[np.bool_],
        decided: NDArray[np.bool_],
        layout: VisualLayout,
        device: torch.device,
    ) -> Prompt | None:
        """Split a request behind the last token that its image decides.

        Args:
            image: The image's digest.
            inputs: Of this request alone.
            visual: (length,), which of its tokens are visual.
            decided: (length,), which of them the image decides.
            layout: Of the visual tokens.
            device: Where the model takes its tokens.

        Returns:
            None where more than tokens goes along the prompt, or no text follows.
        """
        ids = inputs["input_ids"]
        before = int(np.flatnonzero(decided)[-1]) + 1
        along = {name for name, value in inputs.items() if getattr(value, "shape", ())[:2] == ids.shape}
        if along != _OF_TEXT or not inputs["attention_mask"].all() or ids.shape[1] < before + _LEAST:
            return None
        shown = dict(inputs) | {name: inputs[name][:, :before] for name in _OF_TEXT}
        columns = torch.from_numpy(np.flatnonzero(visual)).to(device)
        key = (image, np.asarray(ids[0, :before]).tobytes())
        return cls(key, shown, tuple(ids[0].tolist()), before, columns, layout)

    @property
    def text(self) -> tuple[int, ...]:
        """The tokens after the image."""
        return self.ids[self.before :]


@dataclass(frozen=True)
class Prompts:
    """Requests whose images' parts are computed once.

    Attributes:
        each: One a request.
        seen: Of each image's part the keys and values of every layer, (heads, tokens, width) each.
        at_once: How many are answered together.
    """

    each: Sequence[Prompt]
    seen: Mapping[tuple[str, bytes], Sequence[tuple[Tensor, Tensor]]]
    at_once: int

    @property
    def layouts(self) -> tuple[VisualLayout, ...]:
        """Each request's visual layout."""
        return tuple(prompt.layout for prompt in self.each)

    @property
    def cells(self) -> int:
        """Number of visual tokens, the most of any request."""
        return max(prompt.layout.tokens for prompt in self.each)


class Seen:
    """The keys and values of the images that the last requests were about.

    Args:
        model: Whose.
        moved: Puts a processor's output where the model takes it.

    Attributes:
        looking: The digest of the image that is looked at just now; None at all other times.
    """

    def __init__(self, model: PreTrainedModel, moved: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self.model, self._moved = model, moved
        self.looking: str | None = None
        self._kept: dict[tuple[str, bytes], list[tuple[Tensor, Tensor]]] = {}

    def of(self, prompts: Sequence[Prompt]) -> dict[tuple[str, bytes], list[tuple[Tensor, Tensor]]]:
        """Give what the images of these requests left, computed where it is not there; all others are forgotten."""
        wanted = {prompt.image: prompt for prompt in prompts}
        self._kept = {image: kept for image, kept in self._kept.items() if image in wanted}
        for image, prompt in wanted.items():
            if image not in self._kept:
                self.looking = image[0]
                try:
                    self._kept[image] = self._look(prompt)
                finally:
                    self.looking = None
        return self._kept

    def _look(self, prompt: Prompt) -> list[tuple[Tensor, Tensor]]:
        # each alone, so that no neighbour changes anything
        cache = DynamicCache(config=self.model.config.get_text_config(decoder=True))
        with torch.no_grad(), keys_alone(self.model):
            self.model(**self._moved(prompt.inputs), past_key_values=cache, use_cache=True)
        return [(layer.keys[0], layer.values[0]) for layer in cache.layers]
