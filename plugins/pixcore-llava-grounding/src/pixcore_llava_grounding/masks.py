"""From matched regions to masks of the original image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def to_image(masks: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
    """One state's regions as one mask of the original image: resized to the padded square, cut, united.

    PixFoundation's script resizes by nearest neighbour and cuts the top left corner, where this model's padding leaves
    the image.

    Args:
        masks: (k, h, w) bool, of the padded square.
        size: (width, height) of the original image.

    Returns:
        (height, width) bool.
    """
    width, height = size
    side = max(width, height)
    square = functional.interpolate(masks[None].float(), size=(side, side), mode="nearest")[0]
    return (square[:, :height, :width].sum(dim=0) > 0.5).cpu().numpy()


def union(masks: list[NDArray[np.bool_]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """All states' masks as one; none gives the empty mask."""
    width, height = size
    return np.logical_or.reduce(masks) if masks else np.zeros((height, width), dtype=bool)
