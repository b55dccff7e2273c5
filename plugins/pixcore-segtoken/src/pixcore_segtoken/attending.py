"""Read a segmenting model's attention while its language model is driven from embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_transformers.batch import Batch
from pixcore_transformers.reading import Maps, Reader
from pixcore_transformers.tap import PREFIX, install
from torch import Tensor
from transformers import LlamaForCausalLM

from pixcore.components import AttentionExtractor
from pixcore.errors import ModelError, NotFiniteError
from pixcore.geometry import VisualLayout


@dataclass(frozen=True)
class Shown:
    """A prompt as the language model gets it.

    Attributes:
        embedded: (L, D).
        start: Where its visual tokens begin; they follow each other.
        layout: Where they lie in the image.
        beside: What its system segments the image with, if it does.
        positions: (axes, L), where they are not counted along the prompt.
    """

    embedded: Tensor
    start: int
    layout: VisualLayout
    beside: Any = None
    positions: Tensor | None = None

    @property
    def visual(self) -> NDArray[np.bool_]:
        """Which of its places are visual tokens, (L,)."""
        marked = np.zeros(len(self.embedded), np.bool_)
        marked[self.start : self.start + self.layout.tokens] = True
        return marked


def reader_of(language: LlamaForCausalLM, extractor: AttentionExtractor[Any]) -> Reader:
    """Make what shows an extractor the rows of a language model, which is tapped for good.

    Raises:
        ModelError: It wants gradients or hidden states, which are read while a text is replayed.
    """
    kernel = language.config._attn_implementation or "eager"
    if not kernel.startswith(PREFIX):
        install(language, kernel)
    reader = Reader(language, extractor, own_row=extractor.needs.query == "emitted")
    if not reader.live:
        message = f"{type(extractor).__name__} needs gradients or hidden states, which this model does not show"
        raise ModelError(message, hint="an extractor of attention rows, such as mean, can be read")
    return reader


def read(
    reader: Reader, shown: Sequence[Shown], write: Callable[[], Sequence[Sequence[int]]], *, first: int | None = None
) -> list[Maps]:
    """Read the maps of what is written while the tap is open.

    Args:
        reader: Of the language model that writes.
        shown: The prompts.
        write: Generates from them, padded on the left; gives each sample's tokens.
        first: Which row of the prompts is read, from their end; None: as the extractor needs it.

    Raises:
        NotFiniteError: The maps are no numbers.
    """
    longest = max(len(one.embedded) for one in shown)
    places = {"input_ids": torch.zeros((len(shown), longest), dtype=torch.long, device=shown[0].embedded.device)}
    batch = Batch.build(places, [one.layout for one in shown], [one.visual for one in shown])
    maps = reader.during(batch, write, first=first)
    if not all(np.isfinite(own).all() for own in maps):
        raise NotFiniteError("the attention maps", str(shown[0].embedded.dtype).removeprefix("torch."))
    return maps
