"""Choose by masks and numbers alone.

Under `published` a rule is the released evaluator's (eval_nonpixLMM_iou.py): candidates come in the order of its file
names, the last of equals wins, and an oracle looks at the ground truth before anything else. `paper` is the evaluator's
first release, which made the paper's table: an oracle has to take a candidate even where the object is absent. Under
`corrected` the first of equals wins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixcore import masks
from pixcore.components import NoConfig, SelectionStrategy
from pixcore.errors import DataError
from pixcore.figures.scores import candidate_ious
from pixcore.records import Candidate, Fidelity, Response, Sample, Selection
from pixcore_selection.config import GivenSimilarityConfig
from pixcore_selection.pick import cut_of, nothing_similar, pick_mask
from pixcore_selection.places import Place, all_places, not_empty, score_at


class Oracle(SelectionStrategy[NoConfig]):
    """Chooses the mask with the highest IoU with the ground truth; where that is empty, "absent".

    An upper bound for every strategy on the same candidates (paper section 3.2). Ties by `fidelity`: `published` and
    `paper` take the last of equals, `corrected` the first. Where the ground truth is empty the answer does not depend
    on the model, which the selection's reason says; figures are reported with and without such samples. `paper` takes
    the smallest mask there, of equals the first, which scores 0 unless it is empty itself.
    """

    uses_ground_truth = True

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by IoU; an absent object is known before any candidate is looked at, so it scores 1 whatever was said.

        `paper` did not know it yet. Without a ground truth nothing is chosen.
        """
        first_release = self.context.fidelity is Fidelity.PAPER
        if sample.mask is None:
            return Selection.nothing("no ground truth")
        if sample.absent and not first_release:
            return Selection.absent("the ground truth is empty")
        measured = candidate_ious(sample, candidates)
        places = _file_order(candidates) if self.context.published else all_places(candidates)
        if not places:
            return Selection.nothing("no candidates")
        if sample.absent:
            smallest = min(places, key=lambda place: masks.area(candidates[place[0]].masks[place[1]]))
            reason = "the ground truth is empty: the smallest mask"
            return Selection.chosen(*smallest, score=float(measured[smallest[0]][smallest[1]]), reason=reason)
        flat = np.array([measured[index][mask] for index, mask in places])
        last = len(flat) - 1 - int(flat[::-1].argmax())
        best = last if self.context.published else int(flat.argmax())
        return Selection.chosen(*places[best], score=float(flat[best]))


class MaskScore(SelectionStrategy[NoConfig]):
    """Chooses the mask that its generator thinks best of, whatever the phrase says; the first of equals."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by the generator's score.

        Raises:
            DataError: A candidate came without scores.
        """
        if any(len(candidate.scores) != len(candidate.masks) for candidate in candidates):
            raise DataError(
                f"sample {sample.id} has a candidate without scores", hint='write "scores", one for each mask'
            )
        places = all_places(candidates)
        if not places:
            return Selection.nothing("no candidates")
        best = max(places, key=lambda place: score_at(candidates, place))  # of equals the first
        return Selection.chosen(*best, score=score_at(candidates, best))


class GivenSimilarity(SelectionStrategy[GivenSimilarityConfig]):
    """Chooses the phrase most similar to the expression, by the similarities that came with the predictions.

    For `pixcore score --select` on a file made elsewhere: no run's candidates have any. Of the chosen phrase's masks
    `published` takes the last, `corrected` the best by score, and none where no similarity is above 0.00.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by similarity; below the threshold the object is taken for absent.

        Raises:
            DataError: A candidate came without one.
        """
        given = [candidate.similarity for candidate in candidates if candidate.similarity is not None]
        if len(given) < len(candidates):
            raise DataError(
                f"sample {sample.id} has a candidate without similarity",
                hint='write "similarity" for every candidate, or select by another rule',
            )
        places = _file_order(candidates)
        if not places:
            return Selection.nothing("no candidates")
        if self.context.published:
            index, mask = max(reversed(places), key=lambda place: given[place[0]])  # of equals the last
            if given[index] < 0:
                return Selection.nothing("all similarities are negative")
        else:
            index = max((place[0] for place in all_places(candidates)), key=given.__getitem__)
            mask = pick_mask(candidates[index], "best-score")
        cut = cut_of(self.config.threshold, self.context.fidelity)
        if cut is not None and given[index] < cut:
            return Selection.absent(f"the best similarity is below {cut:g}", score=given[index])
        if nothing_similar(given[index]) and not self.context.published:
            return Selection.nothing("no phrase is similar to the expression", score=given[index])
        return Selection.chosen(index, mask, score=given[index])


class Stability(SelectionStrategy[NoConfig]):
    """Chooses the mask that changes least with its threshold; of equals the highest score, then the first.

    Stability is what segment-anything's automatic generator filters by. A generator without thresholds has none. An
    empty mask, which no threshold changes, is chosen only where all are empty.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by stability; candidates without any are passed over.

        Raises:
            DataError: A candidate has not one for each mask.
        """
        if any(len(one.stability) not in (0, len(one.masks)) for one in candidates):
            raise DataError(
                f"sample {sample.id} has a candidate with a stability for some of its masks",
                hint='write "stability", one for each mask, or none',
            )
        known = [(index, mask) for index, mask in all_places(candidates) if candidates[index].stability]
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
    """Chooses any mask of any candidate, each as likely: what a strategy must beat."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Draw one of all masks."""
        places = all_places(candidates)
        if not places:
            return Selection.nothing("no candidates")
        return Selection.chosen(*places[int(self.rng.integers(len(places)))], reason="drawn at random")


def _file_order(candidates: Sequence[Candidate]) -> list[Place]:
    """Masks in the order of the released scripts' file names, `{image}_{group:03d}_{mask:03d}.png`, sorted as text."""
    places = all_places(candidates)
    if len(candidates) > 1000 or any(len(candidate.masks) > 1000 for candidate in candidates):
        places.sort(key=lambda place: f"{place[0]:03d}_{place[1]:03d}.png")
    return places
