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
from pixcore_selection.places import all_places


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
        rles = [candidates[index].masks[mask] for index, mask in places]
        borders = dict(zip(places, borders_of(rles), strict=True))
        filled = [place for place, area in zip(places, masks.areas(rles), strict=True) if area]
        known = filled or places
        at_pixels = RelevanceAtPixels(response.layout, masks.size_of(candidates[places[0][0]].masks[0]))
        shares, areas = [], []
        for index, group in groupby(known, key=lambda place: place[0]):
            sums, total, covered = sums_inside(
                at_pixels(np.clip(maps[index], 0, None)), [borders[place] for place in group]
            )
            shares.append(sums / total if total > 0 else np.full(len(sums), np.nan))
            areas.append(covered)
        scores = self._scores(np.concatenate(shares), np.concatenate(areas))
        best = int(np.argmax(scores))  # of equals the first
        score = float(scores[best])
        return Selection.chosen(*known[best], score=score, reason=f"relevance inside: {score:.2f}")

    def _scores(self, shares: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weigh each mask's share of the relevance against its share of the image; 0 where either is nothing."""
        with np.errstate(invalid="ignore"):
            scores = shares - areas if self.config.normalise == "difference" else shares / areas
        return np.where((areas > 0) & ~np.isnan(shares), scores, 0.0)
