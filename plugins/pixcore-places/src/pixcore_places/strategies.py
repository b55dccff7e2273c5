"""Take what a model points at for its answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixcore.components import SelectionStrategy
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_places.config import AsWrittenConfig
from pixcore_places.scanning import scan


class AsWritten(SelectionStrategy[AsWrittenConfig]):
    """Chooses the first place that the answer states; the object is absent where it states none.

    Where it states one that can't be read, nothing was chosen.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose the first candidate that has a mask."""
        for index, candidate in enumerate(candidates):
            count = len(candidate.masks)
            if count:
                scores = candidate.scores or (0.0,) * count
                mask = {"best": int(np.argmax(scores)), "first": 0, "last": count - 1}[self.config.mask]
                return Selection.chosen(index, mask, score=scores[mask], reason="the first place in the answer")
        if candidates:
            return Selection.absent("nothing was found where the answer points")
        stated = scan(response.text)
        if stated:
            return Selection.nothing(f"its place can't be read: {stated[0].wrong or 'it lies outside'}")
        return Selection.absent("the answer states no place")
