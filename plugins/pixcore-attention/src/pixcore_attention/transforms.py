"""Transforms of finished maps; they compose in the config's order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixcore.components import MapTransform, NoConfig
from pixcore.geometry import VisualLayout

Maps = NDArray[np.float32]


class SubtractMean(MapTransform[NoConfig]):
    """Subtracts the mean over all output tokens, the end token included, from every token's map.

    attend-and-segment (paper section 3.2; PixFoundation `pixmmvp/inference/infer_pixfoundation.py:264-266`): what all
    tokens look at alike, such as attention sinks, says nothing about one of them.
    """

    def transform(self, maps: Maps, layout: VisualLayout, reference: Maps | None) -> Maps:
        """Subtract the mean from maps (tokens, visual tokens); one token alone gives zeros."""
        if not len(maps):
            return maps.copy()
        mean: Maps = maps.mean(axis=0, dtype=np.float32, keepdims=True)
        return maps - mean
