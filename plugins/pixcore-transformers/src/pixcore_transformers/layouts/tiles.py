"""Tiles: an image stretched over rows x cols square crops, each with its own grid of tokens."""

from __future__ import annotations

import math

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily


def tiled(rows: int, cols: int, side: int, size: tuple[int, int]) -> VisualLayout:
    """The tiles of an image that was stretched to exactly rows x cols of them, row by row.

    Args:
        rows: Tiles from top to bottom.
        cols: Tiles from left to right.
        side: Cells along a tile's side.
        size: (width, height) of the original image.
    """
    whole = VisualGrid.stretched(rows, cols, size)
    boxes = [whole.cell_box(row, col) for row in range(rows) for col in range(cols)]
    return VisualLayout.joined([VisualLayout.single(VisualGrid(side, side, box)) for box in boxes])


def square_side(tokens: int) -> int:
    """The side of a square grid of that many cells."""
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise ValueError(f"{tokens} tokens are not a square grid")
    return side


def visual_tokens(family: VisualFamily, processed: Processed) -> int:
    """How many visual tokens a prompt has."""
    return int(family.visual(processed).sum())
