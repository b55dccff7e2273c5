"""The model adapter: the small LLaVA behind pixcore's adapter for models of transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from PIL.Image import Image as PILImage
from PIL.Image import Resampling
from pixcore_transformers.adapter import Adapter
from pixcore_transformers.families import Processed
from pixcore_transformers.loading import Loaded, check_size, model_arguments, prepare_model, read_weights
from transformers import LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from pixcore.components import AttentionExtractor
from pixcore.errors import ModelError, first_line
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.notices import notice
from pixcore.records import Request, Response
from pixcore_mini.config import MiniConfig
from pixcore_mini.drawn import Drawn, features_of
from pixcore_mini.network import IMAGE_SIZE, pixels
from pixcore_mini.tokenizer import GRID, Encoder

ConfigT = TypeVar("ConfigT", bound=MiniConfig)

NOTICE = "mini knows drawn scenes only, and this picture looks like none: what it says of it means nothing"


class Mini(Adapter[ConfigT], Generic[ConfigT]):
    """Answers in the words of mini-world; any other word is unknown to it.

    An image of any size and shape is stretched to the network's 112 pixels squared. Weights are float32 in memory
    unless the config says otherwise, so that an answer does not depend on the batch it is in.
    """

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Answer a batch; where its tower sees no drawn scene, a notice says so, once and in the answer's `extra`."""
        return self._noticing(requests, lambda: super(Mini, self).answer(requests, extractor))

    def replay(
        self, requests: Sequence[Request], texts: Sequence[str], extractor: AttentionExtractor[Any]
    ) -> list[Response]:
        """Give the maps of text from elsewhere, with the same notice."""
        return self._noticing(requests, lambda: super(Mini, self).replay(requests, texts, extractor))

    def _noticing(self, requests: Sequence[Request], respond: Callable[[], list[Response]]) -> list[Response]:
        if self._drawn is None or not requests:
            return respond()
        with self._looking(self._drawn, requests):
            responses = respond()
        odd = [self._strange[request.image.digest] for request in requests]
        if any(odd):
            notice(NOTICE)
        return [
            replace(response, extra={**response.extra, "notice": NOTICE}) if strange else response
            for response, strange in zip(responses, odd, strict=True)
        ]

    @cached_property
    def _drawn(self) -> Drawn | None:
        """Where drawn scenes lie, if the training has measured it."""
        return Drawn.read(self.config.folder)

    @cached_property
    def _strange(self) -> dict[str, bool]:
        """Of each image that the tower saw whether it is no drawn scene."""
        return {}

    @contextmanager
    def _looking(self, drawn: Drawn, requests: Sequence[Request]) -> Iterator[None]:
        """While open, note of each image that the vision tower looks at whether it is no drawn scene."""
        together = [each.image.digest for each in requests]  # where nothing is shared, a batch's images at once

        def note(states: torch.Tensor) -> None:  # (images, 1 + patches, width)
            looking = None if self.seen is None else self.seen.looking
            images = together if looking is None else [looking]
            if len(images) != len(states):
                return  # gradients and references look again at some that were looked at
            for digest, state in zip(images, states, strict=True):
                if digest not in self._strange:
                    self._strange[digest] = bool(drawn.distance(features_of(state[None]))[0] > drawn.limit)

        tower = self.loaded.model.model.vision_tower
        handle = tower.register_forward_hook(lambda module, given, output: note(output.last_hidden_state))
        try:
            yield
        finally:
            handle.remove()

    def load(self) -> Loaded:
        """Read the weights and the tokenizer; nothing is downloaded.

        Raises:
            ModelError: The folder does not hold what the training wrote.
        """
        folder = self.config.folder
        dtype = torch.float32 if self.config.dtype == "auto" else getattr(torch, self.config.dtype)
        try:
            stored = LlavaConfig.from_json_file(folder / "config.json")
            check_size(LlavaForConditionalGeneration, stored, self.config)
            arguments = model_arguments(self.config, stored) | {"dtype": dtype}
            model = read_weights(LlavaForConditionalGeneration, folder, self.config, arguments)
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"can't load mini from {folder}: {first_line(error)}",
                hint="checkpoint: shipped, further, or the folder OUT/model that `python -m pixcore_mini.train` wrote",
            ) from error
        return Loaded(prepare_model(model, self.config), tokenizer, None)

    def encode(self, images: Sequence[PILImage], prompts: Sequence[str]) -> dict[str, Any]:
        """Prepare a batch: prompts padded on the left, images as the network takes them."""
        encoder = Encoder(self.loaded.tokenizer)
        rows = [encoder.full_prompt(prompt) for prompt in prompts]
        length = max(map(len, rows))
        stretched = [
            np.asarray(image.resize((IMAGE_SIZE, IMAGE_SIZE), Resampling.BICUBIC), np.uint8) for image in images
        ]
        return {
            "input_ids": torch.tensor([[encoder.pad] * (length - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows]),
            "pixel_values": pixels(torch.from_numpy(np.stack(stretched))),
        }

    def layout_of(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image."""
        return VisualLayout.single(VisualGrid.stretched(GRID, GRID, processed.size))
