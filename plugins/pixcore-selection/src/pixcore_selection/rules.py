"""Strategies that look at masks and scores alone, as `pixcore score --select` knows them too."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore.components import NoConfig, SelectionStrategy
from pixcore.predictions import selection_rules
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.places import all_places, not_empty, score_at


class Oracle(SelectionStrategy[NoConfig]):
    """The mask with the highest IoU with the ground truth; where that is empty, "absent".

    An upper bound for every strategy on the same candidates (paper section 3.2). Ties by `fidelity`: `published` takes
    the last of equals, `corrected` the first. Where the ground truth is empty the answer does not depend on the model,
    which the selection's reason says; figures are reported with and without such samples.
    """

    uses_ground_truth = True

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by IoU."""
        return selection_rules.oracle(sample, candidates, self.context.fidelity)


class MaskScore(SelectionStrategy[NoConfig]):
    """The mask that its generator thinks best of, whatever the phrase says; the first of equals."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by score."""
        return selection_rules.mask_score(sample, candidates, self.context.fidelity)


class Stability(SelectionStrategy[NoConfig]):
    """The mask that changes least with its threshold; of equals the one with the highest score, then the first.

    Stability is what segment-anything's automatic generator filters by. A generator without thresholds has none. An
    empty mask, which no threshold changes, is chosen only where all are empty.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by stability; masks without one are passed over."""
        known = [
            (index, mask)
            for index, mask in all_places(candidates)
            if len(candidates[index].stability) == len(candidates[index].masks)
        ]
        if not known:
            said = "the mask generator gives no stability: sam and sam-transformers do"
            return Selection.nothing(said if candidates else "no candidates")
        best = max(  # of equals the first
            not_empty(candidates, known),
            key=lambda place: (candidates[place[0]].stability[place[1]], score_at(candidates, place)),
        )
        stability = candidates[best[0]].stability[best[1]]
        return Selection.chosen(*best, score=stability, reason=f"its stability is {stability:.2f}")


class RandomPick(SelectionStrategy[NoConfig]):
    """Any mask of any candidate, each as likely: what a strategy must beat."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Draw one."""
        places = all_places(candidates)
        if not places:
            return Selection.nothing("no candidates")
        return Selection.chosen(*places[int(self.rng.integers(len(places)))], reason="drawn at random")
