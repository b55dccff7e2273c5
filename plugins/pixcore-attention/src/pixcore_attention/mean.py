"""The paper's extractor: the mean over layers and heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import AttentionExtractor, Context, Needs
from pixcore_attention.arrays import per_sample
from pixcore_attention.config import MeanConfig


class Mean(AttentionExtractor[MeanConfig]):
    """Averages the attention from an output token to the visual tokens over layers and heads.

    attend-and-segment (paper section 3.2): `M_t = mean over l, h of A_t^{l,h}`. Its second half, the subtraction of
    the mean over all output tokens, is the transform `subtract-mean`.

    The released codes differ from the paper and from each other:

    - PixFoundation averages all heads, but reads the second to last row of the prompt for the first token
      (`pixmmvp/inference/infer_pixfoundation.py:246`): the default under `published`.
    - groundLMM's `x[:, -2:-1, :]` indexes heads, so that one head, the second to last, is all that it averages
      (`aas/infer_attn.py:90`): `heads: [-2]` with `prefill_row: -1`.
    """

    stepwise = True

    def __init__(self, config: MeanConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._shape = (0, 0)
        self._sum: Any = None
        self._observed = 0
        self._steps: list[Any] = []

    @property
    def needs(self) -> Needs:
        """The configured layers and heads, one row a token."""
        row = self.config.prefill_row or (-2 if self.context.published else -1)
        return Needs(layers=self.config.layers, heads=self.config.heads, query=self.config.query, prefill_row=row)

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch."""
        self._shape = (batch, cells)
        self._sum, self._observed, self._steps = None, 0, []

    def observe(self, layer: int, rows: Any) -> None:
        """Add the mean over the heads of one layer, rows (batch, heads, cells)."""
        mean = rows.mean(1)
        self._sum = mean if self._sum is None else self._sum + mean
        self._observed += 1

    def observe_steps(self, layer: int, rows: Any) -> None:
        """Add the mean over the heads of one layer for some steps at once, rows (batch, heads, steps, cells)."""
        self.observe(layer, rows)

    def end_step(self) -> None:
        """Finish one token's map, or those of the steps that were seen at once."""
        if self._observed:
            mean = self._sum / self._observed
            self._steps += [mean] if mean.ndim == 2 else list(mean.swapaxes(0, 1))
        self._sum, self._observed = None, 0

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Give each sample's maps (steps, cells)."""
        return per_sample(self._steps, *self._shape)
