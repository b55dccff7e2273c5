"""LLaVA-1.5 and its like: one square grid of a CLIP or SigLIP tower."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.pixtral import Pixtral
from pixcore_transformers.layouts.tiles import part_read, reach


class Llava(VisualFamily):
    """Lays out a LLaVA as its Hugging Face processor prepares it; `llava-1.5` pads as the published runs do."""

    def visual(self, processed: Processed) -> NDArray[np.bool_]:
        """Mark the image placeholder's tokens; with a Pixtral tower the row breaks too."""
        return Pixtral().visual(processed) if _has_pixtral_tower(processed) else super().visual(processed)

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out one square grid, padded, cropped or stretched as the processor's settings say.

        With `vision_feature_select_strategy: full` and a CLIP tower the class token comes first and lies nowhere.
        """
        if _has_pixtral_tower(processed):
            return Pixtral().layout(processed)
        vision = processed.config.vision_config
        side = vision.image_size // vision.patch_size
        box = seen_box(processed.size, processed.processor.image_processor)
        grid = VisualLayout.single(VisualGrid(side, side, part_read(box, reach(vision))))
        strategy = getattr(processed.config, "vision_feature_select_strategy", "default")  # ViP-LLaVA's has none
        if strategy == "full" and vision.model_type == "clip_vision_model":
            return VisualLayout.joined([VisualLayout.separators(1), grid])
        return grid


def _has_pixtral_tower(processed: Processed) -> bool:
    return bool(processed.config.vision_config.model_type == "pixtral")


def seen_box(size: tuple[int, int], settings: Any) -> tuple[float, float, float, float]:
    """Find the rectangle of the original image that a tower sees.

    Args:
        size: (width, height) of the original image.
        settings: The image processor.
    """
    width, height = size
    x0, y0 = 0.0, 0.0
    # LLaVA's own processor pads before all else; another's pads what is left of the crop, where nothing is lacking
    if getattr(settings, "do_pad", False) and hasattr(settings, "pad_to_square"):
        x0, y0, *_ = VisualGrid.padded_to_square(1, 1, size).box
        width = height = max(size)
    if not getattr(settings, "do_center_crop", False):
        return (x0, y0, x0 + width, y0 + height)
    shortest = settings.size.get("shortest_edge")
    if not settings.do_resize:
        across, down = width, height
    elif shortest:
        across, down = (int(side * shortest / min(width, height)) for side in (width, height))
    else:
        across, down = settings.size["width"], settings.size["height"]
    per_x, per_y = width / across, height / down  # original pixels in one of the resized image
    crop = settings.crop_size
    left, top = (across - crop["width"]) // 2, (down - crop["height"]) // 2
    return (
        x0 + left * per_x,
        y0 + top * per_y,
        x0 + (left + crop["width"]) * per_x,
        y0 + (top + crop["height"]) * per_y,
    )
