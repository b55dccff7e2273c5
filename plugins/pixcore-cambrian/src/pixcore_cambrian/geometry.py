"""Find the cells of Cambrian's square grid that hold image and those that hold padding.

An image is padded to a square, encoded on a square grid, and the rows or columns of padding are cut out of the grid
again. The cut rounds towards keeping cells, so a cell at the border may be half padding.

A cell's query reads the token of each tower at the same row and column, and the towers need not have read the same part
of the square: SigLIP at 384 pixels has 27 patches of 14, so that its tokens are spread over 378. No one rectangle is
what all of them read; the cells are laid over what the tower has read that reads farthest. In Cambrian-8B that is the
whole square, exactly so for three of the four towers. What SigLIP adds to a cell lies nearer to the top left, by 6 of
384 pixels at the far end, 0.38 of a cell, and by less everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixcore.errors import DataError
from pixcore.geometry import VisualGrid, VisualLayout


@dataclass(frozen=True)
class Content:
    """The cells that stay: rows [top, bottom) and columns [left, right) of a square grid."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> int:
        """Rows that stay."""
        return self.bottom - self.top

    @property
    def cols(self) -> int:
        """Columns that stay."""
        return self.right - self.left

    def cut(self, grid: Tensor) -> Tensor:
        """Cut an array (side, side, ...) to the cells that stay, (rows, cols, ...)."""
        return grid[self.top : self.bottom, self.left : self.right]


def content(side: int, width: int, height: int) -> Content:
    """Find the cells of a side x side grid that the published code keeps for a width x height image.

    Source: Cambrian `cambrian_arch.py`, unpad_image; the order of the float operations is part of the result.
    """
    if width > height:
        padding = (side - int(height * (side / width))) // 2
        return Content(padding, side - padding, 0, side)
    padding = (side - int(width * (side / height))) // 2
    return Content(0, side, padding, side - padding)


def kept_cells(side: int, width: int, height: int) -> Content:
    """Find the cells that `content` keeps of an image that some are kept of.

    Raises:
        DataError: The image is so long that none is.
    """
    kept = content(side, width, height)
    if not kept.rows or not kept.cols:
        raise DataError(f"an image of {width}x{height} pixels is too long: none of the {side}x{side} cells is left")
    return kept


def content_mask(side: int, width: int, height: int) -> Tensor:
    """Mark where a tower's own, finer grid holds image: (side, side) bool."""
    kept = content(side, width, height)
    mask = torch.zeros(side, side, dtype=torch.bool)
    mask[kept.top : kept.bottom, kept.left : kept.right] = True
    return mask


def layout(side: int, width: int, height: int, *, published: bool, read: float = 1.0) -> VisualLayout:
    """Lay out the visual tokens in the image: the kept cells, a newline token after each row.

    Args:
        side: Side of the query grid, 24 in Cambrian-8B.
        width: Of the original image.
        height: Of the original image.
        published: The released script treats the cut grid as if it covered the padded square (its default,
            `--aspect pad`), which is wrong unless the image is square. Otherwise the cells lie where they are.
        read: What share of the square's side the tower reads that reads farthest.
    """
    kept = content(side, width, height)
    if published:
        return VisualLayout.single(VisualGrid.padded_to_square(kept.rows, kept.cols, (width, height)), newline=True)
    x0, y0, x1, _ = VisualGrid.padded_to_square(side, side, (width, height)).box
    cell = (x1 - x0) * read / side
    box = (x0 + kept.left * cell, y0 + kept.top * cell, x0 + kept.right * cell, y0 + kept.bottom * cell)
    return VisualLayout.single(VisualGrid(kept.rows, kept.cols, box), newline=True)
