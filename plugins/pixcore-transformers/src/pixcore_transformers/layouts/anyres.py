"""LLaVA-NeXT and LLaVA-OneVision: the whole image once, then tiles of the padded image without the padding.

The tiles form one large grid over the padded image, from which the model cuts the padding again, in whole cells, and
to each row of which it appends a newline token (`spatial_unpad`; LLaVA `llava/model/llava_arch.py`, transformers
`LlavaNextModel.pack_image_features`).
"""

from __future__ import annotations

import math
from typing import Any

from transformers.image_processing_utils import select_best_resolution

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily


class LlavaNext(VisualFamily):
    """LLaVA-NeXT (LLaVA-1.6)."""

    model_types = ("llava_next",)

    def layout(self, processed: Processed) -> VisualLayout:
        """The whole image stretched to a square, then the unpadded tiles with a newline after each row.

        Of a sliver of an image less than a row or column of cells is left: its tiles are newlines, or nothing.
        """
        vision = processed.config.vision_config
        side = vision.image_size // vision.patch_size
        whole = VisualLayout.single(VisualGrid.stretched(side, side, processed.size))
        canvas = padded_canvas(processed.config, processed.size)
        rows, cols = unpadded(canvas, processed.size)
        tiles = VisualLayout.separators(rows)
        if rows and cols:
            grid = self.shrink(_centre(canvas, rows, cols), side, processed.config)
            tiles = VisualLayout.single(grid, newline=True)
        return VisualLayout.joined([whole, tiles])

    def shrink(self, tiles: VisualGrid, side: int, config: Any) -> VisualGrid:
        """The grid of the tiles as the language model gets it: here, as it is."""
        return tiles


class LlavaOneVision(LlavaNext):
    """LLaVA-OneVision: as LLaVA-NeXT, but more tokens than `anyres_max_N` allows are interpolated to fewer."""

    model_types = ("llava_onevision",)

    def shrink(self, tiles: VisualGrid, side: int, config: Any) -> VisualGrid:
        """Fewer cells over the same box, where there are over 1.1² times N tiles' worth of them."""
        most = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
        ratio = math.sqrt(tiles.cells / (most * side**2))
        if ratio <= 1.1:
            return tiles
        return VisualGrid(int(tiles.rows // ratio), int(tiles.cols // ratio), tiles.box)


def padded_canvas(config: Any, size: tuple[int, int]) -> VisualGrid:
    """The grid over all tiles; its box is the padded image, the image in its centre.

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
    """How many (rows, cols) of cells the model keeps in the middle of the canvas.

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
