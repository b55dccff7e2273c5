"""Gemma 3: the whole image stretched to a square, and with pan and scan, crops along its longer side."""

from __future__ import annotations

import math

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.tiles import part_read, square_side, visual_tokens


class Gemma3(VisualFamily):
    """Lays out Gemma 3 with `do_pan_and_scan` off (the default) or on."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the whole image first, then the crops from left to right, or from top to bottom of an upright image.

        The crops are equal in whole pixels, rounded up, so that the last one is the smaller one; each is stretched to
        a square.
        """
        vision = processed.config.vision_config
        side = square_side(processed.config.mm_tokens_per_image)
        patches = vision.image_size // vision.patch_size  # of which each token pools as many as fit
        share = patches // side * side * vision.patch_size / vision.image_size
        width, height = processed.size
        boxes = [(0.0, 0.0, float(width), float(height))]
        crops = visual_tokens(self, processed) // side**2 - 1
        for index in range(crops):
            if width >= height:
                step = math.ceil(width / crops)
                boxes.append((float(index * step), 0.0, float(min((index + 1) * step, width)), float(height)))
            else:
                step = math.ceil(height / crops)
                boxes.append((0.0, float(index * step), float(width), float(min((index + 1) * step, height))))
        return VisualLayout.joined(
            [VisualLayout.single(VisualGrid(side, side, part_read(box, share))) for box in boxes]
        )
