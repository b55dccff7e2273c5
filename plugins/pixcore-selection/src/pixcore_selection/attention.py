"""Choose by relevance inside a mask: the strategy `attention-inside`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore.components import SelectionStrategy
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.borders import borders_of
from pixcore_selection.config import AttentionInsideConfig
from pixcore_selection.inside import RelevanceAtPixels, sums_inside
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
        places = not_empty(candidates, places)
        borders = borders_of([candidates[index].masks[mask] for index, mask in places])
        at_pixels = RelevanceAtPixels(response.layout, masks.size_of(candidates[places[0][0]].masks[0]))
        for index, group in groupby(zip(places, borders, strict=True), key=lambda one: one[0][0]):
            own, drawn = zip(*group, strict=True)
            found = sums_inside(at_pixels(np.clip(maps[index], 0, None)), drawn)
            scores.update(zip(own, self._scores(*found), strict=True))
        best = max(scores, key=scores.__getitem__)  # of equals the first
        return Selection.chosen(*best, score=scores[best], reason=f"relevance inside: {scores[best]:.2f}")

    def _scores(self, sums: NDArray[np.float64], total: float, areas: NDArray[np.float64]) -> list[float]:
        """Weigh each mask's share of the relevance against its share of the image; 0 where either is nothing."""
        if not total > 0:
            return [0.0] * len(sums)
        shares = sums / total
        with np.errstate(invalid="ignore"):
            scores = shares - areas if self.config.normalise == "difference" else shares / areas
        return [float(score) for score in np.where(areas > 0, scores, 0.0)]
