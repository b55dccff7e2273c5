"""LabelMe's outlines become masks as ReasonSeg's evaluation draws them: filled, and their line drawn too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw
from pixcore_datasets.polygons import clipped

from pixcore.errors import DataError

_FARTHEST = 2**31  # the release keeps corners as 32-bit integers


def corners_of(points: Any, where: str) -> list[tuple[int, int]]:
    """Read [[x, y], …], cut to whole pixels as the release does (towards zero).

    Raises:
        DataError: It is no list of points, or a coordinate is no number that an image could have.
    """
    try:
        corners = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where} has points that are not a list of [x, y]", hint="is it damaged?") from None
    if not corners:
        raise DataError(f"{where} has no points", hint="give it an outline, or drop it")
    if not all(math.isfinite(value) and abs(value) < _FARTHEST for corner in corners for value in corner):
        raise DataError(f"{where} has a coordinate that is no place in an image", hint="is it damaged?")
    return [(int(x), int(y)) for x, y in corners]


def drawn(corners: Sequence[tuple[int, int]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill an outline by the even-odd rule and draw its closed line, one pixel wide.

    Args:
        corners: At least one (x, y), in whole pixels; a pixel's centre has whole coordinates, as in OpenCV.
        size: (width, height) of the image.

    Returns:
        (height, width) bool. It equals OpenCV's `polylines` and `fillPoly` but for pixels where a line passes halfway
        between two, or comes from outside the image.
    """
    width, height = size
    near = clipped([float(value) for corner in corners for value in corner], size)
    ring = [(round(x), round(y)) for x, y in zip(near[0::2], near[1::2], strict=True)]
    if not ring:
        return np.zeros((height, width), bool)
    crossings = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        rows = np.arange(max(0, min(y0, y1)), min(height, max(y0, y1)))
        if len(rows):
            columns = np.ceil(x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))).astype(int)
            np.add.at(crossings, (rows, np.clip(columns, 0, width)), 1)
    filled = (np.cumsum(crossings, axis=1)[:, :width] % 2).astype(np.uint8)
    canvas = PILImage.fromarray(filled)
    ImageDraw.Draw(canvas).line([*ring, ring[0]], fill=1)
    return np.asarray(canvas, np.uint8) > 0
