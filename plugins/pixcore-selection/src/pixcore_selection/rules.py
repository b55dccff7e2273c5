"""Strategies that look at masks and scores alone, as `pixcore score --select` knows them too."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore import selection_rules
from pixcore.components import NoConfig, SelectionStrategy
from pixcore.records import Candidate, Response, Sample, Selection


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

    Stability is what segment-anything's automatic generator filters by. A generator without thresholds has none.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by stability; masks without one are passed over."""
        best: tuple[float, float, int, int] | None = None
        for index, candidate in enumerate(candidates):
            if len(candidate.stability) != len(candidate.masks):
                continue
            scores = candidate.scores or (0.0,) * len(candidate.masks)
            for mask, (stability, score) in enumerate(zip(candidate.stability, scores, strict=True)):
                if best is None or (stability, score) > best[:2]:
                    best = (stability, score, index, mask)
        if best is None:
            said = "the mask generator gives no stability: sam and sam-transformers do"
            return Selection.nothing(said if candidates else "no candidates")
        return Selection.chosen(best[2], best[3], score=best[0], reason=f"its stability is {best[0]:.2f}")


class RandomPick(SelectionStrategy[NoConfig]):
    """Any mask of any candidate, each as likely: what a strategy must beat."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Draw one."""
        masks = [(index, mask) for index, candidate in enumerate(candidates) for mask in range(len(candidate.masks))]
        if not masks:
            return Selection.nothing("no candidates")
        return Selection.chosen(*masks[int(self.rng.integers(len(masks)))], reason="drawn at random")
