"""The CLIP ConvNeXt that OMG-Seg looks with: four maps at strides 4, 8, 16 and 32, no final norm."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import ConvNextConfig, ConvNextModel

from pixcore_omg_llava.sizes import PerceptionSizes


class Backbone(nn.Module):
    """Runs the ConvNeXt of transformers, stage by stage; its final norm belongs to CLIP's head and is not used here."""

    def __init__(self, sizes: PerceptionSizes) -> None:
        super().__init__()
        config = ConvNextConfig(
            num_stages=len(sizes.backbone_widths),
            hidden_sizes=list(sizes.backbone_widths),
            depths=list(sizes.backbone_depths),
        )
        model = ConvNextModel(config)
        self.embeddings = model.embeddings
        self.stages = model.encoder.stages

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Make maps of `pixels` (batch, 3, height, width), fine to coarse, each (batch, channels, h / s, w / s)."""
        hidden = self.embeddings(pixels)
        maps = []
        for stage in self.stages:
            # transformers leaves the channels last in memory; CPU group normalisation is ten times less exact on that.
            hidden = stage(hidden).contiguous()
            maps.append(hidden)
        return maps
