"""LLaVA-1.5: one square grid of a CLIP tower."""

from __future__ import annotations

from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily


class Llava(VisualFamily):
    """LLaVA-1.5 as its Hugging Face processor prepares it: shortest edge resized, centre cropped to a square.

    The adapter `llava-1.5` pads instead, as the published runs do.
    """

    model_types = ("llava",)

    def layout(self, processed: Processed) -> VisualLayout:
        """One square grid, cropped from the image's centre or stretched over it as the processor's settings say."""
        vision = processed.config.vision_config
        side = vision.image_size // vision.patch_size
        tokens = int(self.visual(processed).sum())
        if tokens != side * side:
            raise ModelError(
                f"a LLaVA model with {side}x{side} patches has {tokens} visual tokens in its prompt",
                hint="the processor's patch_size and vision_feature_select_strategy must be those of the model",
            )
        if getattr(processed.processor.image_processor, "do_center_crop", False):
            return VisualLayout.single(VisualGrid.centre_cropped(side, side, processed.size))
        return VisualLayout.single(VisualGrid.stretched(side, side, processed.size))
