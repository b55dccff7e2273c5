"""The strategy `consensus`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixcore import masks
from pixcore.components import SelectionStrategy
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.config import ConsensusConfig


class Consensus(SelectionStrategy[ConsensusConfig]):
    """The mask that the other candidates agree with most.

    What another candidate has to say about a mask is the IoU of its most similar one; a mask's agreement is the mean
    over all other candidates: the medoid of what the phrases point at. Of equals, and where there is only one
    candidate, the one with the highest score wins, then the first. Phrases about the background agree as well as others
    do, so this favours what the response talks about most.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by agreement."""
        flat = [mask for candidate in candidates for mask in candidate.masks]
        if not flat:
            return Selection.nothing("no candidates")
        owner = np.repeat(np.arange(len(candidates)), [len(candidate.masks) for candidate in candidates])
        overlaps = masks.iou(flat, flat)
        overlaps[overlaps < self.config.iou] = 0.0
        said = np.stack([overlaps[:, owner == index].max(axis=1) for index in np.unique(owner)], axis=1)
        others = said.shape[1] - 1
        own = overlaps.diagonal() if others == 0 else (said.sum(axis=1) - 1.0) / others  # a mask agrees with itself
        scores = np.concatenate([candidate.scores or (0.0,) * len(candidate.masks) for candidate in candidates])
        best = max(range(len(flat)), key=lambda place: (round(float(own[place]), 9), float(scores[place]), -place))
        index = int(owner[best])
        mask = best - int(np.flatnonzero(owner == index)[0])
        reason = f"the other {others} candidates agree with it by {own[best]:.2f}" if others else "the only candidate"
        return Selection.chosen(index, mask, score=float(own[best]), reason=reason)
