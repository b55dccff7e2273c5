"""Gradient attention: rows weighted by what they do for the token's probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import AttentionExtractor, Context, Needs
from pixcore_attention.arrays import per_sample
from pixcore_attention.config import GradientConfig


class Gradient(AttentionExtractor[GradientConfig]):
    """Averages `A * max(0, d log p(token) / dA)` over layers and heads, A being the attention.

    Zhang et al., "MLLMs know where to look" (ICLR 2025; mllms_know `llava_methods.py:16-54`), which takes one layer and
    the first token; here any layers, and every token with the row that predicts it. The text is generated first and
    replayed token by token with gradients.
    """

    def __init__(self, config: GradientConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._shape = (0, 0)
        self._rows: dict[int, Any] = {}
        self._sum: Any = None
        self._seen = 0
        self._steps: list[Any] = []

    @property
    def needs(self) -> Needs:
        """The configured layers, with gradients."""
        return Needs(layers=self.config.layers, gradients=True)

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch."""
        self._shape = (batch, cells)
        self._rows, self._sum, self._seen, self._steps = {}, None, 0, []

    def observe(self, layer: int, rows: Any) -> None:
        """Keep one layer's rows (batch, heads, cells) until their gradients come."""
        self._rows[layer] = rows

    def observe_gradients(self, layer: int, gradients: Any) -> None:
        """Weight the rows of one layer."""
        weighted = (self._rows.pop(layer) * gradients.clip(0)).mean(1)
        self._sum = weighted if self._sum is None else self._sum + weighted
        self._seen += 1

    def end_step(self) -> None:
        """Finish one token's map."""
        self._steps.append(self._sum / self._seen)
        self._rows, self._sum, self._seen = {}, None, 0

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Give each sample's maps (steps, cells)."""
        return per_sample(self._steps, *self._shape)
