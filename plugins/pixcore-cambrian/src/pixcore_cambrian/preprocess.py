"""Prepare an image for Cambrian's towers, and their features for its language model."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from PIL import Image
from torch import Tensor, nn


def pad_to_square(image: Image.Image, mean: Sequence[float], size: int) -> Image.Image:
    """Pad an image to a centred square in a tower's mean colour, then resize it (PIL bicubic).

    Source: Cambrian `mm_utils.py`, process_images and expand2square: the border on the left or top is rounded down.

    Args:
        image: RGB.
        mean: Three values in 0..1.
        size: Side of the result.
    """
    side = max(image.size)
    if image.width != image.height:
        square = Image.new("RGB", (side, side), tuple(int(value * 255) for value in mean))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    return image.resize((size, size))


def interpolate_tokens(tokens: Tensor, count: int) -> Tensor:
    """Bring tokens (B, n, C) of a square grid to another, (B, count, C), bilinearly; in float32 or wider."""
    side, target = isqrt(tokens.shape[1]), isqrt(count)
    if side == target:
        return tokens
    return _to_tokens(torch.unflatten(tokens.transpose(1, 2), 2, (side, side)), target)


def stack_stages(stages: Sequence[Tensor], side: int) -> Tensor:
    """Resize ConvNeXt's stages (B, C_i, h_i, w_i) to a side x side grid and stack them: (B, side * side, sum C_i)."""
    return torch.cat([_to_tokens(stage, side) for stage in stages], dim=-1)


def _to_tokens(grid: Tensor, side: int) -> Tensor:
    wide = grid if grid.dtype == torch.float64 else grid.float()
    resized = nn.functional.interpolate(wide, (side, side), mode="bilinear", align_corners=False)
    return resized.to(grid.dtype).flatten(2).transpose(1, 2)
