"""The strategy `attention-inside`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore.components import SelectionStrategy
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.config import AttentionInsideConfig


class AttentionInside(SelectionStrategy[AttentionInsideConfig]):
    """The mask that holds most of its phrase's relevance for its area.

    A phrase's relevance is the mean of its tokens' maps, without the mean over all output tokens and cut off below 0,
    brought to the image's size; a mask's score is the share of it inside the mask against the mask's share of the
    image. Of equals the first wins. The maps are the extractor's own: a run's other transforms are not applied.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by relevance inside; a response without maps says nothing about it."""
        if not any(candidate.masks for candidate in candidates):
            return Selection.nothing("no candidates")
        if response.maps is None or response.layout is None:
            return Selection.nothing("the response has no maps: this strategy needs a model with attention")
        maps = response.maps
        if self.config.subtract_mean:
            maps = maps - maps.mean(axis=0)
        best: tuple[float, int, int] | None = None
        for index, candidate in enumerate(candidates):
            if candidate.group is None or not candidate.masks:
                continue
            values = np.clip(maps[list(candidate.group.tokens)].mean(axis=0), 0, None)
            relevance = response.layout.to_image(values, masks.size_of(candidate.masks[0]))
            for mask, rle in enumerate(candidate.masks):
                score = self._score(np.clip(relevance, 0, None), masks.decode(rle))
                if best is None or score > best[0]:
                    best = (score, index, mask)
        if best is None:
            return Selection.nothing("no candidate says which tokens it belongs to")
        return Selection.chosen(best[1], best[2], score=best[0], reason=f"relevance inside: {best[0]:.2f}")

    def _score(self, relevance: NDArray[np.float32], mask: masks.Mask) -> float:
        total, area = float(relevance.sum(dtype=np.float64)), float(mask.mean())
        if not total > 0 or not area > 0:
            return 0.0
        share = float(relevance[mask].sum(dtype=np.float64)) / total
        return share - area if self.config.normalise == "difference" else share / area
