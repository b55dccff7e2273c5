"""Sizes at which images and masks are shown."""

from __future__ import annotations

import numpy as np

from pixcore.masks import Mask

Size = tuple[int, int]
"""(width, height) in pixels."""


def fitted(size: Size, longest: int, *, thinnest: int = 1, enlarge: bool = False) -> Size:
    """A size of the same shape whose longer side is at most `longest`.

    Args:
        size: (width, height) of the original.
        longest: Pixels.
        thinnest: What no side falls below, even where the shape suffers: a 20,000x1 image has to be seen.
        enlarge: Whether a smaller image grows to `longest`.
    """
    scale = longest / max(size)
    if not enlarge:
        scale = min(1.0, scale)
    return max(thinnest, round(size[0] * scale)), max(thinnest, round(size[1] * scale))


def mask_at(mask: Mask, size: Size) -> Mask:
    """A mask at another (width, height): each pixel takes the value under its centre."""
    width, height = size
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    cols = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    result: Mask = mask[rows[:, None], cols[None, :]]
    return result
