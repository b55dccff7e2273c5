"""Compressed run lengths of many masks at once: what makes checking a large predictions file cheap.

COCO writes each run as a little-endian number in base 32, six bits a character, and from the fourth run on as the
difference to the run two places before. pycocotools reads past the end of damaged text, so text from outside is checked
here first, all masks of a line in a few array operations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixcore.errors import DataError

Ints = NDArray[np.int64]

_LONGEST = 12  # characters of one number; 60 bits


def run_lengths(counts: Sequence[str], names: Sequence[str]) -> tuple[Ints, Ints]:
    """Decompress run lengths.

    Args:
        counts: COCO's compressed text of n masks.
        names: What an error calls each of them.

    Returns:
        All runs one after the other, and (n + 1,) where each mask's runs begin.

    Raises:
        DataError: A text is damaged: strange characters, a number without end, a negative run.
    """
    sizes = np.array([len(text) for text in counts], np.int64)
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    joined = "".join(counts)
    text = joined if joined.isascii() else "".join(c if c.isascii() else "\x00" for c in joined)
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48

    def owner(position: int) -> str:
        return names[int(np.searchsorted(bounds, position, side="right")) - 1]

    strange = np.flatnonzero((codes < 0) | (codes > 63))
    if len(strange):
        raise DataError(
            f"{owner(int(strange[0]))} has counts that are not COCO's compressed text", hint="is it damaged?"
        )
    ends = (codes & 0x20) == 0
    last = bounds[1:][sizes > 0] - 1
    if not ends[last].all():
        place = int(last[~ends[last]][0])
        raise DataError(f"{owner(place)} has counts that end in the middle of a number", hint="is it damaged?")
    stops = np.flatnonzero(ends)
    starts = np.concatenate(([0], stops[:-1] + 1)) if len(stops) else stops
    lengths = stops - starts + 1
    if len(lengths) and lengths.max() > _LONGEST:
        raise DataError(f"{owner(int(starts[lengths.argmax()]))} has a number of absurd size", hint="is it damaged?")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & 0x1F) << shifts, starts) if len(starts) else np.zeros(0, np.int64)
    negative = (codes[stops] & 0x10) != 0
    values -= np.where(negative, np.int64(1) << (5 * lengths), 0)
    first = np.searchsorted(starts, bounds)
    runs = _undo_differences(values, first)
    if len(runs) and runs.min() < 0:
        raise DataError(f"{owner(int(starts[runs.argmin()]))} has a negative run length", hint="is it damaged?")
    return runs, first


def covered(counts: Sequence[str], names: Sequence[str]) -> Ints:
    """How many pixels the runs of each mask fill, inside and outside together.

    Raises:
        DataError: A text is damaged.
    """
    runs, first = run_lengths(counts, names)
    sums = np.concatenate(([0], np.cumsum(runs)))
    return np.asarray(sums[first[1:]] - sums[first[:-1]])


def _undo_differences(values: Ints, first: Ints) -> Ints:
    """Sum every second number of a mask: runs 1, 3, 5, … and runs 2, 4, 6, … each from their own first."""
    sizes = np.diff(first)
    place = np.arange(len(values)) - np.repeat(first[:-1], sizes)
    runs = values.copy()
    for parity, begin in ((1, 1), (0, 2)):
        chain = np.flatnonzero((place % 2 == parity) & (place >= begin))
        sums = np.cumsum(values[chain])
        heads = place[chain] == begin
        before = np.concatenate(([0], sums[:-1]))[heads]
        runs[chain] = sums - np.repeat(before, np.diff(np.append(np.flatnonzero(heads), len(chain))))
    return runs
