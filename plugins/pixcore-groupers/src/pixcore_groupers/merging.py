"""Merge candidates that ask or say the same, as `merge_iou` in a config has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pixcore import masks
from pixcore.records import Candidate
from pixcore.stages.serialise import point_to_json


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
    drawn = np.array([place for place, one in enumerate(candidates) if one.masks], np.int64)
    firsts = [candidates[place].masks[0] for place in drawn]  # most differ in their first mask already
    alike = {int(place): drawn[row] for place, row in zip(drawn, masks.iou(firsts, firsts) >= iou, strict=True)}
    kept: dict[int, Candidate] = {}
    asked: dict[Any, int] = {}  # of each prompt the first candidate that stays
    for place, candidate in enumerate(candidates):
        near = [earlier for earlier in alike.get(place, ()) if earlier < place and earlier in kept]
        same, found = asked.get(_prompt(candidate)), _with_same_masks(kept, near, candidate, iou)
        merging = min((earlier for earlier in (same, found) if earlier is not None), default=None)
        if merging is None:
            kept[place] = candidate
            if candidate.point is not None:
                asked[_prompt(candidate)] = place
        else:
            phrase = (candidate.group.phrase,) if candidate.group is not None else ()
            kept[merging] = replace(kept[merging], merged=(*kept[merging].merged, *phrase, *candidate.merged))
    return list(kept.values())


def _prompt(candidate: Candidate) -> str | None:
    """What two candidates of the same prompt have in common."""
    return repr(point_to_json(candidate.point)) if candidate.point else None


def _with_same_masks(
    kept: Mapping[int, Candidate], alike: Sequence[int], candidate: Candidate, iou: float
) -> int | None:
    """The first of those kept whose other masks all overlap with the candidate's as well."""
    alike = [place for place in alike if len(kept[place].masks) == len(candidate.masks)]
    for number, mask in enumerate(candidate.masks[1:], 1):
        overlaps = masks.iou([kept[place].masks[number] for place in alike], [mask])
        alike = [place for place, (overlap,) in zip(alike, overlaps, strict=True) if overlap >= iou]
    return alike[0] if alike else None
