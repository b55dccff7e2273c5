"""LLaVA-NeXT and LLaVA-OneVision: the whole image once, then tiles of the padded image without the padding.

The tiles form one large grid over the padded image, from which the model cuts the padding again, in whole cells, and
to each row of which it appends a newline token (`spatial_unpad`; LLaVA `llava/model/llava_arch.py`, transformers
`LlavaNextModel.pack_image_features`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from transformers.image_processing_utils import select_best_resolution

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.tiles import part_read, reach


class LlavaNext(VisualFamily):
    """Lays out LLaVA-NeXT (LLaVA-1.6)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the whole image stretched to a square, then the unpadded tiles with a newline after each row.

        Of a sliver of an image less than a row or column of cells is left: its tiles are newlines, or nothing.
        """
        vision = processed.config.vision_config
        side, share = self.cells(processed.config), reach(vision)
        width, height = processed.size
        whole = VisualLayout.single(VisualGrid(side, side, part_read((0.0, 0.0, width, height), share)))
        canvas = padded_canvas(processed.config, processed.size, side)
        rows, cols = unpadded(canvas, processed.size)
        tiles = VisualLayout.separators(rows)
        if rows and cols:
            centre = _centre(canvas, rows, cols)
            made = self.shrunk(rows, cols, side, processed.config)
            if share == 1:
                tiles = VisualLayout.single(VisualGrid(*made, centre.box), newline=True)
            else:
                tiles = _tiles_apart(canvas, (rows, cols), made, side, share)
        return VisualLayout.joined([whole, tiles])

    def cells(self, config: Any) -> int:
        """Count a tile's cells along a side: its patches."""
        return int(config.vision_config.image_size // config.vision_config.patch_size)

    def shrunk(self, rows: int, cols: int, side: int, config: Any) -> tuple[int, int]:
        """Count the (rows, cols) of the tiles' cells as the language model gets them: here, as they are."""
        return rows, cols


class LlavaOneVision(LlavaNext):
    """Lays out LLaVA-OneVision: as LLaVA-NeXT, but more tokens than `anyres_max_N` allows are interpolated."""

    def shrunk(self, rows: int, cols: int, side: int, config: Any) -> tuple[int, int]:
        """Count fewer cells over the same box, where there are over 1.1² times N tiles' worth of them."""
        most = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
        ratio = math.sqrt(rows * cols / (most * side**2))
        return (rows, cols) if ratio <= 1.1 else (int(rows // ratio), int(cols // ratio))


class Granite4(LlavaNext):
    """Lays out Granite 4 Vision: as LLaVA-NeXT, but windows of patches are made fewer cells before tiles are joined."""

    injected = True

    def cells(self, config: Any) -> int:
        """Count a tile's cells along a side."""
        return int(super().cells(config) * Fraction(config.downsample_rate))


def padded_canvas(config: Any, size: tuple[int, int], side: int) -> VisualGrid:
    """Make the grid over all tiles; its box is the padded image, the image in its centre.

    Args:
        config: The model's config, with `image_grid_pinpoints` as (height, width).
        size: (width, height) of the original image.
        side: Cells along a tile's side.
    """
    width, height = size
    tile = config.vision_config.image_size
    canvas_height, canvas_width = select_best_resolution((height, width), config.image_grid_pinpoints)
    if canvas_width / width < canvas_height / height:
        scaled_width = canvas_width
        scaled_height = min(math.ceil(height * canvas_width / width), canvas_height)
    else:
        scaled_height = canvas_height
        scaled_width = min(math.ceil(width * canvas_height / height), canvas_width)
    per_x, per_y = width / scaled_width, height / scaled_height  # original pixels in one of the resized image
    left, top = -((canvas_width - scaled_width) // 2) * per_x, -((canvas_height - scaled_height) // 2) * per_y
    box = (left, top, left + canvas_width * per_x, top + canvas_height * per_y)
    return VisualGrid(canvas_height // tile * side, canvas_width // tile * side, box)


def unpadded(canvas: VisualGrid, size: tuple[int, int]) -> tuple[int, int]:
    """Count the (rows, cols) of cells that the model keeps in the middle of the canvas.

    Two roundings differ: the processor pads in pixels of the resized image, the model cuts in cells and computes from
    the aspect ratio. So up to a cell of padding stays on each side, and what is kept reaches outside the image.
    """
    width, height = size
    rows, cols = canvas.rows, canvas.cols
    if width / height > cols / rows:
        return rows - (rows - int(round(height * (cols / width), 7))) // 2 * 2, cols
    return rows, cols - (cols - int(round(width * (rows / height), 7))) // 2 * 2


def _centre(canvas: VisualGrid, rows: int, cols: int) -> VisualGrid:
    top, left = (canvas.rows - rows) // 2, (canvas.cols - cols) // 2
    first = canvas.cell_box(top, left)
    last = canvas.cell_box(top + rows - 1, left + cols - 1)
    return VisualGrid(rows, cols, (first[0], first[1], last[2], last[3]))


@dataclass(frozen=True)
class _Run:
    """Cells, along one axis, whose centres lie in one tile.

    Attributes:
        first: The first of them.
        last: The last of them.
        tile: The tile.
        start: Where the first begins, in tiles: 0 at the tile's own start, 1 at its end.
        stop: Where the last ends.
    """

    first: int
    last: int
    tile: int
    start: float
    stop: float


def _runs(before: int, kept: int, made: int, side: int, share: float) -> list[_Run]:
    """Cut the cells along one axis where the tiles meet: what no tower reads lies there.

    Args:
        before: The tiles' cells that are cut away before those that are kept.
        kept: The tiles' cells that are kept.
        made: Cells that these are interpolated to.
        side: Cells along a tile's side.
        share: How much of a tile's side is read.
    """
    step = kept / made
    centres = [before + (cell + 0.5) * step for cell in range(made)]
    runs = []
    for tile, cells in groupby(range(made), key=lambda cell: int(centres[cell] // side)):
        own = list(cells)
        start, stop = centres[own[0]] - step / 2, centres[own[-1]] + step / 2
        runs.append(
            _Run(own[0], own[-1], tile, (start / side - tile) * share, (stop / side - tile) * share),
        )
    return runs


def _tiles_apart(
    canvas: VisualGrid, kept: tuple[int, int], made: tuple[int, int], side: int, share: float
) -> VisualLayout:
    """The centre of a canvas whose tiles are not read to their ends: one grid a tile, in the canvas's row order.

    Args:
        canvas: The grid over all tiles.
        kept: (rows, cols) of its cells in the centre that are kept.
        made: (rows, cols) of the cells that these are interpolated to.
        side: Cells along a tile's side.
        share: How much of a tile's side is read.
    """
    x0, y0, x1, y1 = canvas.box
    wide, high = (x1 - x0) * side / canvas.cols, (y1 - y0) * side / canvas.rows  # of a tile, in original pixels
    grids: list[VisualGrid] = []
    grid_of = np.full((made[0], made[1] + 1), -1, np.int32)  # a newline after each row
    cell_of = grid_of.copy()
    for down in _runs((canvas.rows - kept[0]) // 2, kept[0], made[0], side, share):
        for across in _runs((canvas.cols - kept[1]) // 2, kept[1], made[1], side, share):
            rows, cols = down.last - down.first + 1, across.last - across.first + 1
            here = np.s_[down.first : down.last + 1, across.first : across.last + 1]
            grid_of[here] = len(grids)
            cell_of[here] = np.arange(rows * cols).reshape(rows, cols)
            left, top = x0 + across.tile * wide, y0 + down.tile * high
            box = (left + across.start * wide, top + down.start * high)
            grids.append(VisualGrid(rows, cols, (*box, left + across.stop * wide, top + down.stop * high)))
    return VisualLayout(tuple(grids), grid_of.reshape(-1), cell_of.reshape(-1))
