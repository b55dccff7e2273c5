"""The logit lens: where the visual tokens' own states already read as the token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from pixcore.components import AttentionExtractor, Context, Needs
from pixcore_attention.arrays import to_numpy
from pixcore_attention.config import LogitLensConfig


class LogitLens(AttentionExtractor[LogitLensConfig]):
    """Reads no attention: a cell's map is the highest probability of the token that a layer's state gives there.

    Jiang et al., "Interpreting and editing vision-language representations" (ICLR 2025; vl-interp
    `methods/algorithms.py:101-108`, which takes the maximum over the tokens of a class word; here each output token has
    its own map, and a group's map is the mean over its tokens).
    """

    def __init__(self, config: LogitLensConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._tokens: Sequence[Sequence[int]] = ()
        self._unembed: Callable[[Any], Any] | None = None
        self._best: list[NDArray[np.float32]] = []
        self._cells = 0

    @property
    def needs(self) -> Needs:
        """The visual tokens' states after the configured layers; no layer's rows."""
        return Needs(layers=(), hidden_states=self.config.layers or True)

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch."""
        self._cells = cells
        self._best = [np.zeros((0, cells), np.float32) for _ in range(batch)]

    def observe_tokens(self, tokens: Sequence[Sequence[int]], unembed: Callable[[Any], Any]) -> None:
        """Hear what was generated."""
        self._tokens, self._unembed = tokens, unembed
        self._best = [np.zeros((len(own), self._cells), np.float32) for own in tokens]

    def observe(self, layer: int, rows: Any) -> None:
        """Pass over attention, of which nothing is asked."""

    def observe_hidden(self, layer: int, states: Any) -> None:
        """Read one layer's states (batch, cells, width)."""
        if self._unembed is None:
            raise RuntimeError("observe_tokens comes before observe_hidden")
        step = self.config.cells_at_once
        for sample, own in enumerate(self._tokens):
            for start in range(0, states.shape[1], step):
                logits = self._unembed(states[sample, start : start + step])
                read = np.exp(_log_probabilities(logits, own)).T
                best = self._best[sample][:, start : start + step]
                np.maximum(best, read, out=best)

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Give each sample's maps (tokens, cells)."""
        return self._best


def _log_probabilities(logits: Any, tokens: Sequence[int]) -> NDArray[np.float32]:
    """(cells, vocabulary) logits to (cells, tokens) log probabilities; on a GPU only the wanted columns leave it."""
    if hasattr(logits, "log_softmax"):
        return to_numpy(logits.float().log_softmax(-1)[:, list(tokens)])
    return np.asarray(log_softmax(logits, axis=-1)[:, list(tokens)], np.float32)
