"""One grid over the image, as many cells as it has at its own resolution: most families of today."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pixcore.errors import SampleError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily


class MergedGrid(VisualFamily):
    """Lays out an image that is stretched to the nearest multiple of a merged patch on each side."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image, in row-major order.

        The patches come in blocks of one merged token, and Qwen2.5-VL's tower reorders them by window and back again;
        the language model sees rows.
        """
        rows, cols = merged(processed)
        return VisualLayout.single(VisualGrid.stretched(rows, cols, processed.size))


class TypedGrid(MergedGrid):
    """Lays out a `MergedGrid` whose model must be told which tokens are visual (Cosmos 3 Edge)."""

    options: ClassVar[Mapping[str, Any]] = {"return_mm_token_type_ids": True}


class PaddedGrid(VisualFamily):
    """Lays out an image that is kept at its size, or made smaller, and padded on the right and below (Kimi K2.5)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the image and its padding: the last column and row may reach out of the image."""
        rows, cols = merged(processed)
        settings = processed.processor.image_processor
        cell = settings.patch_size * settings.merge_size
        (width, height), (across, down) = processed.size, self.scaled(processed, cols * cell, rows * cell)
        box = (0.0, 0.0, cols * cell * width / across, rows * cell * height / down)
        return VisualLayout.single(VisualGrid(rows, cols, box))

    def scaled(self, processed: Processed, wide: int, high: int) -> tuple[int, int]:
        """Give the image's (width, height) on its canvas of `wide` x `high` pixels."""
        # imported here as its module asks for torchvision, which its processor has then found already
        from transformers.models.kimi_k25.image_processing_kimi_k25 import navit_resize

        (width, height), settings = processed.size, processed.processor.image_processor
        (down, across), _ = navit_resize(
            height, width, settings.patch_size, settings.merge_size, settings.max_patches, settings.size.max_height
        )
        return across, down


class ContentGrid(PaddedGrid):
    """Lays out an image that is fitted into such a canvas (GLM-5 Next)."""

    def scaled(self, processed: Processed, wide: int, high: int) -> tuple[int, int]:
        """Give the image's (width, height) on the canvas; one with cells enough is never made larger."""
        (width, height), settings = processed.size, processed.processor.image_processor
        scale = min(high / height, wide / width)
        if height * width >= (settings.patch_size * settings.merge_size) ** 2 * settings.min_image_tokens:
            scale = min(1.0, scale)
        return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


class FramedGrid(MergedGrid):
    """Lays out a `MergedGrid` with a newline after each row, and a token before and after all (HunYuan-VL)."""

    apart = True

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image; what frames it lies nowhere."""
        rows, cols = merged(processed)
        grid = VisualLayout.single(VisualGrid.stretched(rows, cols, processed.size), newline=True)
        frame = VisualLayout.separators(int(processed.processor.cat_extra_token))
        return VisualLayout.joined([frame, grid, frame])


class SizedGrid(VisualFamily):
    """Lays out an image by the size that the processor gives it, a token for each whole patch (LightOnOCR)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image, in row-major order."""
        height, width = (int(side) for side in processed.inputs["image_sizes"][0])
        cell = processed.processor.effective_patch_size
        return VisualLayout.single(VisualGrid.stretched(height // cell, width // cell, processed.size))


class ShuffledGrid(VisualFamily):
    """Lays out an image by its patches, so many of which are shuffled into one token (Nemotron Omni)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image, in row-major order."""
        rows, cols = (int(n) for n in processed.inputs["image_grid_hw"][0])
        merge = round(1 / processed.processor.image_processor.downsample_ratio)
        return VisualLayout.single(VisualGrid.stretched(rows // merge, cols // merge, processed.size))


class PooledGrid(VisualFamily):
    """Lays out an image whose patches are averaged in squares (Gemma 4)."""

    one_pass = False

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image: its patches have the places that the model is told."""
        places = processed.inputs["image_position_ids"][0]
        cols, rows = (int(places[:, axis].max()) + 1 for axis in (0, 1))
        side = math.isqrt(rows * cols // int(self.visual(processed).sum()))
        return VisualLayout.single(VisualGrid.stretched(rows // side, cols // side, processed.size))


class CutGrid(VisualFamily):
    """Lays out an image that is cut into squares at its own size, the last of a row and column padded (Inkling)."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid that begins at the image's corner and reaches out of it on the right and below.

        The first Inkling has one column more than it needs where the squares fit.
        """
        width, height = processed.size
        settings = processed.processor.image_processor
        side, share = settings.size.height, self.scale(settings, max(processed.size))
        scaled = tuple(math.floor(length * share + 0.5) for length in processed.size)
        tokens = int(self.visual(processed).sum())
        rows = math.ceil(scaled[1] / side)
        cols = tokens // rows
        box = (0.0, 0.0, cols * side * width / scaled[0], rows * side * height / scaled[1])
        return VisualLayout.single(VisualGrid(rows, cols, box))

    def scale(self, settings: Any, longer: int) -> float:
        """Say by how much the image is scaled before it is cut, by its longer side in pixels."""
        share: float | None = getattr(settings, "rescale_image_frac", None)
        if share is None:
            return 1.0
        most: int | None = settings.rescale_image_max_upscaled_long_edge
        return share if most is None else min(share, max(most, longer) / longer)


class FittedCutGrid(CutGrid):
    """Lays out a `CutGrid` of an image that is made smaller where it is larger than a canvas (Fuyu).

    The newlines after its rows are tokens of the prompt, and left out.
    """

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid that begins at the image's corner and reaches out of it on the right and below."""
        width, height = processed.size
        settings = processed.processor.image_processor
        share = min(1.0, settings.size.height / height, settings.size.width / width)
        scaled = (int(width * share), int(height * share)) if share < 1 else processed.size
        side = settings.patch_size.height
        cols, rows = (math.ceil(length / side) for length in scaled)
        box = (0.0, 0.0, cols * side * width / scaled[0], rows * side * height / scaled[1])
        return VisualLayout.single(VisualGrid(rows, cols, box))

    def prompt(self, text: str) -> str | None:
        """Write the text alone: the processor puts the image before it, and what begins an answer behind."""
        return f"{text}\n"


class CodedGrid(VisualFamily):
    """Lays out an image whose cells are words of a vocabulary, with a newline after each row (Emu3)."""

    apart = True

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image.

        Raises:
            SampleError: The image is so low that its processor misreads it.
        """
        if processed.size[1] in (1, 3):  # told better, it measures pictures wrongly
            said = f"the processor takes an image of {processed.size[1]} rows of pixels for one of as many channels"
            raise SampleError(said, hint="leave the image out, or enlarge it")
        height, width = (int(side) for side in processed.inputs["image_sizes"][0])
        cell = processed.processor.downsample_ratio
        return VisualLayout.single(VisualGrid.stretched(height // cell, width // cell, processed.size), newline=True)


def merged(processed: Processed) -> tuple[int, int]:
    """Count the (rows, cols) of an image's tokens, each of so many patches of `image_grid_thw` a side."""
    _, rows, cols = (int(n) for n in processed.inputs["image_grid_thw"][0])
    merge = processed.processor.image_processor.merge_size
    return rows // merge, cols // merge
