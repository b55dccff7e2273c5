"""Pictures of relevance: where in an image a model looked, dark where little and bright where much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from pixcore.geometry import VisualLayout
from pixcore_pictures.drawing import Size

_STOPS = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
_COLOURS = np.array([(4, 8, 30), (60, 9, 101), (120, 28, 109), (207, 68, 70), (251, 155, 6), (252, 255, 164)])
"""After matplotlib's inferno, as the report has it: it grows in lightness, so that it reads in print."""


def ramp(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give the colour of each value from 0 to 1: RGB on a last axis of its own, from 0 to 255."""
    return np.stack([np.interp(values, _STOPS, channel) for channel in _COLOURS.T], axis=-1)


def scaled(layout: VisualLayout, across: float, down: float) -> VisualLayout:
    """Lay the same visual tokens over a smaller or larger copy of the image.

    Args:
        layout: Where they lie in the image.
        across: The copy's width over the image's.
        down: The copy's height over the image's.
    """
    boxes = [(x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in (one.box for one in layout.grids)]
    grids = tuple(replace(grid, box=box) for grid, box in zip(layout.grids, boxes, strict=True))
    return VisualLayout(grids, layout.grid_of, layout.cell_of)


def relevance_at(layout: VisualLayout, values: NDArray[np.floating], image: Size, size: Size) -> NDArray[np.float32]:
    """Spread one value for each visual token over a copy of the image, from 0 for the smallest to 1 for the largest.

    Args:
        layout: Where the tokens lie in the image.
        values: (tokens,).
        image: (width, height) of the image.
        size: (width, height) of the copy.

    Returns:
        (height, width) float32; all 0 where no value is larger than another.
    """
    finite = np.where(np.isfinite(values), values, 0.0)
    spread = scaled(layout, size[0] / image[0], size[1] / image[1]).to_image(finite, size)
    low, high = float(spread.min()), float(spread.max())
    return (spread - low) / (high - low) if high > low else np.zeros_like(spread)


def heat(picture: PILImage.Image, size: Size, layout: VisualLayout, values: NDArray[np.floating]) -> PILImage.Image:
    """Draw an image at another size under the colours of a relevance map.

    Args:
        picture: RGB.
        size: (width, height) of the result.
        layout: Where the visual tokens lie in the image.
        values: (tokens,), how relevant each is.
    """
    relevance = relevance_at(layout, values, picture.size, size)
    pixels = np.asarray(picture.resize(size, PILImage.Resampling.LANCZOS), np.float64)
    opacity = (120 + 90 * relevance[..., None]) / 255
    return PILImage.fromarray((pixels * (1 - opacity) + ramp(relevance) * opacity).astype(np.uint8))
