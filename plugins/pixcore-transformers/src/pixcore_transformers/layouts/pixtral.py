"""Pixtral and Mistral 3: rows at the image's own resolution, with a break token after each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.families import Processed, VisualFamily


class Pixtral(VisualFamily):
    """Lays out Mistral 3 (and 3.1, 3.2), and Pixtral, which transformers runs as a LLaVA with a Pixtral tower."""

    def visual(self, processed: Processed) -> NDArray[np.bool_]:
        """Mark image, break and end tokens."""
        names = processed.processor
        ids = [names.image_token_id, names.image_break_token_id, names.image_end_token_id]
        return np.isin(processed.input_ids, ids)

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image, a break after each row; the last break is the end token.

        The image keeps its size up to `longest_edge` and is stretched to whole cells, so that there is no rest; Mistral
        3 merges `spatial_merge_size`² patches into one.

        Raises:
            ModelError: The processor crops the image, by a setting that no checkpoint has.
        """
        if getattr(processed.processor.image_processor, "do_center_crop", False):
            raise ModelError(
                "where the visual tokens of a cropped image lie is not known for this architecture",
                hint="leave do_center_crop out of image_options, or out of preprocessor_config.json",
            )
        height, width = (int(side) for side in processed.inputs["image_sizes"][0])
        cell = processed.config.vision_config.patch_size * getattr(processed.config, "spatial_merge_size", 1)
        grid = VisualGrid.stretched(height // cell, width // cell, processed.size)
        return VisualLayout.single(grid, newline=True)
