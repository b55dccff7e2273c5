"""Refine a pyramid as mask transformers do: deformable attention over several levels, then one step up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixcore_segtoken.deformable import DeformableEncoder, MapSize, sine_position


class PixelDecoder(nn.Module):
    """Turns a backbone's maps into mask features and a refined pyramid.

    Mask2Former's (OMG-LLaVA) and MaskDINO's (LLaVA-Grounding) differ in the order of the levels and in what a level is
    made of, which `levels` says.

    Args:
        projections: From the maps to `dim` channels, one a level; a GroupNorm follows each.
        encoder: Over all levels at once.
        dim: Channels of a level.
        fine_width: Channels of the backbone's finest map.
        mask_dim: Channels of the mask features.
        groups: Of every GroupNorm.
    """

    finest: ClassVar[int]
    """Which level is added to the backbone's finest map."""

    def __init__(
        self,
        projections: Iterable[nn.Module],
        encoder: DeformableEncoder,
        *,
        dim: int,
        fine_width: int,
        mask_dim: int,
        groups: int,
    ) -> None:
        super().__init__()
        self.input_projections = nn.ModuleList(
            nn.Sequential(projection, nn.GroupNorm(groups, dim)) for projection in projections
        )
        self.level_embed = nn.Parameter(torch.empty(encoder.levels, dim))
        self.encoder = encoder
        self.lateral = nn.Sequential(nn.Conv2d(fine_width, dim, 1, bias=False), nn.GroupNorm(groups, dim))
        self.output = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.GroupNorm(groups, dim), nn.ReLU())
        self.mask_features = nn.Conv2d(dim, mask_dim, 1)

    @abstractmethod
    def levels(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Project the backbone's maps, given fine to coarse, to the levels (batch, dim, h, w), in the model's order."""

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Refine the levels, and make the mask features of the finest.

        Args:
            maps: The backbone's maps, fine to coarse.

        Returns:
            Mask features (batch, mask_dim, height / 4, width / 4), and the refined levels (batch, dim, h, w), in the
            order of `levels`.
        """
        levels = self.levels(maps)
        sizes: list[MapSize] = [(level.shape[-2], level.shape[-1]) for level in levels]
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        refined = self.encoder(tokens, self.position(sizes, tokens), sizes)
        parts = refined.split([height * width for height, width in sizes], dim=1)
        pyramid = [part.transpose(1, 2).unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]
        fine = self.lateral(maps[0])
        above = functional.interpolate(pyramid[self.finest], size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_features(self.output(fine + above)), pyramid

    def position(self, sizes: Sequence[MapSize], like: Tensor) -> Tensor:
        """Give each token its sine position plus its level's embedding, (tokens, dim)."""
        return torch.cat(
            [
                sine_position(size, like.shape[-1], device=like.device, dtype=like.dtype) + code
                for size, code in zip(sizes, self.level_embed, strict=True)
            ]
        )
