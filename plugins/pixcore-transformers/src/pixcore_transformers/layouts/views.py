"""An image cut into equal tiles, and once more whole: before the tiles, or after them.

A family says how many tiles there are; how many tokens one has follows from the prompt.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixcore.errors import ModelError
from pixcore.geometry import Box, VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.tiles import square_side, visual_tokens


class Tiles(VisualFamily):
    """Lays out rows and columns of tiles, all of as many tokens as the whole image.

    Attributes:
        whole_first: The whole image comes before the tiles.
    """

    whole_first: ClassVar[bool] = False

    @abstractmethod
    def split(self, processed: Processed) -> tuple[int, int]:
        """Count the (rows, cols) of tiles; (0, 0) or (1, 1) where the image is not split."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the tiles row by row, and the whole image before or after them; it alone where it is not split."""
        rows, cols = self.split(processed)
        tiles, tokens = rows * cols, visual_tokens(self, processed)
        if tiles <= 1:
            side = square_side(tokens)
            return VisualLayout.single(VisualGrid(side, side, self.canvas(processed)))
        if tokens % (tiles + 1):
            raise ModelError(
                f"an image of {processed.size[0]}x{processed.size[1]} pixels should be {rows}x{cols} tiles and the "
                f"whole image, and the prompt has {tokens} visual tokens",
                hint="the settings must be those of the checkpoint's preprocessor_config.json",
            )
        side = square_side(tokens // (tiles + 1))
        width, height = processed.size
        whole = VisualLayout.single(VisualGrid(side, side, (0.0, 0.0, float(width), float(height))))
        canvas = VisualGrid(rows, cols, self.canvas(processed))
        boxes = [canvas.cell_box(row, col) for row in range(rows) for col in range(cols)]
        cut = [VisualLayout.single(VisualGrid(side, side, box)) for box in boxes]
        return VisualLayout.joined([whole, *cut] if self.whole_first else [*cut, whole])

    def canvas(self, processed: Processed) -> Box:
        """Give the rectangle of the original image that the tiles cover."""
        width, height = processed.size
        return (0.0, 0.0, float(width), float(height))


class ByAspect(Tiles):
    """Lays out tiles of the best fitting aspect (Aya Vision, Qianfan-OCR, GOT-OCR 2)."""

    def split(self, processed: Processed) -> tuple[int, int]:
        """Ask transformers' own function, with the image processor's settings."""
        from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

        return _by_aspect(processed, get_optimal_tiled_canvas)


class Pages(ByAspect):
    """Lays out tiles of an image that is a page (GOT-OCR 2)."""

    nested = False


class ByScale(Tiles):
    """Lays out tiles over which the image is enlarged the least (Command A Vision)."""

    def split(self, processed: Processed) -> tuple[int, int]:
        """Ask transformers' own function, with the image processor's settings."""
        from transformers.models.cohere2_vision.image_processing_cohere2_vision import get_optimal_tiled_canvas

        return _by_aspect(processed, get_optimal_tiled_canvas)


class ByCover(Tiles):
    """Lays out the fewest tiles that show enough of the image (Ovis 2), the whole image first."""

    whole_first = True

    def decided(self, processed: Processed) -> NDArray[np.bool_]:
        """Mark what stands before, between and behind the tiles too, the last one behind all: the tower embeds it."""
        indicators = processed.config.visual_indicator_token_ids
        return self.visual(processed) | np.isin(processed.input_ids, indicators)

    def split(self, processed: Processed) -> tuple[int, int]:
        """Ask transformers' own functions, with the image processor's settings."""
        from transformers.models.ovis2.image_processing_pil_ovis2 import (
            get_min_tile_covering_grid,
            get_optimal_tiled_canvas,
        )

        settings = processed.processor.image_processor
        if not settings.use_covering_area_grid:
            return _by_aspect(processed, get_optimal_tiled_canvas)
        if not settings.crop_to_patches:
            return (1, 1)
        width, height = processed.size
        cols, rows = get_min_tile_covering_grid((height, width), settings.size["height"], settings.max_patches)
        return rows, cols


class ByCanvas(Tiles):
    """Lays out the tiles of the canvas that the image fits best (Perception LM), the whole image first."""

    whole_first = True

    def split(self, processed: Processed) -> tuple[int, int]:
        """Ask the image processor to fit an empty image of that size."""
        import torch

        settings = processed.processor.image_processor
        if settings.vision_input_type != "thumb+tile":
            return (1, 1)
        width, height = processed.size
        blank = torch.zeros(1, 3, height, width)
        _, (cols, rows) = settings.resize(blank, settings.tile_size, settings.max_num_tiles, resample=settings.resample)
        return rows, cols

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the whole image, and a single tile after it too."""
        if self.split(processed) == (1, 1) and processed.processor.image_processor.vision_input_type == "thumb+tile":
            side = square_side(visual_tokens(self, processed) // 2)
            return VisualLayout.joined([VisualLayout.single(VisualGrid.stretched(side, side, processed.size))] * 2)
        return super().layout(processed)


class ByPage(Tiles):
    """Lays out the tiles of a page (Granite Docling)."""

    def split(self, processed: Processed) -> tuple[int, int]:
        """Ask the image processor."""
        width, height = processed.size
        rows, cols = processed.processor.image_processor.get_tile_grid(height, width, {})
        return rows, cols


class PaddedCanvas(Tiles):
    """Lays out the tiles of a canvas in whose corner the image lies (Llama 4); the whole image after it is stretched.

    How many there are is counted in the prompt, where tokens divide them.
    """

    def split(self, processed: Processed) -> tuple[int, int]:
        """Count the rows' ends, and what divides the tiles of a row."""
        rows = int((processed.input_ids == _id(processed, "<|tile_y_separator|>")).sum())
        between = int((processed.input_ids == _id(processed, "<|tile_x_separator|>")).sum())
        return (rows, between // rows + 1) if rows else (1, 1)

    def canvas(self, processed: Processed) -> Box:
        """Give the canvas: the image is at its left and top, as large as it may be."""
        from transformers.models.llama4.image_processing_llama4 import get_max_res_without_distortion

        settings = processed.processor.image_processor
        rows, cols = self.split(processed)
        width, height = processed.size
        target = (rows * settings.size.height, cols * settings.size.width)
        least = settings.size.height
        room = target
        if not settings.resize_to_max_canvas:
            room = (min(max(height, least), target[0]), min(max(width, least), target[1]))
        high, wide = (max(side, 1) for side in get_max_res_without_distortion((height, width), room))
        return (0.0, 0.0, target[1] * width / wide, target[0] * height / high)


class OwnSizes(VisualFamily):
    """Lays out square tiles, then the whole image at a size of its own (LFM2-VL); it alone where it is small."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Ask the image processor what it makes of an empty image of that size."""
        settings = processed.processor.image_processor
        given = settings(Image.new("RGB", processed.size), return_row_col_info=True, return_tensors="pt")
        rows, cols = (int(given[name][0]) for name in ("image_rows", "image_cols"))
        height, width = (int(side) for side in given["image_sizes"][0])
        cell = settings.encoder_patch_size * settings.downsample_factor
        whole = VisualLayout.single(
            VisualGrid.stretched(math.ceil(height / cell), math.ceil(width / cell), processed.size)
        )
        if rows * cols == 1:
            return whole
        side = math.ceil(settings.tile_size // settings.encoder_patch_size / settings.downsample_factor)
        tiles = VisualGrid.stretched(rows, cols, processed.size)
        boxes = [tiles.cell_box(row, col) for row in range(rows) for col in range(cols)]
        cut = [VisualLayout.single(VisualGrid(side, side, box)) for box in boxes]
        return VisualLayout.joined([*cut, *([whole] if settings.use_thumbnail else [])])


class Slices(VisualFamily):
    """Lays out the whole image, then slices of it, each with its own numbers of rows and columns (MiniCPM-V)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the whole image, then the slices row by row."""
        settings = processed.processor.image_processor
        width, height = processed.size
        merge = 2 if settings.downsample_mode == "4x" else 4
        sizes = [(int(high) // merge, int(wide) // merge) for high, wide in processed.inputs["target_sizes"]]
        views = [VisualLayout.single(VisualGrid.stretched(sizes[0][0], sizes[0][1], processed.size))]
        if len(sizes) > 1:
            rows, cols = settings.get_sliced_grid((height, width), settings.max_slice_nums, settings.scale_resolution)
            whole = VisualGrid.stretched(rows, cols, processed.size)
            for index, (high, wide) in enumerate(sizes[1:]):
                views.append(VisualLayout.single(VisualGrid(high, wide, whole.cell_box(*divmod(index, cols)))))
        return VisualLayout.joined(views)


class Windows(VisualFamily):
    """Lays out windows of the image, then the whole image, of more tokens than a window (Step 3)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the windows row by row, then the whole image; a sliver of one is padded to a square."""
        names = processed.processor
        width, height = processed.size
        side = float(max(processed.size))
        sliver = min(processed.size) < 32 and side / min(processed.size) > 4
        box = (0.0, 0.0, side, side) if sliver else (0.0, 0.0, float(width), float(height))
        windows = int(processed.inputs["num_local_patches"][0])
        ends = int((processed.input_ids == _id(processed, "<patch_newline>")).sum())
        own = square_side(names.num_patch_feature_size)
        views = []
        if windows:
            grid = VisualGrid(ends + 1, windows // (ends + 1), box)
            boxes = [grid.cell_box(*divmod(index, grid.cols)) for index in range(windows)]
            views = [VisualLayout.single(VisualGrid(own, own, each)) for each in boxes]
        whole = square_side(names.num_image_feature_size)
        return VisualLayout.joined([*views, VisualLayout.single(VisualGrid(whole, whole, box))])


class PooledCrops(VisualFamily):
    """Lays out the whole image, then one grid over crops that overlap, both pooled (Molmo 2)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out both grids; a row or column that the pooling adds reaches out of the image."""
        settings = processed.processor.image_processor
        whole_rows, whole_cols, rows, cols = (int(n) for n in processed.inputs["image_grids"][0])
        patches = settings.size["height"] // settings.patch_size
        width, height = processed.size
        from transformers.models.molmo2.image_processing_molmo2 import compute_crop_geometry

        *_, high, wide = compute_crop_geometry(
            height,
            width,
            settings.max_crops,
            list(settings.overlap_margins),
            settings.size["height"],
            settings.patch_size,
        )
        views = [
            _pooled((whole_rows, whole_cols), (patches, patches), settings.pooling_size, processed.size),
            _pooled(
                (rows, cols),
                (high // settings.patch_size, wide // settings.patch_size),
                settings.pooling_size,
                processed.size,
            ),
        ]
        return VisualLayout.joined([VisualLayout.single(grid) for grid in views])


class RowsOfTiles(VisualFamily):
    """Lays out one grid over all tiles, a newline after each row, then the padded image likewise (Unlimited-OCR)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the tiles if there are any, the whole image, and what separates it from the text."""
        names, settings = processed.processor, processed.processor.image_processor
        whole_side = max(settings.size["height"], settings.size["width"])
        side = math.ceil(whole_side // names.patch_size / names.downsample_ratio)
        padded = VisualGrid.padded_to_square(side, side, processed.size)
        if not settings.crop_to_patches and whole_side <= settings.maximum_pad_value:
            padded = VisualGrid.stretched(side, side, processed.size)
        views = [VisualLayout.single(padded, newline=True), VisualLayout.separators(1)]
        if int(processed.inputs["num_local_patches"][0]):
            cols, rows = (int(n) for n in processed.inputs["patches_grid"][0])
            own = math.ceil(settings.tile_size // names.patch_size / names.downsample_ratio)
            tiles = VisualGrid.stretched(rows * own, cols * own, processed.size)
            views.insert(0, VisualLayout.single(tiles, newline=True))
        return VisualLayout.joined(views)


def _by_aspect(processed: Processed, fit: Any) -> tuple[int, int]:
    settings = processed.processor.image_processor
    if not getattr(processed.processor, "images_kwargs", {}).get("crop_to_patches", settings.crop_to_patches):
        return (1, 1)
    width, height = processed.size
    tile = (settings.size["height"], settings.size["width"])
    cols, rows = fit((height, width), tile, settings.min_patches, settings.max_patches)
    return int(rows), int(cols)


def _pooled(cells: tuple[int, int], patches: tuple[int, int], pool: Any, size: tuple[int, int]) -> VisualGrid:
    """A grid of cells of pool x pool patches, of which the first and the last may be less.

    Args:
        cells: (rows, cols).
        patches: (rows, cols) of patches over the whole image.
        pool: (rows, cols) of a cell's patches.
        size: (width, height) of the original image.
    """
    edges = []
    for count, there, each, length in zip(cells, patches, pool, (size[1], size[0]), strict=True):
        before = (count * each - there) // 2
        edges.append((-before * length / there, (count * each - before) * length / there))
    (top, bottom), (left, right) = edges
    return VisualGrid(*cells, (left, top, right, bottom))


def _id(processed: Processed, token: str) -> int:
    return int(processed.processor.tokenizer.convert_tokens_to_ids(token))
