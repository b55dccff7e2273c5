"""The pixel decoder of Mask2Former as mmdet has it: deformable attention over three levels, then one step up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pixcore_segtoken.deformable import DeformableEncoder, MapSize, sine_position
from torch import Tensor, nn
from torch.nn import functional

from pixcore_omg_llava.sizes import PerceptionSizes


class PixelDecoder(nn.Module):
    """Turns the backbone's maps into mask features and a refined pyramid, coarse to fine."""

    def __init__(self, sizes: PerceptionSizes) -> None:
        super().__init__()
        dim, groups = sizes.dim, sizes.groups
        coarse_to_fine = list(reversed(sizes.backbone_widths))[: sizes.levels]
        self.input_projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, dim, 1), nn.GroupNorm(groups, dim)) for width in coarse_to_fine
        )
        self.level_encoding = nn.Embedding(sizes.levels, dim)
        self.encoder = DeformableEncoder(
            dim, layers=sizes.encoder_layers, heads=sizes.heads, levels=sizes.levels, hidden=sizes.encoder_hidden
        )
        self.lateral = nn.Sequential(nn.Conv2d(sizes.backbone_widths[0], dim, 1, bias=False), nn.GroupNorm(groups, dim))
        self.output = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.GroupNorm(groups, dim), nn.ReLU())
        self.mask_feature = nn.Conv2d(dim, sizes.mask_dim, 1)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Refine.

        Args:
            maps: the backbone's maps, fine to coarse.

        Returns:
            Mask features (batch, mask_dim, height / 4, width / 4), and the refined levels (batch, dim, h, w), coarse to
            fine.
        """
        coarse_to_fine = list(reversed(maps))
        levels = [project(level) for project, level in zip(self.input_projections, coarse_to_fine, strict=False)]
        sizes: list[MapSize] = [(level.shape[-2], level.shape[-1]) for level in levels]
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        refined = self.encoder(tokens, self.position(sizes, tokens), sizes)
        pieces = refined.split([height * width for height, width in sizes], dim=1)
        pyramid = [piece.transpose(1, 2).unflatten(2, size) for piece, size in zip(pieces, sizes, strict=True)]
        fine = self.lateral(maps[0])
        above = functional.interpolate(pyramid[-1], size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_feature(self.output(fine + above)), pyramid

    def position(self, sizes: Sequence[MapSize], like: Tensor) -> Tensor:
        """Sine position plus the level's embedding, (tokens, dim)."""
        return torch.cat(
            [
                sine_position(size, like.shape[-1], device=like.device, dtype=like.dtype) + code
                for size, code in zip(sizes, self.level_encoding.weight, strict=True)
            ]
        )
