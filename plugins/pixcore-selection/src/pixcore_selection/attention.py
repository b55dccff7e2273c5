"""Choose by relevance inside a mask: the strategy `attention-inside`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore.components import SelectionStrategy
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.config import AttentionInsideConfig
from pixcore_selection.places import Place, all_places, not_empty


class AttentionInside(SelectionStrategy[AttentionInsideConfig]):
    """Chooses the mask that holds most of its phrase's relevance for its area.

    A phrase's relevance is its candidate's map, on which its point was selected, cut off below 0 and brought to the
    image's size; a mask's score is the share of it inside the mask against the mask's share of the image. Of equals the
    first wins; an empty mask, which would win over all that hold less than their share, is chosen only where all are
    empty.
    """

    needs_maps = True

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by relevance inside; candidates without maps say nothing about it."""
        if not any(candidate.masks for candidate in candidates):
            return Selection.nothing("no candidates")
        maps = {index: one.map for index, one in enumerate(candidates) if one.map is not None}
        places = [place for place in all_places(candidates) if place[0] in maps]
        if not places or response.layout is None:
            return Selection.nothing("no candidate has a map: this strategy needs a model with attention")
        scores: dict[Place, float] = {}
        for index, own in groupby(not_empty(candidates, places), key=lambda place: place[0]):
            values = np.clip(maps[index], 0, None)
            rles = candidates[index].masks
            relevance = np.clip(response.layout.to_image(values, masks.size_of(rles[0])), 0, None)
            total = float(relevance.sum(dtype=np.float64))
            for place in own:
                scores[place] = self._score(relevance, total, masks.decode(rles[place[1]]))
        best = max(scores, key=scores.__getitem__)  # of equals the first
        return Selection.chosen(*best, score=scores[best], reason=f"relevance inside: {scores[best]:.2f}")

    def _score(self, relevance: NDArray[np.float32], total: float, mask: masks.Mask) -> float:
        area = np.count_nonzero(mask) / mask.size
        if not total > 0 or not area > 0:
            return 0.0
        share = float(relevance[mask].sum(dtype=np.float64)) / total
        return share - area if self.config.normalise == "difference" else share / area
