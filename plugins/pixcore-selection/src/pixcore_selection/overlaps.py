"""Measure masks with each other, many at a time, by the part of each column that they cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore_selection.borders import borders_of

_FEW = 2  # strips a mask, on average: beyond, going through the runs of each pair is cheaper


def ious(rles: Sequence[masks.RLE]) -> NDArray[np.float64]:
    """Measure intersection over union of masks with each other; two empty ones have 0.

    Args:
        rles: n masks of one image.

    Returns:
        (n, n) float64, as `masks.iou` has it.
    """
    strips = _Strips(rles)
    if len(strips.owner) > _FEW * len(rles) or not len(strips.owner):
        return masks.iou(rles, rles, both_empty=masks.EmptyMaskPolicy.ZERO)
    once = strips.common(len(rles))
    areas = np.diag(once).copy()
    common = once + once.T - np.diag(areas)
    either = areas[:, None] + areas - common
    return np.divide(common, either, out=common, where=either > 0)


class _Strips:
    """Masks cut so that a strip covers at most one stretch of each column; most masks are one strip.

    Attributes:
        owner: (strips,) int, the mask that each is of.
        top: (strips, width) int, where the stretch of a column begins; below its end where there is none.
        bottom: (strips, width) int, where it ends.
        left: (strips,) int, the first column of each; they ascend.
        right: (strips,) int, the one after its last column.
    """

    def __init__(self, rles: Sequence[masks.RLE]) -> None:
        width, height = masks.size_of(rles[0])
        borders = borders_of(rles)
        begin, end = (np.concatenate([each[side : len(each) // 2 * 2 : 2] for each in borders]) for side in (0, 1))
        owner = np.repeat(np.arange(len(rles)), [len(each) // 2 for each in borders])
        # a run goes on in the columns to the right
        column, last = begin // height, (end - 1) // height
        many = np.where(end > begin, last - column + 1, 0)
        begin, end, owner, column = (np.repeat(each, many) for each in (begin, end, owner, column))
        column += np.arange(len(column)) - np.repeat(np.cumsum(many) - many, many)
        place = owner * width + column
        first = np.flatnonzero(np.diff(place, prepend=-1))
        number = np.arange(len(place)) - np.repeat(first, np.diff(first, append=len(place)))
        found, strip = np.unique(owner + number * len(rles), return_inverse=True)
        self.left, self.right = np.full(len(found), width), np.zeros(len(found), np.int64)
        np.minimum.at(self.left, strip, column)
        np.maximum.at(self.right, strip, column + 1)
        order = np.argsort(self.left, kind="stable")
        self.owner, self.left, self.right = found[order] % len(rles), self.left[order], self.right[order]
        strip = np.argsort(order)[strip]
        short = np.int16 if height < 1 << 15 else np.int32
        self.top, self.bottom = np.full((len(found), width), height, short), np.zeros((len(found), width), short)
        self.top[strip, column] = np.maximum(begin - column * height, 0)
        self.bottom[strip, column] = np.minimum(end - column * height, height)

    def common(self, number: int) -> NDArray[np.float64]:
        """Count the pixels that masks share: (number, number), each two strips at one of the two places."""
        result = np.zeros((number, number))
        reach = np.searchsorted(self.left, self.right)  # strips from here on begin further right
        nothing = np.zeros_like(self.top)  # numpy is faster with an array than with a number
        width, height = self.top.shape[1], int(self.bottom.max())
        ones = np.ones(width, np.float32 if width * height < 1 << 24 else np.float64)  # whole numbers up to there
        bounds = zip(self.left.tolist(), self.right.tolist(), reach.tolist(), strict=True)
        for one, (left, right, stop) in enumerate(bounds):
            top, bottom = self.top[one:stop, left:right], self.bottom[one:stop, left:right]
            shared = np.minimum(bottom, bottom[0])
            shared -= np.maximum(top, top[0])
            np.maximum(shared, nothing[one:stop, left:right], out=shared)
            pixels = shared.astype(ones.dtype) @ ones[: right - left]
            result[self.owner[one]] += np.bincount(self.owner[one:stop], weights=pixels, minlength=number)
        return result
