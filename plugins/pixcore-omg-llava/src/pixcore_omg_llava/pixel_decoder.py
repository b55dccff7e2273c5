"""OMG-Seg's pixel decoder: Mask2Former's as mmdet has it, over three levels."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore_segtoken.deformable import DeformableEncoder
from pixcore_segtoken.pixel_decoder import PixelDecoder
from torch import Tensor, nn

from pixcore_omg_llava.sizes import PerceptionSizes


class OmgPixelDecoder(PixelDecoder):
    """Orders the levels coarse to fine, and makes each of one of the coarsest maps."""

    finest = -1

    def __init__(self, sizes: PerceptionSizes) -> None:
        coarse_to_fine = sizes.backbone_widths[::-1][: sizes.levels]
        encoder = DeformableEncoder(
            sizes.dim, layers=sizes.encoder_layers, heads=sizes.heads, levels=sizes.levels, hidden=sizes.encoder_hidden
        )
        super().__init__(
            [nn.Conv2d(width, sizes.dim, 1) for width in coarse_to_fine],
            encoder,
            dim=sizes.dim,
            fine_width=sizes.backbone_widths[0],
            mask_dim=sizes.mask_dim,
            groups=sizes.groups,
        )

    def levels(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Project the coarsest maps."""
        return [project(level) for project, level in zip(self.input_projections, reversed(maps), strict=False)]
