"""Lay out tiles: an image stretched over rows x cols square crops, each with its own grid of tokens."""

from __future__ import annotations

import math
from typing import Any

from pixcore.geometry import Box, VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily


def reach(vision: Any) -> float:
    """Say what share of a tower's input side its patches cover: a convolution never reads what is left after them."""
    side, patch = (value if isinstance(value, int) else value[0] for value in (vision.image_size, vision.patch_size))
    return float(side // patch * patch / side)


def part_read(box: Box, share: float) -> Box:
    """Find the part of a box, at its top left, that a tower with that `reach` looks at."""
    x0, y0, x1, y1 = box
    return (x0, y0, x0 + (x1 - x0) * share, y0 + (y1 - y0) * share)


def tiled(rows: int, cols: int, side: int, size: tuple[int, int], share: float = 1.0) -> VisualLayout:
    """Make the tiles of an image that was stretched to exactly rows x cols of them, row by row.

    Args:
        rows: Tiles from top to bottom.
        cols: Tiles from left to right.
        side: Cells along a tile's side.
        size: (width, height) of the original image.
        share: The tower's `reach`.
    """
    whole = VisualGrid.stretched(rows, cols, size)
    boxes = [part_read(whole.cell_box(row, col), share) for row in range(rows) for col in range(cols)]
    return VisualLayout.joined([VisualLayout.single(VisualGrid(side, side, box)) for box in boxes])


def square_side(tokens: int) -> int:
    """Give the side of a square grid of that many cells."""
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise ValueError(f"{tokens} tokens are not a square grid")
    return side


def visual_tokens(family: VisualFamily, processed: Processed) -> int:
    """Count the visual tokens of a prompt."""
    return int(family.visual(processed).sum())
