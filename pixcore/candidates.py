"""What can be done with finished candidates before one is chosen: merge duplicates, pick one of a candidate's masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pixcore import masks
from pixcore.records import Candidate, Fidelity, PointPrompt

MaskRule = Literal["best-score", "first", "last", "smallest", "largest"]
"""Which of a candidate's masks stands for it; `last` is what the released evaluator's ties amount to."""

Threshold = Annotated[float, Field(ge=-1, le=1)] | Literal["auto"] | None
"""Below which similarity an object is taken for absent; None: never, `auto`: as the fidelity has it (`cut_of`)."""


def cut_of(threshold: Threshold, fidelity: Fidelity) -> float | None:
    """The similarity below which an object is taken for absent: the paper's first release has none, its last 0.7."""
    if threshold == "auto":
        return None if fidelity is Fidelity.PAPER else 0.7
    return threshold


def nothing_similar(similarity: float) -> bool:
    """Whether a similarity, as it is told with two decimals, says that a phrase has nothing of the expression.

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


def merge_duplicates(candidates: Sequence[Candidate], iou: float) -> list[Candidate]:
    """Merge candidates that ask or say the same.

    A candidate is a duplicate of an earlier one with the same prompt, or whose masks, each against the one in the same
    place, all overlap at least `iou`. The earlier one stays and notes the other's phrase in `merged`.

    Args:
        candidates: In the order of the text.
        iou: Intersection over union, above 0 and at most 1.

    Returns:
        The candidates that stay, in order.
    """
    kept: list[Candidate] = []
    for candidate in candidates:
        for index, earlier in enumerate(kept):
            if _same_prompt(earlier.point, candidate.point) or _same_masks(earlier, candidate, iou):
                phrase = (candidate.group.phrase,) if candidate.group is not None else ()
                kept[index] = replace(earlier, merged=(*earlier.merged, *phrase, *candidate.merged))
                break
        else:
            kept.append(candidate)
    return kept


def _same_prompt(one: PointPrompt | None, other: PointPrompt | None) -> bool:
    if one is None or other is None:
        return False
    return (
        one.box == other.box and np.array_equal(one.points, other.points) and np.array_equal(one.labels, other.labels)
    )


def _same_masks(one: Candidate, other: Candidate, iou: float) -> bool:
    if not one.masks or len(one.masks) != len(other.masks):
        return False
    # one at a time, because most pairs differ in their first mask already
    return all(masks.iou([a], [b])[0, 0] >= iou for a, b in zip(one.masks, other.masks, strict=True))
