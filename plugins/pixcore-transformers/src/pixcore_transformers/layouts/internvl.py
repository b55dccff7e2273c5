"""InternVL: the image stretched over tiles of the best fitting aspect, then the whole image as a thumbnail."""

from __future__ import annotations

from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.tiles import part_read, reach, square_side, tiled, visual_tokens


class InternVL(VisualFamily):
    """Lays out InternVL 2.5, 3 and 3.5 in the layout of transformers (`OpenGVLab/...-hf`)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the tiles row by row, then the thumbnail; the thumbnail alone where one tile does."""
        side = square_side(processed.config.image_seq_length)
        width, height = processed.size
        share = reach(processed.config.vision_config)
        whole = VisualLayout.single(VisualGrid(side, side, part_read((0.0, 0.0, width, height), share)))
        tiles = visual_tokens(self, processed) // side**2 - 1
        if tiles == 0:
            return whole
        settings = processed.processor.image_processor
        cols, rows = get_optimal_tiled_canvas(
            (height, width),
            (settings.size["height"], settings.size["width"]),
            settings.min_patches,
            settings.max_patches,
        )
        if rows * cols != tiles:
            raise ModelError(
                f"an image of {width}x{height} pixels should be {rows}x{cols} tiles, and the prompt has {tiles}",
                hint="min_patches, max_patches and size must be those of the processor's preprocessor_config.json",
            )
        return VisualLayout.joined([tiled(rows, cols, side, processed.size, share), whole])
