"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: one grid at the image's own resolution, 2 x 2 patches merged into a token."""

from __future__ import annotations

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily


class QwenVL(VisualFamily):
    """Lays out an image that is stretched to the nearest multiple of a merged patch on each side."""

    model_types = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image, in row-major order.

        The patches come in blocks of one merged token, and Qwen2.5-VL's tower reorders them by window and back again;
        the language model sees rows.
        """
        _, rows, cols = (int(n) for n in processed.inputs["image_grid_thw"][0])
        merge = processed.config.vision_config.spatial_merge_size
        return VisualLayout.single(VisualGrid.stretched(rows // merge, cols // merge, processed.size))
