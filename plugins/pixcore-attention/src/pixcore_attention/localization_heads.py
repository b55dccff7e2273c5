"""Localization heads: the few heads whose attention is one compact blob."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from pixcore.components import AttentionExtractor, Context, Needs
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Request
from pixcore_attention.arrays import to_numpy
from pixcore_attention.config import LocalizationHeadsConfig
from pixcore_attention.grids import apply_to_grids

Head = tuple[int, int]
"""(layer, head), or their places among those that are shown."""


class LocalizationHeads(AttentionExtractor[LocalizationHeadsConfig]):
    """Adds up a few heads' smoothed maps.

    Kang et al., "Your large vision-language model only needs a few attention heads for visual grounding" (CVPR 2025):
    heads whose attention to the image passes the elbow of all heads' sums (criterion 1), of those the ones of lowest
    spatial entropy (criterion 2); over many samples, the three most often chosen. Pass those as `chosen`, or leave it
    out, and each response's heads are chosen by its first row, as the finder does for one sample. `votes` counts the
    choices of all responses: `votes.most_common(3)` after a run over many samples is the paper's selection.

    Under `published` criterion 1 compares a head's *number* with that of the elbow's head, as the released finder does
    (LocalizationHeads `localization_heads_finder.py:291,392`), which lets pass the later heads whatever they look at;
    under `corrected` it compares the sums. A head that looks everywhere about alike, with no cell beyond the threshold,
    has an entropy of 0 there (`:240`), as if it were the most compact of all; under `corrected` such heads come last.

    Attributes:
        votes: How often each (layer, head) was among the chosen.
    """

    def __init__(self, config: LocalizationHeadsConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.votes: Counter[Head] = Counter()
        self._asked_layers = tuple(sorted({layer for layer, _ in config.chosen or ()}))
        self._asked_heads = tuple(sorted({head for _, head in config.chosen or ()}))
        self._layouts: Sequence[VisualLayout] = ()
        self._shape = (0, 0)
        self._first: dict[int, NDArray[np.float32]] = {}
        self._place = 0
        self._heads: list[list[Head]] = []
        self._sums: list[NDArray[np.float32]] = []
        self._maps: list[list[NDArray[np.float32]]] = []

    @property
    def needs(self) -> Needs:
        """All layers and heads, or those of the chosen."""
        return Needs(layers=self._asked_layers or None, heads=self._asked_heads or None)

    def prepare(self, requests: Sequence[Request], layouts: Sequence[VisualLayout]) -> None:
        """Take the grids, which say which cells are neighbours."""
        self._layouts = layouts

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch."""
        if len(self._layouts) != batch:  # a caller without layouts: take one square grid
            side = int(np.sqrt(cells))
            if side * side != cells:
                raise ValueError(f"localization heads need the layouts (prepare) of {cells} cells")
            self._layouts = [VisualLayout.single(VisualGrid.stretched(side, side, (side, side)))] * batch
        self._shape = (batch, cells)
        self._first = {}
        chosen = self.config.chosen or ()
        places = [(self._asked_layers.index(layer), self._asked_heads.index(head)) for layer, head in chosen]
        self._heads = [places] * batch if places else []
        self._maps = [[] for _ in range(batch)]
        self._clear()

    def observe(self, layer: int, rows: Any) -> None:
        """Keep the first step's rows of all heads, of later steps those of the chosen."""
        if not self._heads:
            self._first[layer] = to_numpy(rows)
            return
        for sample, chosen in enumerate(self._heads):
            for place, head in chosen:
                if place == self._place:
                    self._add(sample, to_numpy(rows[sample, head]))
        self._place += 1

    def end_step(self) -> None:
        """Choose heads if they are not yet, and finish one token's map."""
        if not self._heads:
            layers = sorted(self._first)
            stacked = np.stack([self._first[layer] for layer in layers], axis=1)
            for sample, own in enumerate(stacked):
                picked = self._choose(own, self._layouts[sample])
                self._heads.append(picked)
                self.votes.update((layers[index], head) for index, head in picked)
                for index, head in picked:
                    self._add(sample, own[index, head])
            self._first = {}
        for sample, total in enumerate(self._sums):
            self._maps[sample].append(total)
        self._clear()

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Give each sample's maps (steps, cells)."""
        cells = self._shape[1]
        return [np.stack(own) if own else np.zeros((0, cells), np.float32) for own in self._maps]

    def _clear(self) -> None:
        batch, cells = self._shape
        self._place = 0
        self._sums = [np.zeros(cells, np.float32) for _ in range(batch)]

    def _add(self, sample: int, row: NDArray[np.float32]) -> None:
        layout = self._layouts[sample]
        smoothed = row[: layout.tokens]
        if self.config.sigma:
            smoothed = apply_to_grids(smoothed, layout, lambda cells: gaussian_filter(cells, self.config.sigma))
        self._sums[sample][: layout.tokens] += smoothed

    def _choose(self, rows: NDArray[np.float32], layout: VisualLayout) -> list[Head]:
        """The (layer index, head) of the lowest spatial entropy among those that pass; rows (layers, heads, cells)."""
        layers, heads, _ = rows.shape
        sums = rows.sum(axis=2).reshape(-1)
        elbow = elbow_of(sums)
        passing = np.arange(len(sums)) >= elbow if self.context.published else sums >= sums[elbow]
        flat = rows[..., : layout.tokens].reshape(layers * heads, -1)
        evenly = 0.0 if self.context.published else np.inf
        entropy = {
            int(index): spatial_entropy(layout.cell_values(flat[index]), self.config.threshold, without_blobs=evenly)
            for index in np.flatnonzero(passing)
        }
        best = sorted(entropy, key=lambda index: (entropy[index], index))[: self.config.count]
        return [divmod(index, heads) for index in best]


def elbow_of(values: NDArray[np.floating[Any]]) -> int:
    """Find the value that lies farthest from the chord of the sorted values, and give its index."""
    order = np.argsort(values, kind="stable")
    points = np.stack([np.arange(len(values)), values[order]], axis=1).astype(np.float64)
    chord = points[-1] - points[0]
    length = float(np.hypot(*chord))
    if length == 0:
        return int(order[0])
    across = points - points[0]
    distance = np.abs(across[:, 0] * chord[1] - across[:, 1] * chord[0]) / length
    return int(order[int(np.argmax(distance))])


def spatial_entropy(grids: Sequence[NDArray[np.float32]], threshold: float, *, without_blobs: float = np.inf) -> float:
    """Measure the entropy of a map's shares in 8-connected blobs above its mean.

    Args:
        grids: One (rows, cols) map for each grid of an image; a blob lies in one of them.
        threshold: How far above the mean a cell of a blob is.
        without_blobs: What it is where no cell is that far above; where none is above the mean at all, it is infinite.
    """
    mean = float(np.mean(np.concatenate([grid.reshape(-1) for grid in grids])))
    masses: list[float] = []
    total = 0.0
    for grid in grids:
        above = np.maximum(grid - mean, 0)
        total += float(above.sum())
        blobs, count = label(above > threshold, structure=np.ones((3, 3)))
        masses += [float(above[blobs == blob].sum()) for blob in range(1, count + 1)]
    if total <= 0:
        return float("inf")
    if not masses:
        return without_blobs
    shares = np.array(masses) / total
    return float(-(shares * np.log(shares)).sum())
