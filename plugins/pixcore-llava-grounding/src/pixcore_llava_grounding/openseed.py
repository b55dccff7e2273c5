"""OpenSeeD as LLaVA-Grounding's segmenter: an image and language states to boxes and masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixcore_llava_grounding.backbone import Backbone
from pixcore_llava_grounding.pixel_decoder import OpenSeedPixelDecoder
from pixcore_llava_grounding.query_decoder import Detections, Memory, QueryDecoder
from pixcore_llava_grounding.sizes import OpenSeedSizes

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

MATCHING_THRESHOLD = 0.05
"""A query belongs to a state where the softmax *over queries* exceeds this (PixFoundation's infer_llavag.py)."""

EMPTY_MASK_SIDE = 256
"""Side of the zero mask of a state without any query, whatever the maps' size."""


@dataclass(frozen=True)
class StateRegions:
    """The regions that belong to one language state.

    Attributes:
        matched: indices of the matched queries; none is legal.
        boxes: (k, 4) x0, y0, x1, y1 as shares of the model's input; one row of zeros where nothing matched.
        masks: (k, h, w) bool; one empty 256 x 256 mask where nothing matched.
    """

    matched: Tensor
    boxes: Tensor
    masks: Tensor


class OpenSeed(nn.Module):
    """Finds what language states speak of: backbone, pixel decoder and query decoder."""

    def __init__(self, sizes: OpenSeedSizes) -> None:
        super().__init__()
        self.backbone = Backbone(sizes)
        self.pixel_decoder = OpenSeedPixelDecoder(sizes)
        self.query_decoder = QueryDecoder(sizes)

    def look(self, pixels: Tensor) -> Memory:
        """Prepare what the decoder attends to, of RGB `pixels` (batch, 3, h, w) in 0..255; padding is not masked."""
        return Memory.of(*self.pixel_decoder(self.backbone(self.normalised(pixels))))

    def forward(self, pixels: Tensor, states: Tensor) -> Detections:
        """Find what `states` (batch, n, text_dim) speak of in RGB `pixels` (batch, 3, height, width), 0..255."""
        found: Detections = self.query_decoder(self.look(pixels), states)
        return found

    def normalised(self, pixels: Tensor) -> Tensor:
        """Normalise pixels in the weights' type, with zeros at the right and bottom up to a multiple of 32."""
        weight = self.query_decoder.class_embed
        mean, std = (
            torch.tensor(values, dtype=weight.dtype, device=weight.device)[:, None, None]
            for values in (PIXEL_MEAN, PIXEL_STD)
        )
        height, width = pixels.shape[-2:]
        normal = (pixels.to(weight) - mean) / std
        return functional.pad(normal, (0, -width % 32, 0, -height % 32))


def regions_of_states(found: Detections, *, threshold: float = MATCHING_THRESHOLD) -> list[StateRegions]:
    """Sort the detections of *one* image by language state (openseed_model.py:708-756).

    Args:
        found: batch of one.
        threshold: on the softmax over queries.

    Returns:
        One entry for each state, in order.
    """
    probability = match_probability(found)
    return [_regions(found, column, threshold) for column in probability.unbind(dim=1)]


def match_probability(found: Detections) -> Tensor:
    """Take each state's softmax over all queries: (queries, states)."""
    return found.class_logits[0].softmax(dim=0)


def _regions(found: Detections, probability: Tensor, threshold: float) -> StateRegions:
    matched = torch.where(probability > threshold)[0]
    if not len(matched):
        side = EMPTY_MASK_SIDE
        return StateRegions(matched, found.boxes.new_zeros(1, 4), found.masks.new_zeros(1, side, side).bool())
    centre, extent = found.boxes[0, matched].chunk(2, dim=-1)
    boxes = torch.cat([centre - 0.5 * extent, centre + 0.5 * extent], dim=-1)
    return StateRegions(matched, boxes, found.masks[0, matched] > 0)
