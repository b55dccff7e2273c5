"""Select points and boxes by the region around the peak."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import flood

from pixcore.components import PointSelector
from pixcore.records import PointPrompt
from pixcore_points.config import BoxOfRegionConfig, PeakRegionConfig
from pixcore_points.peaks import peak_of


def peak_region(relevance: NDArray[np.float32], level: float) -> NDArray[np.bool_]:
    """Find the pixels around the peak that are nearly as relevant.

    Args:
        relevance: (height, width).
        level: Share of the way from the map's lowest value to its highest that a pixel must reach.

    Returns:
        (height, width): the 8-connected region that holds the peak. A map without differences is one region.
    """
    lowest, highest = float(relevance.min()), float(relevance.max())
    column, row = peak_of(relevance)
    high = relevance >= lowest + level * (highest - lowest)
    high[row, column] = True  # rounding can put the threshold above the peak itself
    return np.asarray(flood(high, (row, column), connectivity=2), dtype=bool)


class WeightedCentre(PointSelector[PeakRegionConfig]):
    """Selects the centre of mass of the region around the peak, weighted by relevance above the region's edge.

    A peak often lies on an edge of the object, the centre further inside. In a region that is not convex the centre
    may lie outside; then the region's nearest pixel is taken.
    """

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Give one positive point, at sub-pixel accuracy unless it was moved back into the region."""
        region = peak_region(relevance, self.config.level)
        rows, columns = np.nonzero(region)
        values = relevance[region].astype(np.float64)
        weights = values - values.min()
        if not weights.sum() > 0:
            weights = np.ones_like(values)
        x, y = float(np.average(columns, weights=weights)), float(np.average(rows, weights=weights))
        if not region[round(y), round(x)]:
            nearest = int(np.argmin((columns - x) ** 2 + (rows - y) ** 2))
            x, y = float(columns[nearest]), float(rows[nearest])
        return PointPrompt.at((x, y))


class BoxOfRegion(PointSelector[BoxOfRegionConfig]):
    """Selects the bounding box of the region around the peak.

    Box corners are edges, as everywhere in pixcore: a region of the one pixel (i, j) has the box (i, j, i+1, j+1).
    """

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Give a box, and the peak as a positive point if asked for."""
        rows, columns = np.nonzero(peak_region(relevance, self.config.level))
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        points = [peak_of(relevance)] if self.config.with_peak else []
        positive = PointPrompt.at(*points) if points else None
        if positive is None:
            return PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), box)
        return PointPrompt(positive.points, positive.labels, box)
