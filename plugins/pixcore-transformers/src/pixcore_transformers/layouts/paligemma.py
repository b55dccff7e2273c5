"""PaliGemma: one square grid over the stretched image."""

from __future__ import annotations

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.tiles import part_read, reach


class PaliGemma(VisualFamily):
    """Lays out PaliGemma and PaliGemma 2: no chat template, asked with the bare prompt."""

    one_pass = False

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image."""
        vision = processed.config.vision_config
        side = vision.image_size // vision.patch_size
        width, height = processed.size
        return VisualLayout.single(VisualGrid(side, side, part_read((0.0, 0.0, width, height), reach(vision))))

    def prompt(self, text: str) -> str | None:
        """Write the image, then the text; the processor puts a start token between them, a line break behind."""
        return f"<image>{text}"
