"""Prepare OpenSeeD's pixels: the longest side resized, the rest of the square grey, the image at the top left."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PADDING = 128
"""Grey of the padding; the model attends to it like to anything else."""


def padded_square(image: Image.Image, size: int) -> Tensor:
    """Fit an RGB image into a square, (3, size, size) uint8, as detectron2's `ResizeScale` and `FixedSizeCrop` do.

    Sides are rounded half to even, which is numpy's and Python's rule.
    """
    scale = size / max(image.size)
    # A line thinner than half a pixel still is a line.
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = np.full((size, size, 3), PADDING, dtype=np.uint8)
    square[:height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(square.transpose(2, 0, 1).copy())
