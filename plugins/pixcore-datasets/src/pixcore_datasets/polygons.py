"""COCO's polygons become masks, whatever their corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco

from pixcore.errors import DataError
from pixcore.masks import RLE, check_size, empty

_LONGEST_OUTLINE = 5_000_000  # pixels; pycocotools holds 40 bytes for each


def from_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> RLE:
    """Rasterise COCO polygons ([x0, y0, x1, y1, …] each) as pycocotools does, and unite them.

    Raises:
        DataError: The image is too large, or an outline is longer than any real one.
    """
    check_size(size, "a polygon's image")
    width, height = size
    rings = [near for ring in polygons if len(near := clipped(ring, size)) >= 6]
    if not rings:
        return empty(size)
    for ring in rings:
        corners = np.asarray(ring).reshape(-1, 2)
        if np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1).sum() > _LONGEST_OUTLINE:
            raise DataError(
                f"a polygon's outline is more than {_LONGEST_OUTLINE} pixels long", hint="is it damaged? or use RLE"
            )
    merged = coco.merge(coco.frPyObjects(rings, height, width))
    return RLE(size=[height, width], counts=merged["counts"].decode("ascii"))


def clipped(ring: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Cut off what of a polygon lies further from a (width, height) image than the image is large.

    The pixels inside are the same, and the work no longer grows with the distance. [x0, y0, x1, y1, …] in and out; a
    polygon that comes nowhere near has no corners left.
    """
    margin = float(max(size))
    corners = [(float(x), float(y)) for x, y in zip(ring[0::2], ring[1::2], strict=True)]
    for axis in (0, 1):
        for sign, limit in ((1.0, margin + size[axis]), (-1.0, margin)):
            if not any(sign * corner[axis] > limit for corner in corners):
                continue
            kept: list[tuple[float, float]] = []
            for one, other in zip(corners, [*corners[1:], corners[0]], strict=True):
                near, far = sorted((one, other), key=lambda corner: sign * corner[axis])
                if sign * one[axis] <= limit:
                    kept.append(one)
                if sign * near[axis] <= limit < sign * far[axis]:
                    # halves, since a difference of two floats may be too large for one
                    t = (limit / 2 - sign * near[axis] / 2) / (sign * far[axis] / 2 - sign * near[axis] / 2)
                    across = near[1 - axis] * (1 - t) + far[1 - axis] * t
                    kept.append((sign * limit, across) if axis == 0 else (across, sign * limit))
            corners = kept
    return [value for corner in corners for value in corner]
