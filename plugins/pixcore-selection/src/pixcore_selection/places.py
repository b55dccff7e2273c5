"""Find places of masks: (candidate, mask)."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore import masks
from pixcore.records import Candidate

Place = tuple[int, int]
"""Index of a candidate, and of a mask in it."""


def all_places(candidates: Sequence[Candidate]) -> list[Place]:
    """List every mask of every candidate, in order."""
    return [(index, mask) for index, candidate in enumerate(candidates) for mask in range(len(candidate.masks))]


def not_empty(candidates: Sequence[Candidate], places: Sequence[Place]) -> list[Place]:
    """List the places whose masks have an area; all of them if none has.

    A prompt that meets nothing gives an empty mask. Rules that measure masks against each other or against themselves
    would think best of it: it agrees fully with other empty ones, and no threshold changes it.
    """
    areas = masks.areas([candidates[index].masks[mask] for index, mask in places])
    return [place for place, area in zip(places, areas, strict=True) if area] or list(places)


def score_at(candidates: Sequence[Candidate], place: Place) -> float:
    """Give the generator's score of a mask; 0 where the candidate came without scores."""
    index, mask = place
    return candidates[index].scores[mask] if candidates[index].scores else 0.0
