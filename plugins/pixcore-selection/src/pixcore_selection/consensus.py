"""Choose by agreement among candidates: the strategy `consensus`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixcore.components import SelectionStrategy
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.config import ConsensusConfig
from pixcore_selection.overlaps import ious
from pixcore_selection.places import Place, all_places, not_empty, score_at


class Consensus(SelectionStrategy[ConsensusConfig]):
    """Chooses the mask that the other candidates agree with most.

    What another candidate has to say about a mask is the IoU of its most similar one; a mask's agreement is the mean
    over all other candidates: the medoid of what the phrases point at. Of equals, and where there is only one
    candidate, the one with the highest score wins, then the first. Phrases about the background agree as well as others
    do, so this favours what the response talks about most. Empty masks agree with nothing, each other included, and
    one is chosen only where all are empty.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by agreement with the other candidates."""
        places = all_places(candidates)
        if not places:
            return Selection.nothing("no candidates")
        agreements = dict(zip(places, self._agreements(candidates, places), strict=True))
        best = max(  # of equals the first
            not_empty(candidates, places),
            key=lambda place: (round(agreements[place], 9), score_at(candidates, place)),
        )
        others = len({index for index, _ in places}) - 1
        agreement = agreements[best]
        agreeing = "candidate agrees" if others == 1 else f"{others} candidates agree"
        reason = f"the other {agreeing} with it by {agreement:.2f}" if others else "the only candidate"
        return Selection.chosen(*best, score=agreement, reason=reason)

    def _agreements(self, candidates: Sequence[Candidate], places: Sequence[Place]) -> list[float]:
        """The mean IoU of each mask with the nearest ones of the other candidates; 1 where there are no others."""
        flat = [candidates[index].masks[mask] for index, mask in places]
        overlaps = ious(flat)
        overlaps[overlaps < self.config.iou] = 0.0
        owners = np.array([index for index, _ in places])
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        if len(firsts) == 1:
            return [1.0] * len(flat)
        said = np.maximum.reduceat(overlaps, firsts, axis=1)  # (masks, candidates)
        said[np.arange(len(flat)), np.searchsorted(firsts, np.arange(len(flat)), side="right") - 1] = 0.0
        # what a candidate says about its own masks does not count
        return [float(total) / (len(firsts) - 1) for total in said.sum(axis=1)]
