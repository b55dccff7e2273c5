"""OMG-Seg as OMG-LLaVA's eye: from pixels to visual tokens with a query prior, and to what [SEG] states attend to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixcore_omg_llava.backbone import Backbone
from pixcore_omg_llava.pixel_decoder import OmgPixelDecoder
from pixcore_omg_llava.query_decoder import ImageMemory, QueryDecoder
from pixcore_omg_llava.sizes import PerceptionSizes

SMOOTHING = 0.5
"""Share of the score that every query gets whatever its class score (`smooth_ratio` in the release)."""

QUERY_CHUNK = 32
"""Queries whose masks are blown up to the input's size at once: 300 at 1024 x 1024 would take 1.2 GB an image."""


@dataclass(frozen=True)
class VisualTokens:
    """What the projector takes, for a batch of images.

    Attributes:
        pixels: (batch, cells, 4 * C5 + 2 * dim): shuffled backbone map, then the query prior.
        queries: (batch, queries, 2 * dim): last state, then position.
        owner: (batch, cells) int: the query that owns each cell; a query that owns none is dropped.
    """

    pixels: Tensor
    queries: Tensor
    owner: Tensor


class Perception(nn.Module):
    """Looks at an image: backbone, pixel decoder and query decoder."""

    def __init__(self, sizes: PerceptionSizes) -> None:
        super().__init__()
        self.backbone = Backbone(sizes)
        self.pixel_decoder = OmgPixelDecoder(sizes)
        self.query_decoder = QueryDecoder(sizes)

    def forward(self, pixels: Tensor) -> tuple[VisualTokens, ImageMemory]:
        """Look at `pixels` (batch, 3, height, width), normalised, sides a multiple of 64."""
        maps = self.backbone(pixels)
        memory = ImageMemory(*self.pixel_decoder(maps))
        states, masks = self.query_decoder(memory)
        position = self.query_decoder.query_embed.weight.expand(len(pixels), -1, -1)
        queries = torch.cat([states, position], dim=-1)
        scores = self.query_decoder.class_logits(states, masks, memory.mask_features)
        probability = query_probability(scores, masks, (pixels.shape[-2], pixels.shape[-1]))
        prior = probability.flatten(2).softmax(dim=1).transpose(1, 2) @ queries
        tokens = torch.cat([pixel_shuffle(maps[-1]), prior], dim=-1)
        return VisualTokens(tokens, queries, probability.flatten(2).argmax(dim=1)), memory


def pixel_shuffle(feature: Tensor, ratio: int = 2) -> Tensor:
    """Fold `ratio` x `ratio` cells into one token, (batch, C, h, w) to (batch, cells, ratio^2 * C) as (dy, dx, c)."""
    batch, channels, height, width = feature.shape
    cells = feature.reshape(batch, channels, height // ratio, ratio, width // ratio, ratio)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, (height // ratio) * (width // ratio), -1)


def query_probability(class_logits: Tensor, masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Say how much each query claims each visual token.

    The release blows the mask logits up to the input, takes the sigmoid, weighs it by the smoothed class score and
    shrinks it to the token grid without antialiasing; the order matters and is kept.

    Args:
        class_logits: (batch, queries, classes + 1), background last; it is dropped after the softmax.
        masks: (batch, queries, h, w) logits.
        size: (height, width) of the model's input.

    Returns:
        (batch, queries, height / 64, width / 64).
    """
    scores = class_logits.softmax(dim=-1)[..., :-1].amax(dim=-1)
    weights = scores * (1 - SMOOTHING) + SMOOTHING
    grid = (size[0] // 64, size[1] // 64)
    pieces = []
    for logits, weight in zip(
        torch.split(masks, QUERY_CHUNK, dim=1), torch.split(weights, QUERY_CHUNK, dim=1), strict=True
    ):
        full = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False).sigmoid()
        full = weight[..., None, None] * full
        pieces.append(functional.interpolate(full, size=grid, mode="bilinear", align_corners=False))
    return torch.cat(pieces, dim=1)
