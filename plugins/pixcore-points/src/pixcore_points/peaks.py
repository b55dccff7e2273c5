"""Select points at the highest (and lowest) places of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.feature import peak_local_max

from pixcore.components import PointSelector
from pixcore.records import PointPrompt
from pixcore_points.config import PeakConfig, PeaksConfig, PositiveNegativeConfig


def peak_of(relevance: NDArray[np.float32]) -> tuple[int, int]:
    """Find the highest pixel (x, y) of a (height, width) map; the first in reading order of several as high."""
    row, column = np.unravel_index(int(np.argmax(relevance)), relevance.shape)
    return int(column), int(row)


def maxima_of(
    relevance: NDArray[np.float32], distance: float, count: int, beside: tuple[int, int] | None = None
) -> NDArray[np.float32]:
    """Find the highest local maxima of a map.

    Args:
        relevance: (height, width).
        distance: The least Euclidean distance between two of them, in pixels; no pixel is found twice.
        count: How many at most.
        beside: A pixel (x, y) to which they keep that distance as well.

    Returns:
        (k, 2) float32 of (x, y), the highest first, k <= `count`. The first is `peak_of` the map unless that lies too
        near to `beside`; without one there is always a first.
    """
    found = peak_local_max(relevance, min_distance=1, exclude_border=False)
    left = np.concatenate([[peak_of(relevance)], found[:, ::-1]])
    left = left if beside is None else _away(left, beside, distance)
    kept: list[NDArray[np.int64]] = []
    while len(left) and len(kept) < count:
        kept.append(left[0])
        left = _away(left, left[0], distance)
    return np.asarray(kept, np.float32).reshape(-1, 2)


def _away(points: NDArray[np.int64], one: ArrayLike, distance: float) -> NDArray[np.int64]:
    """Those of some points (n, 2) that lie at least so far from one; itself never."""
    away: NDArray[np.bool_] = np.hypot(*np.subtract(points, one).T) >= max(distance, 1)
    return points[away]


class Peak(PointSelector[PeakConfig]):
    """Selects the highest pixel of the map, or the one of a later rank.

    This is attend-and-segment's choice (paper section 3.2): the argmax of the bicubically upsampled map after it was
    cut to the image. Of several highest pixels it is the first in reading order. Another rank is what the released
    script's `--max_point` asks for (PixFoundation `infer_pixfoundation.py:302-306`).
    """

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Give one positive point."""
        if self.config.rank == 1:
            return PointPrompt.at(peak_of(relevance))
        order = np.argsort(-relevance, axis=None, kind="stable")
        place = int(order[min(self.config.rank, len(order)) - 1])
        row, column = divmod(place, relevance.shape[1])
        return PointPrompt.at((column, row))


class Peaks(PointSelector[PeaksConfig]):
    """Selects the k highest local maxima in one prompt; a map without other maxima gives its peak alone."""

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Give one to k positive points, the highest first."""
        distance = self.config.min_distance * max(relevance.shape)
        return PointPrompt.at(*maxima_of(relevance, distance, self.config.k))


class PositiveNegative(PointSelector[PositiveNegativeConfig]):
    """Selects the peak as a positive point, and the lowest local minima as negative ones.

    A negative point tells the mask generator what the phrase is *not* about. It lies at least `min_distance` from
    the peak and from the other negative points; a map without such a minimum gives the peak alone.
    """

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Give one positive point, then the negative ones, the lowest first."""
        distance = self.config.min_distance * max(relevance.shape)
        peak = peak_of(relevance)
        negatives = maxima_of(-relevance, distance, self.config.negatives, beside=peak)
        labels = np.array([1] + [0] * len(negatives), np.int8)
        return PointPrompt(np.concatenate([np.asarray([peak], np.float32), negatives]), labels)
