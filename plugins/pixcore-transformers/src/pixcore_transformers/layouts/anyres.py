"""LLaVA-NeXT and LLaVA-OneVision: the whole image once, then tiles of the padded image without the padding.

The tiles form one large grid over the padded image, from which the model cuts the padding again, in whole cells, and
to each row of which it appends a newline token (`spatial_unpad`; LLaVA `llava/model/llava_arch.py`, transformers
`LlavaNextModel.pack_image_features`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from transformers.image_processing_utils import select_best_resolution

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.tiles import part_read, reach


class LlavaNext(VisualFamily):
    """Lays out LLaVA-NeXT (LLaVA-1.6)."""

    model_types = ("llava_next",)

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the whole image stretched to a square, then the unpadded tiles with a newline after each row.

        Of a sliver of an image less than a row or column of cells is left: its tiles are newlines, or nothing.
        """
        vision = processed.config.vision_config
        side, share = vision.image_size // vision.patch_size, reach(vision)
        width, height = processed.size
        whole = VisualLayout.single(VisualGrid(side, side, part_read((0.0, 0.0, width, height), share)))
        canvas = padded_canvas(processed.config, processed.size)
        rows, cols = unpadded(canvas, processed.size)
        tiles = VisualLayout.separators(rows)
        if rows and cols:
            centre = _centre(canvas, rows, cols)
            grid = self.shrink(centre, side, processed.config)
            if share == 1 or grid is not centre:
                tiles = VisualLayout.single(grid, newline=True)
            else:
                tiles = _tiles_apart(canvas, rows, cols, side, share)
        return VisualLayout.joined([whole, tiles])

    def shrink(self, tiles: VisualGrid, side: int, config: Any) -> VisualGrid:
        """Give the grid of the tiles as the language model gets it: here, as it is."""
        return tiles


class LlavaOneVision(LlavaNext):
    """Lays out LLaVA-OneVision: as LLaVA-NeXT, but more tokens than `anyres_max_N` allows are interpolated."""

    model_types = ("llava_onevision",)

    def shrink(self, tiles: VisualGrid, side: int, config: Any) -> VisualGrid:
        """Put fewer cells over the same box, where there are over 1.1² times N tiles' worth of them."""
        most = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
        ratio = math.sqrt(tiles.cells / (most * side**2))
        if ratio <= 1.1:
            return tiles
        return VisualGrid(int(tiles.rows // ratio), int(tiles.cols // ratio), tiles.box)


def padded_canvas(config: Any, size: tuple[int, int]) -> VisualGrid:
    """Make the grid over all tiles; its box is the padded image, the image in its centre.

    Args:
        config: The model's config, with `image_grid_pinpoints` as (height, width).
        size: (width, height) of the original image.
    """
    width, height = size
    tile, side = config.vision_config.image_size, config.vision_config.image_size // config.vision_config.patch_size
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


def _tiles_apart(canvas: VisualGrid, rows: int, cols: int, side: int, share: float) -> VisualLayout:
    """The centre of a canvas whose tiles are not read to their ends: one grid a tile, in the canvas's row order.

    Args:
        canvas: The grid over all tiles.
        rows: Rows of cells that are kept.
        cols: Columns of cells that are kept.
        side: Cells along a tile's side.
        share: How much of a tile's side is read.
    """
    top, left = (canvas.rows - rows) // 2, (canvas.cols - cols) // 2
    places = VisualGrid(canvas.rows // side, canvas.cols // side, canvas.box)
    grids: list[VisualGrid] = []
    grid_of = np.full((rows, cols + 1), -1, np.int32)  # a newline after each row
    cell_of = grid_of.copy()
    for index in range(places.cells):
        row, col = divmod(index, places.cols)
        down = range(max(row * side, top), min((row + 1) * side, top + rows))
        across = range(max(col * side, left), min((col + 1) * side, left + cols))
        if not down or not across:
            continue
        tile = VisualGrid(side, side, part_read(places.cell_box(row, col), share))
        first = tile.cell_box(down[0] - row * side, across[0] - col * side)
        last = tile.cell_box(down[-1] - row * side, across[-1] - col * side)
        here = np.s_[down[0] - top : down[-1] - top + 1, across[0] - left : across[-1] - left + 1]
        grid_of[here] = len(grids)
        cell_of[here] = np.arange(len(down) * len(across)).reshape(len(down), len(across))
        grids.append(VisualGrid(len(down), len(across), (first[0], first[1], last[2], last[3])))
    return VisualLayout(tuple(grids), grid_of.reshape(-1), cell_of.reshape(-1))
