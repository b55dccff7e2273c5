"""Sum a map's relevance inside masks: an image once, and of each mask its borders alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pixcore.geometry import VisualLayout, cubic_weights
from pixcore_selection.borders import Borders

_COLUMNS = 64  # so many of 480 pixels stay near a core, and fewer would be more calls than work


def sums_inside(
    relevance: NDArray[np.float32], borders: Sequence[Borders]
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Sum a map over masks.

    Args:
        relevance: (width, height), as `RelevanceAtPixels` gives it.
        borders: Those of n masks.

    Returns:
        (n,) the sum inside each mask, the sum over the image, and (n,) each mask's share of its pixels.
    """
    ends = np.sort(np.concatenate([[0], *borders, [relevance.size]]), kind="stable")  # which merges sorted parts
    ends = ends[np.append(True, ends[1:] > ends[:-1])]
    starts = ends[:-1]
    # a piece between two borders is inside a mask where an odd number of the mask's lie before it
    inside = np.ones((len(borders) + 1, len(starts)))
    for row, each in zip(inside[1:], borders, strict=True):
        row[:] = each.searchsorted(starts, side="right") & 1
    sums = inside @ np.add.reduceat(relevance.reshape(-1), starts)
    areas = inside[1:] @ (ends[1:] - starts)
    return sums[1:], float(sums[0]), areas / relevance.size


class RelevanceAtPixels:
    """Brings one map after another to an image's pixels, in the same memory."""

    def __init__(self, layout: VisualLayout, size: tuple[int, int]) -> None:
        """Take the layout of the maps' visual tokens and the (width, height) of the image."""
        self._layout, self._size = layout, size
        self._plain = len(layout.grids) == 1 and bool(layout.grids[0].covers(size).all())
        self._image = np.empty(size, np.float32)
        # with an array numpy takes the greater of two four times faster than with a number
        self._nothing = np.zeros((_COLUMNS, size[1]), np.float32)

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring a map to the pixels as `layout.to_image` does, in 32 bits, and cut it off below 0.

        Args:
            values: (tokens,), one a visual token.

        Returns:
            (width, height): column by column, as masks have their runs. The next map overwrites it.
        """
        width, height = self._size
        if not self._plain:
            return np.maximum(self._layout.to_image(values, self._size).T, 0, out=self._image)
        (grid,), (cells,) = self._layout.grids, self._layout.cell_values(values)
        x0, y0, x1, y1 = grid.box
        ((_, rows, down),) = _bands(grid.rows, height, y0, y1, height)
        across = cells[rows].T @ down.T  # (cols, height)
        for columns, some, weights in _bands(grid.cols, width, x0, x1, _COLUMNS):
            part = np.matmul(weights, across[some], out=self._image[columns])
            np.maximum(part, self._nothing[: len(part)], out=part)
        return self._image


@lru_cache(maxsize=16)
def _bands(
    cells: int, pixels: int, start: float, stop: float, at_once: int
) -> tuple[tuple[slice, slice, NDArray[np.float32]], ...]:
    """Cut an axis into bands: the pixels of each, the cells that they have a share of, and the bicubic weights."""
    every, found = cubic_weights(cells, pixels, start, stop), []
    for first in range(0, pixels, at_once):
        weights = every[first : first + at_once]
        used = np.flatnonzero(weights.any(axis=0))
        some = slice(int(used[0]), int(used[-1]) + 1)
        found.append((slice(first, first + at_once), some, np.ascontiguousarray(weights[:, some], dtype=np.float32)))
    return tuple(found)
