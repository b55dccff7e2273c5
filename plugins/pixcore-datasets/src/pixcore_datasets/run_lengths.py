"""Masks that come from outside: COCO's run lengths, checked, many at once.

COCO writes each run as a little-endian number in base 32, six bits a character, and from the fourth run on as the
difference to the run two places before. pycocotools reads past the end of damaged text, so text from outside is checked
here first, all masks of a line in a few array operations: that makes checking a large predictions file cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pixcore.errors import DataError
from pixcore.masks import MOST_PIXELS, RLE, check_size

Ints = NDArray[np.int64]
Runs = NDArray[np.int32]
"""Run lengths. A sound one is at most `MOST_PIXELS` and a difference less than twice that: of damaged ones the first
that is neither is seen before 32 bits wrap around."""

_LONGEST = 6  # characters of one number: 30 bits with its sign
_GO_ON = bytes(range(80, 112))  # the characters of digits that another follows
_LAST = bytes((((code - 48) & 31 ^ 16) - 16) & 255 for code in range(256))  # of a last digit, which carries the sign


def parse(value: Any, *, where: str, size: tuple[int, int] | None = None) -> RLE:
    """Check a mask that came from outside.

    Args:
        value: What a JSON file holds: {"size": [h, w], "counts": str or list of ints}.
        where: Names the place in an error, such as "line 3: mask".
        size: The (width, height) that it must have, if known.

    Raises:
        DataError: It is not RLE, its runs do not fill its size, or its size is another one.
    """
    if not isinstance(value, Mapping) or not {"size", "counts"} <= set(value):
        raise DataError(f"{where} is not COCO RLE", hint='expected {"size": [height, width], "counts": "..."}')
    dims = value["size"]
    if not (
        isinstance(dims, Sequence)
        and len(dims) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in dims)
    ):
        raise DataError(f"{where} has size {dims!r}", hint="expected [height, width] in whole pixels")
    height, width = int(dims[0]), int(dims[1])
    check_size((width, height), where)
    if size is not None and (width, height) != tuple(size):
        raise DataError(
            f"{where} is {width}x{height} pixels, its image is {size[0]}x{size[1]}",
            hint="RLE sizes are [height, width]; masks must have the original image's size",
        )
    counts = value["counts"]
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", "replace")
    if isinstance(counts, list):
        if not all(isinstance(n, int) and n >= 0 for n in counts):
            raise DataError(f"{where} has run lengths that are not whole numbers", hint="expected integers >= 0")
        if sum(counts) != width * height:
            raise DataError(f"{where} has counts that do not fill {width}x{height} pixels", hint="is it damaged?")
        return _encoded(counts, (width, height))
    if not isinstance(counts, str):
        raise DataError(f"{where} has counts of type {type(counts).__name__}", hint="expected text or a list")
    return _filling([counts], lambda _: where, (width, height))[0]


def parse_many(values: Sequence[Any], name: Callable[[int], str], size: tuple[int, int] | None) -> list[RLE]:
    """Check many masks at once, as `parse` does each: `name` gives what an error calls the mask at an index.

    What is not plainly right is left to `parse`, which says what is wrong.
    """
    plain = size is not None and all(
        isinstance(value, dict) and value.get("size") == [size[1], size[0]] and isinstance(value.get("counts"), str)
        for value in values
    )
    if not plain or size is None:
        return [parse(value, where=name(index), size=size) for index, value in enumerate(values)]
    return _filling([value["counts"] for value in values], name, size)


def _filling(counts: Sequence[str], name: Callable[[int], str], size: tuple[int, int]) -> list[RLE]:
    """Take masks of one (width, height), whose runs must fill it: pycocotools reads past the end of damaged text.

    A mask with runs of no pixel in it is written anew, so that equal masks are equal texts.
    """
    runs, first = run_lengths(counts, name)
    for place in (covered(runs, first) != size[0] * size[1]).nonzero()[0][:1]:
        raise DataError(f"{name(place)} has counts that do not fill {size[0]}x{size[1]} pixels", hint="is it damaged?")
    found = [RLE(size=[size[1], size[0]], counts=text) for text in counts]
    nothing = runs == 0
    nothing[first[:-1]] = False  # a mask that begins inside
    for place in np.unique(np.searchsorted(first, nothing.nonzero()[0], side="right") - 1):
        found[place] = _encoded(runs[first[place] : first[place + 1]], size)
    return found


def _encoded(runs: Sequence[int] | Runs, size: tuple[int, int]) -> RLE:
    """Encode runs; those that a run of no pixel parts are one."""
    lengths, inside = np.asarray(runs, np.int64), np.arange(len(runs)) % 2
    lengths, inside = lengths[lengths > 0], inside[np.asarray(runs) > 0]
    joined = np.add.reduceat(lengths, np.flatnonzero(np.diff(inside, prepend=-1)))
    shape = [size[1], size[0]]
    encoded = coco.frPyObjects({"size": shape, "counts": [0] * int(inside[0]) + joined.tolist()}, *shape)
    return RLE(size=shape, counts=encoded["counts"].decode("ascii"))


def run_lengths(counts: Sequence[str], name: Callable[[int], str]) -> tuple[Runs, Ints]:
    """Decompress run lengths.

    Args:
        counts: COCO's compressed text of n masks.
        name: Gives what an error calls the one at an index.

    Returns:
        All runs one after the other, and (n + 1,) where each mask's runs begin.

    Raises:
        DataError: A text is damaged: strange characters, a number without end, a negative run.
    """
    bounds = np.concatenate(([0], np.cumsum([len(text) for text in counts], dtype=np.int64)))
    text = _ascii("".join(counts))
    codes = np.frombuffer(text, np.uint8) - np.uint8(48)  # six bits; what is no character of COCO's is more than 63

    def damaged(what: str, position: int, begins: Ints = bounds) -> DataError:
        owner = int(np.searchsorted(begins, position, side="right")) - 1
        return DataError(f"{name(owner)} has {what}", hint="is it damaged?")

    strange = np.flatnonzero(codes > 63)
    if len(strange):
        raise damaged("counts that are not COCO's compressed text", int(strange[0]))
    goes_on = codes >= 32
    last = bounds[1:][np.diff(bounds) > 0] - 1
    if goes_on[last].any():
        raise damaged("counts that end in the middle of a number", int(last[goes_on[last]][0]))
    runs, more, absurd = _numbers(text, codes, goes_on)
    if len(absurd):
        raise damaged("a number of absurd size", int(absurd[0]))
    first = bounds - np.searchsorted(more, bounds)
    _undo_differences(runs, first)
    if len(runs) and runs.min() < 0:
        raise damaged("a negative run length", int(runs.argmin()), first)
    if len(runs) and runs.max() > MOST_PIXELS:
        raise damaged("a run of absurd length", int(runs.argmax()), first)
    return runs, first


def covered(runs: Runs, first: Ints) -> Ints:
    """Count the pixels that the runs of each mask fill, inside and outside together; arguments as of `run_lengths`."""
    sums, filled = np.zeros(len(first) - 1, np.int64), np.diff(first) > 0
    sums[filled] = np.add.reduceat(runs, first[:-1][filled], dtype=np.int64) if filled.any() else 0
    return sums


def _ascii(text: str) -> bytes:
    """Encode a text, with a zero for each character that ASCII lacks."""
    return (text if text.isascii() else "".join(c if c.isascii() else "\x00" for c in text)).encode("ascii")


def _numbers(text: bytes, codes: NDArray[np.uint8], goes_on: NDArray[np.bool_]) -> tuple[Runs, Ints, Ints]:
    """Put numbers together from their last digit to their first.

    Returns:
        The numbers, the places of the digits that another follows, and those of digits beyond a number's `_LONGEST`.
    """
    values = np.frombuffer(text.translate(_LAST, _GO_ON), np.int8).astype(np.int32)
    more = np.flatnonzero(goes_on)
    before_last = ~goes_on[more + 1]
    place, number = more[before_last], (more - np.arange(len(more)))[before_last]
    digits = 1
    while len(place) and digits < _LONGEST:
        digits += 1
        values[number] = (values[number] << 5) | (codes[place] & 31)
        place -= 1  # before the first is the last, after which no digit follows
        further = goes_on[place]
        place, number = place[further], number[further]
    return values, more, place


def _undo_differences(values: Runs, first: Ints) -> None:
    """Sum every second number of a mask, in place: runs 1, 3, 5, … and runs 2, 4, 6, … each from their own first."""
    third = first[:-1][np.diff(first) > 2] + 2
    values[third] -= values[third - 2]  # so that runs 0, 2, 4, … are one chain
    for parity in (0, 1):
        chain = values[parity::2].copy()  # one after the other they are summed five times as fast
        begins = (first + 1 - parity) // 2
        begins = begins[:-1][np.diff(begins) > 0]  # of the masks that have a part in it
        if len(begins):
            chain[begins[1:]] -= np.add.reduceat(chain, begins)[:-1]
            values[parity::2] = np.cumsum(chain, dtype=np.int32)
