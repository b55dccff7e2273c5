"""What strategies that choose by phrases share: the mask that stands for a phrase, and where similarity ends."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from pixcore import masks
from pixcore.records import Candidate, Fidelity

MaskRule = Literal["best-score", "first", "last", "smallest", "largest"]
"""Which of a candidate's masks stands for it; `last` is what the released evaluator's ties amount to."""

Threshold = Annotated[float, Field(ge=-1, le=1)] | Literal["auto"] | None
"""Below which similarity an object is taken for absent; None: never, `auto`: as the fidelity has it (`cut_of`)."""


def cut_of(threshold: Threshold, fidelity: Fidelity) -> float | None:
    """Give the similarity below which an object counts as absent: the paper's first release has none, its last 0.7."""
    if threshold == "auto":
        return None if fidelity is Fidelity.PAPER else 0.7
    return threshold


def nothing_similar(similarity: float) -> bool:
    """Say whether a similarity, as told with two decimals, says that a phrase has nothing of the expression.

    >>> nothing_similar(0.004), nothing_similar(-0.2), nothing_similar(0.01)
    (True, True, False)
    """
    return round(similarity, 2) <= 0


def pick_mask(candidate: Candidate, rule: MaskRule) -> int:
    """Pick the mask that stands for a candidate, and give its index; of equals the first.

    Raises:
        ValueError: The candidate has no masks.
    """
    count = len(candidate.masks)
    if not count:
        raise ValueError("a candidate without masks has none to pick")
    if rule == "first":
        return 0
    if rule == "last":
        return count - 1
    if rule == "best-score":
        return best_score(candidate)
    areas = [masks.area(mask) for mask in candidate.masks]
    some = [area for area in areas if area] or areas  # an empty mask is no small one
    return areas.index(min(some) if rule == "smallest" else max(some))


def best_score(candidate: Candidate) -> int:
    """Find the mask with the highest score; the first if there are no scores. A NaN never wins."""
    scores = candidate.scores
    return max(range(len(scores)), key=lambda index: (not math.isnan(scores[index]), scores[index]), default=0)
