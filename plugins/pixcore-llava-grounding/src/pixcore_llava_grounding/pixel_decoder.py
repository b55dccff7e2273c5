"""OpenSeeD's pixel decoder: deformable attention over four levels, one step up for the mask features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pixcore_segtoken.deformable import DeformableEncoder, MapSize, sine_position
from torch import Tensor, nn
from torch.nn import functional

from pixcore_llava_grounding.sizes import OpenSeedSizes


class PixelDecoder(nn.Module):
    """Turns the backbone's maps into mask features and a refined pyramid, fine to coarse (strides 8 to 64)."""

    def __init__(self, sizes: OpenSeedSizes) -> None:
        super().__init__()
        dim, groups = sizes.dim, sizes.groups
        widths = [sizes.embed_dim * 2**stage for stage in range(len(sizes.depths))]
        projections: list[nn.Module] = [nn.Conv2d(width, dim, 1) for width in widths[1:]]
        # Further levels halve the coarsest map; the released model has one.
        source = widths[-1]
        for _ in range(sizes.levels - len(projections)):
            projections.append(nn.Conv2d(source, dim, 3, stride=2, padding=1))
            source = dim
        self.input_projections = nn.ModuleList(
            nn.Sequential(projection, nn.GroupNorm(groups, dim)) for projection in projections
        )
        self.level_embed = nn.Parameter(torch.empty(sizes.levels, dim))
        self.encoder = DeformableEncoder(
            dim,
            layers=sizes.encoder_layers,
            heads=sizes.encoder_heads,
            levels=sizes.levels,
            hidden=sizes.encoder_hidden,
        )
        self.lateral = nn.Sequential(nn.Conv2d(widths[0], dim, 1, bias=False), nn.GroupNorm(groups, dim))
        self.output = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.GroupNorm(groups, dim), nn.ReLU())
        self.mask_features = nn.Conv2d(dim, sizes.mask_dim, 1)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Refine.

        Args:
            maps: the backbone's maps, fine to coarse.

        Returns:
            Mask features (batch, mask_dim, height / 4, width / 4), and the refined levels (batch, dim, h, w), fine to
            coarse.
        """
        levels: list[Tensor] = []
        for index, project in enumerate(self.input_projections):
            # A level beyond the backbone is made of its coarsest map, the next one of that level.
            beyond = index - (len(maps) - 1)
            levels.append(project(maps[index + 1] if beyond < 0 else maps[-1] if beyond == 0 else levels[-1]))
        sizes: list[MapSize] = [(level.shape[-2], level.shape[-1]) for level in levels]
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        refined = self.encoder(tokens, self.position(sizes, tokens), sizes)
        pieces = torch.split(refined, [height * width for height, width in sizes], dim=1)
        pyramid = [
            piece.transpose(1, 2).reshape(len(piece), -1, *size) for piece, size in zip(pieces, sizes, strict=True)
        ]
        fine = self.lateral(maps[0])
        above = functional.interpolate(pyramid[0], size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_features(self.output(fine + above)), pyramid

    def position(self, sizes: Sequence[MapSize], like: Tensor) -> Tensor:
        """Sine position plus the level's embedding, (tokens, dim)."""
        return torch.cat(
            [
                sine_position(size, like.shape[-1], device=like.device, dtype=like.dtype) + code
                for size, code in zip(sizes, self.level_embed, strict=True)
            ]
        )
