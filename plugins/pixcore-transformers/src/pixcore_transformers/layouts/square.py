"""One square grid of so many tokens as the prompt has, over the image as the processor prepares it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pixcore.geometry import Box, VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts.llava import seen_box
from pixcore_transformers.layouts.tiles import square_side, visual_tokens


class Square(VisualFamily):
    """Lays out a tower that sees the image stretched to a square, cropped or padded, and uses all of it."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one square grid over what the tower sees, in row-major order."""
        side = square_side(visual_tokens(self, processed))
        return VisualLayout.single(VisualGrid(side, side, self.box(processed)))

    def box(self, processed: Processed) -> Box:
        """Give the rectangle of the original image that the tower sees."""
        return seen_box(processed.size, processed.processor.image_processor)


class PaddedSquare(Square):
    """Lays out a `Square` over the image padded to one, the image centred (DeepSeek-VL, Janus)."""

    def box(self, processed: Processed) -> Box:
        """Give the padded square."""
        return VisualGrid.padded_to_square(1, 1, processed.size).box


class PromptedSquare(Square):
    """Lays out a `Square` of a model without a chat template, whose decoder embeds it (Chameleon)."""

    injected = True

    def prompt(self, text: str) -> str | None:
        """Write the text, then the image."""
        return f"{text}<image>"


class ClassedSquare(VisualFamily):
    """Lays out a square over the middle of the image, behind a class token that lies nowhere (Video-LLaVA)."""

    # by itself its processor takes a picture of one or three rows of pixels for one or three channels
    options: ClassVar[Mapping[str, Any]] = {"input_data_format": "channels_last"}

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one square grid, and a token before it where the class token is kept."""
        tokens = visual_tokens(self, processed)
        kept = int(processed.processor.vision_feature_select_strategy != "default")
        side = square_side(tokens - kept)
        grid = VisualLayout.single(
            VisualGrid(side, side, seen_box(processed.size, processed.processor.image_processor))
        )
        return VisualLayout.joined([VisualLayout.separators(kept), grid])
