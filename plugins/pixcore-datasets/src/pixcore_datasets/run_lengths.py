"""Masks that come from outside: COCO's run lengths, checked, many at once.

COCO writes each run as a little-endian number in base 32, six bits a character, and from the fourth run on as the
difference to the run two places before. pycocotools reads past the end of damaged text, so text from outside is checked
here first, all masks of a line in a few array operations: that makes checking a large predictions file cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pixcore.errors import DataError
from pixcore.masks import RLE, check_size

Ints = NDArray[np.int64]

_MOST = 1 << 32  # of a run; pycocotools has 32 bits, and sums of runs can't wrap around
_LONGEST = 7  # characters of one number; 35 bits with its sign


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
        encoded = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return RLE(size=[height, width], counts=encoded["counts"].decode("ascii"))
    if not isinstance(counts, str):
        raise DataError(f"{where} has counts of type {type(counts).__name__}", hint="expected text or a list")
    # pycocotools itself reads past the end of damaged text
    if covered([counts], [where])[0] != width * height:
        raise DataError(f"{where} has counts that do not fill {width}x{height} pixels", hint="is it damaged?")
    return RLE(size=[height, width], counts=counts)


def parse_many(values: Sequence[Any], names: Sequence[str], size: tuple[int, int] | None) -> list[RLE]:
    """Check many masks at once, as `parse` does each: `names` are their places in an error.

    What is not plainly right is left to `parse`, which says what is wrong.
    """
    plain = size is not None and all(
        isinstance(value, dict) and value.get("size") == [size[1], size[0]] and isinstance(value.get("counts"), str)
        for value in values
    )
    if not plain or size is None:
        return [parse(value, where=name, size=size) for value, name in zip(values, names, strict=True)]
    filled = covered([value["counts"] for value in values], names)
    for place in (filled != size[0] * size[1]).nonzero()[0][:1]:
        raise DataError(f"{names[place]} has counts that do not fill {size[0]}x{size[1]} pixels", hint="is it damaged?")
    return [RLE(size=value["size"], counts=value["counts"]) for value in values]


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
    bounds = np.concatenate(([0], np.cumsum([len(text) for text in counts], dtype=np.int64)))
    codes = _codes("".join(counts))

    def owner(position: int) -> str:
        return names[int(np.searchsorted(bounds, position, side="right")) - 1]

    strange = np.flatnonzero(codes > 63)
    if len(strange):
        raise DataError(
            f"{owner(int(strange[0]))} has counts that are not COCO's compressed text", hint="is it damaged?"
        )
    goes_on = codes >= 32
    last = bounds[1:][np.diff(bounds) > 0] - 1
    if goes_on[last].any():
        place = int(last[goes_on[last]][0])
        raise DataError(f"{owner(place)} has counts that end in the middle of a number", hint="is it damaged?")
    ends = np.flatnonzero(~goes_on)
    lengths = np.diff(ends, prepend=-1)
    if len(lengths) and lengths.max() > _LONGEST:
        raise DataError(f"{owner(int(ends[lengths.argmax()]))} has a number of absurd size", hint="is it damaged?")
    values = _numbers(codes, ends, lengths)
    first = np.searchsorted(ends, bounds)
    runs = _undo_differences(values, first)
    if len(runs) and runs.min() < 0:
        raise DataError(f"{owner(int(ends[runs.argmin()]))} has a negative run length", hint="is it damaged?")
    if len(runs) and runs.max() >= _MOST:
        raise DataError(f"{owner(int(ends[runs.argmax()]))} has a run of absurd length", hint="is it damaged?")
    return runs, first


def covered(counts: Sequence[str], names: Sequence[str]) -> Ints:
    """Count the pixels that the runs of each mask fill, inside and outside together.

    Raises:
        DataError: A text is damaged.
    """
    runs, first = run_lengths(counts, names)
    sums = np.concatenate(([0], np.cumsum(runs)))
    return np.asarray(sums[first[1:]] - sums[first[:-1]])


def _codes(text: str) -> NDArray[np.uint8]:
    """Six bits a character; everything that is none of COCO's characters becomes more than 63."""
    plain = text if text.isascii() else "".join(c if c.isascii() else "\x00" for c in text)
    return np.frombuffer(plain.encode("ascii"), np.uint8) - np.uint8(48)


def _numbers(codes: NDArray[np.uint8], ends: Ints, lengths: Ints) -> Ints:
    """Put numbers together from their last digit, which carries the sign, to their first."""
    highest = codes[ends].astype(np.int64)
    values = (highest & 15) - (highest & 16)
    longer = np.flatnonzero(lengths > 1)
    digit = 1
    while len(longer):
        values[longer] = (values[longer] << 5) | (codes[ends[longer] - digit] & 31)
        digit += 1
        longer = longer[lengths[longer] > digit]
    return values


def _undo_differences(values: Ints, first: Ints) -> Ints:
    """Sum every second number of a mask: runs 1, 3, 5, … and runs 2, 4, 6, … each from their own first."""
    sizes = np.diff(first)
    # every mask begins at an even place, so that the two chains of all masks are two slices
    padded_sizes = sizes + sizes % 2
    padded_first = np.concatenate(([0], np.cumsum(padded_sizes)))
    places = np.arange(len(values)) + np.repeat(padded_first[:-1] - first[:-1], sizes)
    padded = np.zeros(padded_first[-1], np.int64)
    padded[places] = values
    filled = sizes > 0
    starts, halves = padded_first[:-1][filled] // 2, padded_sizes[filled] // 2
    even, odd = np.cumsum(padded[0::2]), np.cumsum(padded[1::2])
    heads = padded[0::2][starts]
    padded[0::2] = even - np.repeat(even[starts], halves)
    padded[0::2][starts] = heads
    padded[1::2] = odd - np.repeat(np.where(starts > 0, odd[starts - 1], 0), halves)
    return np.asarray(padded[places])
