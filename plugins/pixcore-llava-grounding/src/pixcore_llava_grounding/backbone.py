"""The Swin transformer that OpenSeeD looks with: four maps at strides 4 to 32, each after its own LayerNorm."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import SwinBackbone, SwinConfig

from pixcore_llava_grounding.sizes import OpenSeedSizes


class Backbone(nn.Module):
    """Runs the Swin of transformers, whose windows shift at every resolution as the published code's do."""

    def __init__(self, sizes: OpenSeedSizes) -> None:
        super().__init__()
        stages = [f"stage{index + 1}" for index in range(len(sizes.depths))]
        config = SwinConfig(
            embed_dim=sizes.embed_dim,
            depths=list(sizes.depths),
            num_heads=list(sizes.swin_heads),
            window_size=sizes.window,
            mlp_ratio=sizes.mlp_ratio,
            out_features=stages,
        )
        self.model = SwinBackbone(config)
        # Only a classifier reads what comes after the last stage's own norm.
        self.model.swin.layernorm = nn.Identity()

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Make maps of `pixels` (batch, 3, height, width), fine to coarse, each (batch, channels, h / s, w / s)."""
        return list(self.model(pixels).feature_maps)
