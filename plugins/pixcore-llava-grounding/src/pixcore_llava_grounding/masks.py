"""Turn matched regions into masks of the original image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Mask = NDArray[np.bool_]


def to_image(masks: Tensor, size: tuple[int, int]) -> Mask:
    """Turn one state's regions into one mask of the original image: resized to the padded square, cut, united.

    PixFoundation's script resizes by nearest neighbour and cuts the top left corner, which is where this model's
    padding leaves the image.

    Args:
        masks: (k, h, w) bool, of the padded square.
        size: (width, height) of the original image.

    Returns:
        (height, width) bool.
    """
    width, height = size
    side = max(width, height)
    square = functional.interpolate(masks[None].float(), size=(side, side), mode="nearest")[0]
    return np.asarray((square[:, :height, :width].sum(dim=0) > 0.5).cpu().numpy())


def smooth_to_image(logits: Tensor, size: tuple[int, int]) -> Mask:
    """Do so from mask logits (k, h, w), resized bilinearly before they are cut at zero; k may be 0."""
    width, height = size
    if not len(logits):
        return np.zeros((height, width), dtype=bool)
    side = max(width, height)
    square = functional.interpolate(logits[None], size=(side, side), mode="bilinear", align_corners=False)[0]
    return np.asarray((square[:, :height, :width] > 0).any(dim=0).cpu().numpy())


def union(masks: Sequence[Mask], size: tuple[int, int]) -> Mask:
    """Unite all states' masks; none gives the empty mask."""
    width, height = size
    return np.logical_or.reduce(masks) if masks else np.zeros((height, width), dtype=bool)
