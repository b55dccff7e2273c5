"""OpenSeeD's pixel decoder: MaskDINO's, over four levels."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore_segtoken.deformable import DeformableEncoder
from pixcore_segtoken.pixel_decoder import PixelDecoder
from torch import Tensor, nn

from pixcore_llava_grounding.sizes import OpenSeedSizes


class OpenSeedPixelDecoder(PixelDecoder):
    """Keeps the levels fine to coarse (strides 8 to 64), and makes those beyond the backbone of its coarsest map."""

    finest = 0

    def __init__(self, sizes: OpenSeedSizes) -> None:
        widths = [sizes.embed_dim * 2**stage for stage in range(len(sizes.depths))]
        projections: list[nn.Module] = [nn.Conv2d(width, sizes.dim, 1) for width in widths[1:]]
        # Further levels halve the coarsest map; the released model has one.
        source = widths[-1]
        for _ in range(sizes.levels - len(projections)):
            projections.append(nn.Conv2d(source, sizes.dim, 3, stride=2, padding=1))
            source = sizes.dim
        encoder = DeformableEncoder(
            sizes.dim,
            layers=sizes.encoder_layers,
            heads=sizes.encoder_heads,
            levels=sizes.levels,
            hidden=sizes.encoder_hidden,
        )
        super().__init__(
            projections, encoder, dim=sizes.dim, fine_width=widths[0], mask_dim=sizes.mask_dim, groups=sizes.groups
        )

    def levels(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Project all maps but the finest; a level beyond them is made of the coarsest, the next one of that level."""
        levels: list[Tensor] = []
        for index, project in enumerate(self.input_projections):
            beyond = index - (len(maps) - 1)
            levels.append(project(maps[index + 1] if beyond < 0 else maps[-1] if beyond == 0 else levels[-1]))
        return levels
