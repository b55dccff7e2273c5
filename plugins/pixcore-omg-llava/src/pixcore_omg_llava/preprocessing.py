"""Prepare pixels: the image centred in a square of CLIP's mean colour, resized, normalised."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MEAN = (0.4814, 0.4578, 0.4082)
STD = (0.2686, 0.2613, 0.2757)
"""Of the release's config: CLIP's, cut to four digits."""


def centred_square(image: Image.Image) -> Image.Image:
    """Put the image in the middle of a square of the mean colour, the offset floored (xtuner's `expand2square`)."""
    width, height = image.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), tuple(int(value * 255) for value in MEAN))
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def model_input(image: Image.Image, size: int) -> Tensor:
    """Prepare an RGB image, (3, size, size) float32: centred square, bicubic resize, normalised."""
    resized = centred_square(image).resize((size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(resized, dtype=np.float32) / 255
    normal = (pixels - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)
    return torch.from_numpy(normal.transpose(2, 0, 1).copy())
