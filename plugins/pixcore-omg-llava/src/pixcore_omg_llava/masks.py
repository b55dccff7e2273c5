"""Turn mask logits of the padded square into masks of the original image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Crop = tuple[int, int, int, int]
"""Left, right, top, bottom (right and bottom excluded) in the padded square."""


def square_logits(logits: Tensor, side: int) -> Tensor:
    """Blow mask logits (n, 1, h, w) up to the padded square, (n, side, side), bilinearly."""
    return functional.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def content_crop(width: int, height: int) -> Crop:
    """Find where the image lies in its centred square: the offset is floored, the far side is offset plus length."""
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    return left, left + width, top, top + height


def app_crop(width: int, height: int) -> Crop:
    """Find the crop of OMG-LLaVA's own demo (tools/app.py): one row or column too many where the padding is odd."""
    side = max(width, height)
    left, top = int((side - width) / 2), int((side - height) / 2)
    return left, side - left, top, side - top


def corner_crop(width: int, height: int) -> Crop:
    """Find the crop of PixFoundation's script: the top left corner, although the image is centred."""
    return 0, width, 0, height


def cut(logits: Tensor, crop: Crop) -> NDArray[np.bool_]:
    """Cut masks (n, height, width) bool out of square logits (n, side, side): where the logit is positive."""
    left, right, top, bottom = crop
    # `sigmoid > 0.5` in the released code; they differ only where float32's sigmoid rounds to one half.
    return (logits.sigmoid() > 0.5)[:, top:bottom, left:right].cpu().numpy()
