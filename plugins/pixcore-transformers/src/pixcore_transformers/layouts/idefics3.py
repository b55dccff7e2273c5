"""Idefics3 and SmolVLM: the image stretched over square tiles, then the whole image once more."""

from __future__ import annotations

import math

from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.tiles import part_read, reach, square_side, tiled, visual_tokens

_LARGEST = 4096  # no side of the resized image is longer, whatever the settings say


class Idefics3(VisualFamily):
    """Lays out Idefics3 and SmolVLM; row tags and line breaks between the tiles are text and no visual tokens."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the tiles row by row, then the whole image; the whole image alone where it is not split."""
        config, settings = processed.config, processed.processor.image_processor
        vision = config.vision_config
        side = square_side((vision.image_size // vision.patch_size) ** 2 // config.scale_factor**2)
        width, height = processed.size
        whole = VisualLayout.single(VisualGrid(side, side, part_read((0.0, 0.0, width, height), reach(vision))))
        tiles = visual_tokens(self, processed) // side**2 - 1
        if tiles == 0:
            return whole
        rows, cols = split(processed.size, settings.size["longest_edge"], settings.max_image_size["longest_edge"])
        if rows * cols != tiles:
            raise ModelError(
                f"an image of {width}x{height} pixels should be {rows}x{cols} tiles, and the prompt has {tiles}",
                hint="size and max_image_size must be those of the processor's preprocessor_config.json",
            )
        return VisualLayout.joined([tiled(rows, cols, side, processed.size, reach(vision)), whole])


def split(size: tuple[int, int], longest: int, tile: int) -> tuple[int, int]:
    """Count the (rows, cols) of tiles that an image is stretched over.

    The longer side is scaled to `longest` and rounded up to whole tiles; the shorter one follows the aspect, first to
    an even number of pixels, then from the rounded longer side up to whole tiles.

    Args:
        size: (width, height) of the original image.
        longest: The processor's `size["longest_edge"]`.
        tile: Its `max_image_size["longest_edge"]`, a tile's side.
    """
    width, height = _scaled(*size, longest)
    if size[0] >= size[1]:
        height = max(height + height % 2, 1)
    else:
        width = max(width + width % 2, 1)
    if max(width, height) > _LARGEST:
        width, height = _scaled(width, height, _LARGEST)
    width, height = _scaled(width, height, math.ceil(max(width, height) / tile) * tile)
    return math.ceil(height / tile), math.ceil(width / tile)


def _scaled(width: int, height: int, longer: int) -> tuple[int, int]:
    """The longer side set to `longer`, the other one by the aspect, cut to whole pixels as the processor does."""
    aspect = width / height
    return (longer, int(longer / aspect)) if width >= height else (int(longer * aspect), longer)
