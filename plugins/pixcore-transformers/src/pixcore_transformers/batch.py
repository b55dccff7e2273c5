"""A batch of requests as the model takes it: prompts padded on the left, each one's visual tokens known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pixcore.errors import ModelError
from pixcore.geometry import VisualLayout
from pixcore_transformers.tap import Watch

Tensor = torch.Tensor
_ALONG_SEQUENCE = ("token_type_ids", "mm_token_type_ids", "moe_mm_token_type_ids")


@dataclass(frozen=True)
class Batch:
    """A batch of prompts as the model gets it.

    Attributes:
        inputs: Of `generate`, on the model's device.
        layouts: Each sample's visual layout.
        columns: (batch, cells) int64, where its visual tokens lie in the padded sequence.
        valid: (batch, cells), False where a sample has fewer.
    """

    inputs: Mapping[str, Tensor]
    layouts: tuple[VisualLayout, ...]
    columns: Tensor
    valid: Tensor

    @classmethod
    def build(
        cls,
        inputs: Mapping[str, Tensor],
        layouts: Sequence[VisualLayout],
        visual: Sequence[NDArray[np.bool_]],
    ) -> Batch:
        """Find the visual tokens in the padded sequence.

        Args:
            inputs: The model's, `input_ids` and `attention_mask` among them, padded on the left.
            layouts: One a sample.
            visual: For each sample (its own length,), which of its tokens are visual.

        Raises:
            ModelError: A layout has another number of tokens than the prompt.
        """
        length = inputs["input_ids"].shape[1]
        for layout, marked in zip(layouts, visual, strict=True):
            if layout.tokens != int(marked.sum()):
                raise ModelError(f"a layout of {layout.tokens} visual tokens for {int(marked.sum())} in the prompt")
        most = max(layout.tokens for layout in layouts)
        columns = np.zeros((len(layouts), most), np.int64)
        valid = np.zeros((len(layouts), most), np.bool_)
        for index, marked in enumerate(visual):
            places = np.flatnonzero(marked) + length - len(marked)
            columns[index, : len(places)] = places
            valid[index, : len(places)] = True
        device = inputs["input_ids"].device
        return cls(inputs, tuple(layouts), torch.from_numpy(columns).to(device), torch.from_numpy(valid).to(device))

    @property
    def length(self) -> int:
        """Tokens of the padded prompts."""
        return int(self.inputs["input_ids"].shape[1])

    @property
    def cells(self) -> int:
        """Number of visual tokens, the most of any sample."""
        return int(self.columns.shape[1])

    def watch(self, first: int, layers: tuple[int, ...], heads: tuple[int, ...] | None) -> Watch:
        """Read one row `first` positions from the prompt's end (-1: its last), then every row after the prompt."""
        return Watch(self.columns, self.valid, self.length + first, self.length, layers, heads)

    def with_text(self, tokens: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Append an answer to each prompt, padded on the right and masked there."""
        device = self.inputs["input_ids"].device
        longest = max(len(answer) for answer in tokens)
        # padding is masked, so that any id will do but that of an image's placeholder
        padding = next((number for answer in tokens for number in answer), 0)
        ids = torch.full((len(tokens), longest), padding, dtype=torch.long)
        mask = torch.zeros((len(tokens), longest), dtype=torch.long)
        for row, answer in enumerate(tokens):
            ids[row, : len(answer)] = torch.tensor(answer, dtype=torch.long)
            mask[row, : len(answer)] = 1
        extended = dict(self.inputs)
        extended["input_ids"] = torch.cat([self.inputs["input_ids"], ids.to(device)], dim=1)
        extended["attention_mask"] = torch.cat([self.inputs["attention_mask"], mask.to(device)], dim=1)
        for name in _ALONG_SEQUENCE:
            if name in extended:
                kept = extended[name]
                extended[name] = torch.cat([kept, kept.new_zeros(ids.shape)], dim=1)
        return extended
