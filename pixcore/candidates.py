"""Merge candidates that ask or say the same, before one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pixcore import masks
from pixcore.records import Candidate, PointPrompt


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
