"""Masks: COCO run-length encoding, intersection over union, polygons, and checks of what comes from outside.

A mask in memory is a (height, width) bool array; a mask in a record is an `RLE`. All measuring happens on the
run lengths, through pycocotools, so that scoring never decodes a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pixcore.errors import DataError

Mask = NDArray[np.bool_]

MOST_PIXELS = 1 << 28
"""The largest image that a mask may belong to; Pillow opens none as large."""

_AT_ONCE = 255  # pycocotools counts areas with one byte


class RLE(TypedDict):
    """COCO's compressed run-length encoding.

    Attributes:
        size: [height, width], in this order (COCO's).
        counts: The compressed run lengths, column by column, as ASCII text.
    """

    size: list[int]
    counts: str


class EmptyMaskPolicy(StrEnum):
    """What the IoU of two empty masks is; conventions differ, so the choice has a name.

    `ONE`: 1, as the published evaluator and LISA have it. `ZERO`: 0. `SKIP`: NaN, so that a mean can leave it out.
    """

    ONE = "one"
    ZERO = "zero"
    SKIP = "skip"


def encode(mask: Mask) -> RLE:
    """Encode a (height, width) bool mask."""
    if mask.ndim != 2 or mask.dtype != bool:  # of other numbers pycocotools takes each change for a border
        raise ValueError(f"a mask is a bool array (height, width), got {mask.dtype} {mask.shape}; mask > 0 makes one")
    return _text(coco.encode(np.asfortranarray(mask, dtype=np.uint8)))


def encode_many(masks: NDArray[np.bool_], size: tuple[int, int] | None = None) -> list[RLE]:
    """Encode (n, height, width) bool masks, brought to another (width, height) by their runs alone if one is given."""
    if masks.ndim != 3 or masks.dtype != bool:
        raise ValueError(f"masks are a bool array (n, height, width), got {masks.dtype} {masks.shape}")
    if size is not None and masks.shape[:0:-1] != size:
        return [_resized(mask, size) for mask in masks]
    if not len(masks):
        return []
    return [_text(rle) for rle in coco.encode(np.asfortranarray(np.moveaxis(masks, 0, -1), dtype=np.uint8))]


def _resized(mask: Mask, size: tuple[int, int]) -> RLE:
    """Encode `resized(mask, size)`: where a column's runs begin and end, as often as the column is repeated."""
    (rows, columns), (width, height) = mask.shape, size
    column, row = np.diff(mask.T, prepend=False, append=False, axis=1).nonzero()
    below = (2 * height * row + rows - 1) // (2 * rows)  # the first pixel whose centre lies below a border
    source = ((np.arange(width) + 0.5) * columns / width).astype(np.int64)
    first = np.searchsorted(column, np.arange(columns + 1))
    count = np.diff(first)[source]
    places = np.arange(count.sum()) + np.repeat(first[source] - np.cumsum(count) + count, count)
    borders, times = np.unique(np.repeat(np.arange(width), count) * height + below[places], return_counts=True)
    borders = borders[(times % 2 == 1) & (borders < width * height)]  # runs that end where the next begins go on
    runs = np.diff(borders, prepend=0, append=width * height).tolist()
    return _text(coco.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def decode(rle: RLE) -> Mask:
    """Decode to a (height, width) bool mask."""
    return np.asarray(coco.decode(rle), dtype=bool)


def check(rle: Any, where: str) -> None:
    """Refuse what is no `RLE`, or does not fill its size: pycocotools reads on past its end.

    Raises:
        DataError: It is such.
    """
    counts, size = (rle.get("counts"), rle.get("size", [])) if isinstance(rle, Mapping) else ("", [])
    text = counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else b""
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(digits < 32)  # of each number; a sixth bit says that another digit follows
    lengths = np.diff(last, prepend=-1)
    sides = isinstance(size, list | tuple) and len(size) == 2 and all(type(one) is int and one > 0 for one in size)
    if sides and 0 < len(digits) == lengths.sum() and digits.min() >= 0 and digits.max() < 64 and lengths.max() < 7:
        place = np.arange(len(digits)) - np.repeat(last - lengths + 1, lengths)
        runs = np.add.reduceat(digits % 32 << 5 * place, last - lengths + 1) - (digits[last] // 16 << 5 * lengths)
        runs[1::2], runs[2::2] = runs[1::2].cumsum(), runs[2::2].cumsum()  # each was a difference to its like
        if runs.min() >= 0 and runs.sum() == size[0] * size[1]:
            return
    hint = "give text as counts, as pixcore.masks.encode does, and [height, width] as size"
    raise DataError(f"{where} is not COCO RLE that fills its size: {' '.join(str(rle).split()):.60}", hint=hint)


def empty(size: tuple[int, int]) -> RLE:
    """Make the empty mask of a (width, height) image."""
    check_size(size, "a mask")
    width, height = size
    return _text(coco.frPyObjects({"size": [height, width], "counts": [width * height]}, height, width))


def check_size(size: tuple[int, int], where: str) -> None:
    """Refuse images that are larger than any that can be opened.

    Raises:
        DataError: This one is.
    """
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(f"{where} would have more than {MOST_PIXELS} pixels", hint="is its size [height, width]?")


def union(rles: Sequence[RLE], size: tuple[int, int]) -> RLE:
    """Unite masks of one (width, height) image; no mask gives the empty one."""
    _check_sizes(rles, [size[1], size[0]])
    return _text(coco.merge(list(rles), intersect=False)) if rles else empty(size)


def _check_sizes(rles: Sequence[RLE], expected: list[int]) -> None:
    """Refuse masks of unlike sizes, of which pycocotools makes one without a pixel."""
    for rle in rles:
        if list(rle["size"]) != expected:
            said = f"a mask of size {list(rle['size'])} meets one of size {expected} ([height, width])"
            raise DataError(said, hint="a predicted mask must have the size of its image")


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """Bring a mask to another (width, height): each pixel takes the value under its centre."""
    width, height = size
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    cols = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    return np.asarray(mask[rows[:, None], cols])


def area(rle: RLE) -> int:
    """Count the pixels inside a mask."""
    return int(coco.area(rle))


def areas(rles: Sequence[RLE]) -> NDArray[np.int64]:
    """Count the pixels inside each of any number of masks."""
    parts = [coco.area(list(rles[i : i + _AT_ONCE])) for i in range(0, len(rles), _AT_ONCE)]
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)


def size_of(rle: RLE) -> tuple[int, int]:
    """Give the (width, height) of the image that a mask belongs to."""
    return int(rle["size"][1]), int(rle["size"][0])


def iou(
    predictions: Sequence[RLE], truths: Sequence[RLE], *, both_empty: EmptyMaskPolicy = EmptyMaskPolicy.ONE
) -> NDArray[np.float64]:
    """Measure intersection over union of every prediction with every ground truth.

    Args:
        predictions: n masks.
        truths: m masks of the same image size.
        both_empty: What two empty masks give.

    Returns:
        (n, m) float64.

    Raises:
        DataError: The masks have different sizes.

    Two of four columns against three of them share two:

    >>> left, right = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    >>> left[:, :2], right[:, :3] = True, True
    >>> iou([encode(left)], [encode(right)]).round(3).tolist()
    [[0.667]]
    """
    if not predictions or not truths:
        return np.zeros((len(predictions), len(truths)))
    _check_sizes([*predictions, *truths], list(truths[0]["size"]))
    left, right = list(predictions), list(truths)
    values = _overlaps(left) if predictions is truths else np.asarray(coco.iou(left, right, [0] * len(right)))
    nowhere = areas(truths) == 0
    if nowhere.any():
        policies = {EmptyMaskPolicy.ONE: 1.0, EmptyMaskPolicy.ZERO: 0.0, EmptyMaskPolicy.SKIP: np.nan}
        values[(areas(predictions) == 0)[:, None] & nowhere[None, :]] = policies[EmptyMaskPolicy(both_empty)]
    return values


def _overlaps(rles: list[RLE]) -> NDArray[np.float64]:
    """Measure masks with each other: what was measured with one half of them is the same the other way round."""
    middle = len(rles) // 2
    if middle < 16:
        return np.asarray(coco.iou(rles, rles, [0] * len(rles)))
    across = np.asarray(coco.iou(rles[:middle], rles[middle:], [0] * (len(rles) - middle)))
    return np.block([[_overlaps(rles[:middle]), across], [across.T, _overlaps(rles[middle:])]])


def _text(rle: Mapping[str, Any]) -> RLE:
    counts = rle["counts"].decode("ascii") if isinstance(rle["counts"], bytes) else rle["counts"]
    return RLE(size=[int(n) for n in rle["size"]], counts=counts)
