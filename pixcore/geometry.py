"""Visual tokens and image pixels: one type for padding, cropping, tiling and separators.

Coordinates are (x, y) in pixels of the *original* image, x to the right, y down, the origin at the top left
corner of the top left pixel; pixel (i, j) covers [i, i+1) x [j, j+1) and has its centre at (i+0.5, j+0.5).
Sizes are (width, height); arrays are (height, width).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels of the original image."""

_CUBIC = -0.75  # the coefficient of torch's and OpenCV's bicubic kernel, which attend-and-segment uses
# Products of so few terms OpenBLAS leaves to one thread. Its other threads, once called, would go on spinning for a
# while on cores that torch is to have.
_ONE_THREAD = 2**18


@dataclass(frozen=True)
class VisualGrid:
    """A regular grid of visual tokens and the rectangle of the image that it covers.

    Attributes:
        rows: Number of cells from top to bottom.
        cols: Number of cells from left to right.
        box: The covered rectangle in original image pixels. It reaches outside the image where the model
            padded, and stays inside it where the model cropped.
    """

    rows: int
    cols: int
    box: Box

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1:
            raise ValueError(f"a visual grid needs at least one row and column, got {self.rows}x{self.cols}")
        x0, y0, x1, y1 = self.box
        if not (x1 > x0 and y1 > y0):
            raise ValueError(f"a visual grid's box must have a positive area, got {self.box}")

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.rows * self.cols

    @classmethod
    def stretched(cls, rows: int, cols: int, size: tuple[int, int]) -> VisualGrid:
        """Make the grid of a model that resizes the whole (width, height) image, whatever its aspect."""
        return cls(rows, cols, (0.0, 0.0, float(size[0]), float(size[1])))

    @classmethod
    def padded_to_square(cls, rows: int, cols: int, size: tuple[int, int]) -> VisualGrid:
        """Make the grid of a model that pads the (width, height) image to a square, the image centred.

        The offset is floored to a whole pixel, as LLaVA's `expand2square` does.
        """
        (width, height), side = size, max(size)
        x0, y0 = float(-((side - width) // 2)), float(-((side - height) // 2))
        return cls(rows, cols, (x0, y0, x0 + side, y0 + side))

    @classmethod
    def centre_cropped(cls, rows: int, cols: int, size: tuple[int, int]) -> VisualGrid:
        """Make the grid of a model that resizes the shortest edge and crops the central square."""
        (width, height), side = size, float(min(size))
        x0, y0 = (width - side) / 2, (height - side) / 2
        return cls(rows, cols, (x0, y0, x0 + side, y0 + side))

    def cell_box(self, row: int, col: int) -> Box:
        """Give the rectangle of one cell, in original image pixels."""
        x0, y0, x1, y1 = self.box
        width, height = (x1 - x0) / self.cols, (y1 - y0) / self.rows
        return (x0 + col * width, y0 + row * height, x0 + (col + 1) * width, y0 + (row + 1) * height)

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Find the (row, col) of the cell that covers a point, or None outside the box."""
        x0, y0, x1, y1 = self.box
        row, col = (y - y0) / (y1 - y0) * self.rows, (x - x0) / (x1 - x0) * self.cols
        return (min(int(row), self.rows - 1), min(int(col), self.cols - 1)) if x0 <= x < x1 and y0 <= y < y1 else None

    def upsample(self, values: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
        """Upsample one value per cell bicubically over the box and cut it to the image.

        For a box that is the padded square this equals resizing to the square and cutting the image out of it, as
        attend-and-segment does (paper section 3.2; groundLMM `aas/infer_attn.py`).

        Args:
            values: (rows, cols).
            size: (width, height) of the original image.

        Returns:
            (height, width) float32. Outside the box the nearest cells are repeated.

        Two cells over four pixels; a cubic goes a little beyond its cells' values:

        >>> pixels = VisualGrid.stretched(1, 2, (4, 1)).upsample(np.array([[0.0, 1.0]]), (4, 1))
        >>> print(*(f"{value:.2f}" for value in pixels[0]))
        -0.11 0.23 0.77 1.11
        """
        if values.shape != (self.rows, self.cols):
            raise ValueError(f"expected values of shape {(self.rows, self.cols)}, got {values.shape}")
        (width, height), (x0, y0, x1, y1) = size, self.box
        down = cubic_weights(self.rows, height, y0, y1)
        across = cubic_weights(self.cols, width, x0, x1)
        tall, image = down @ values.astype(np.float64), np.empty((height, width), np.float32)
        some = max(1, _ONE_THREAD // across.size)
        for first in range(0, height, some):
            image[first : first + some] = tall[first : first + some] @ across.T
        return image

    def covers(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Mark the pixels of a (width, height) image that have their centre inside the box: (height, width) bool."""
        (width, height), (x0, y0, x1, y1) = size, self.box
        xs, ys = np.arange(width) + 0.5, np.arange(height) + 0.5
        return ((ys >= y0) & (ys < y1))[:, None] & ((xs >= x0) & (xs < x1))[None, :]


@lru_cache(maxsize=64)
def cubic_weights(cells: int, pixels: int, start: float, stop: float) -> NDArray[np.float64]:
    """The (pixels, cells) weights of bicubic interpolation along one axis, borders replicated."""
    scale = cells / (stop - start)
    position = (np.arange(pixels) + 0.5 - start) * scale - 0.5
    first = np.floor(position)
    t = position - first
    a, far, near = _CUBIC, 1.0 + t, t
    weights = np.stack(
        [
            ((a * far - 5 * a) * far + 8 * a) * far - 4 * a,
            ((a + 2) * near - (a + 3)) * near * near + 1,
            ((a + 2) * (1 - near) - (a + 3)) * (1 - near) ** 2 + 1,
            ((a * (2 - near) - 5 * a) * (2 - near) + 8 * a) * (2 - near) - 4 * a,
        ]
    )
    matrix = np.zeros((pixels, cells))
    for offset in range(4):
        index = np.clip(first + offset - 1, 0, cells - 1).astype(np.int64)
        np.add.at(matrix, (np.arange(pixels), index), weights[offset])
    matrix.setflags(write=False)
    return matrix


@dataclass(frozen=True, eq=False)
class VisualLayout:
    """Where every visual token of one request lies in the image.

    Attributes:
        grids: One grid, or several where the model cuts the image into tiles (a thumbnail is one more).
        grid_of: (tokens,) int, for each visual token in sequence order the index of its grid; -1 for a token
            that is no cell, such as LLaVA's newline or a tile separator.
        cell_of: (tokens,) int, the cell in its grid in row-major order; -1 for a token that is no cell.
    """

    grids: tuple[VisualGrid, ...]
    grid_of: NDArray[np.int32] = field(repr=False)
    cell_of: NDArray[np.int32] = field(repr=False)

    def __post_init__(self) -> None:
        if self.grid_of.shape != self.cell_of.shape or self.grid_of.ndim != 1:
            raise ValueError(f"grid_of {self.grid_of.shape} and cell_of {self.cell_of.shape} must be one list")
        if np.any((self.grid_of >= 0) != (self.cell_of >= 0)):
            raise ValueError("a visual token has both a grid and a cell, or neither")
        if np.any(self.grid_of >= len(self.grids)):
            raise ValueError(f"a visual token names grid {int(self.grid_of.max())} of {len(self.grids)}")
        for index, grid in enumerate(self.grids):
            cells = self.cell_of[self.grid_of == index]
            if np.any(cells >= grid.cells) or np.any(np.bincount(cells) > 1):
                raise ValueError(f"the cells of grid {index} must be distinct and below {grid.cells}")

    @classmethod
    def single(cls, grid: VisualGrid, *, newline: bool = False) -> VisualLayout:
        """Lay out one grid in row-major order, with one separator token after each row when `newline`."""
        cells = np.arange(grid.cells, dtype=np.int32).reshape(grid.rows, grid.cols)
        flat = np.pad(cells, ((0, 0), (0, int(newline))), constant_values=-1).reshape(-1)
        return cls((grid,), np.where(flat >= 0, 0, -1).astype(np.int32), flat)

    @classmethod
    def joined(cls, layouts: Sequence[VisualLayout]) -> VisualLayout:
        """Join several layouts whose tokens follow each other."""
        grids: list[VisualGrid] = []
        grid_of: list[NDArray[np.int32]] = []
        for layout in layouts:
            grid_of.append(np.where(layout.grid_of >= 0, layout.grid_of + len(grids), -1).astype(np.int32))
            grids.extend(layout.grids)
        return cls(tuple(grids), np.concatenate(grid_of), np.concatenate([layout.cell_of for layout in layouts]))

    @classmethod
    def separators(cls, count: int) -> VisualLayout:
        """Lay out tokens that are no cells, to be joined with others."""
        return cls((), np.full(count, -1, np.int32), np.full(count, -1, np.int32))

    @property
    def tokens(self) -> int:
        """Number of visual tokens, separators included."""
        return len(self.grid_of)

    def cell_box(self, token: int) -> Box | None:
        """Give the image rectangle of a visual token, or None for a separator."""
        grid_index, cell = int(self.grid_of[token]), int(self.cell_of[token])
        if grid_index < 0:
            return None
        grid = self.grids[grid_index]
        return grid.cell_box(cell // grid.cols, cell % grid.cols)

    def cell_values(self, values: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        """Sort one value per visual token into its grids.

        Args:
            values: (tokens,).

        Returns:
            For each grid a (rows, cols) float32 array; a cell without a token holds the grid's smallest value.
        """
        if values.shape != (self.tokens,):
            raise ValueError(f"expected {self.tokens} values, one a visual token, got {values.shape}")
        result = []
        for index, grid in enumerate(self.grids):
            here = self.grid_of == index
            own = values[here].astype(np.float32)
            cells = np.full(grid.cells, own.min() if len(own) else 0.0, np.float32)
            cells[self.cell_of[here]] = own
            result.append(cells.reshape(grid.rows, grid.cols))
        return result

    def to_image(self, values: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
        """Turn one value per visual token into one per pixel.

        Where several grids cover a pixel (tiles and a thumbnail) the mean of them is taken; a pixel that no grid
        covers (cropped away) gets the smallest value of the covered ones, so that no peak lies there.

        Args:
            values: (tokens,), in sequence order.
            size: (width, height) of the original image.

        Returns:
            (height, width) float32.
        """
        width, height = size
        if len(self.grids) == 1 and self.grids[0].covers(size).all():
            return self.grids[0].upsample(self.cell_values(values)[0], size)
        total = np.zeros((height, width), np.float64)
        count = np.zeros((height, width), np.int32)
        for grid, cells in zip(self.grids, self.cell_values(values), strict=True):
            covered = grid.covers(size)
            np.add(total, grid.upsample(cells, size), out=total, where=covered)
            count += covered
        if not count.any():
            raise ValueError("no visual grid covers any pixel of the image")
        image = total / np.maximum(count, 1)
        image[count == 0] = image[count > 0].min()
        return image.astype(np.float32)
