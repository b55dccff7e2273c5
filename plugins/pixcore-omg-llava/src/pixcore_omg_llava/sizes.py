"""The sizes of an OMG-Seg perception model and its projectors, read from the shapes of its weights.

The released files hold no configuration: everything but the number of sampling points (4, mmdet's default) follows from
the shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixcore_segtoken.checkpoint import counted

from pixcore.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of every weight under its official name."""

POINTS = 4
"""Sampling points of the deformable attention."""


@dataclass(frozen=True)
class PerceptionSizes:
    """Sizes of the ConvNeXt backbone, the pixel decoder and the query decoder."""

    backbone_widths: tuple[int, ...]
    backbone_depths: tuple[int, ...]
    dim: int
    heads: int
    encoder_layers: int
    encoder_hidden: int
    decoder_layers: int
    decoder_hidden: int
    queries: int
    mask_dim: int
    class_dim: int
    levels: int = 3
    groups: int = 32

    @classmethod
    def from_shapes(cls, shapes: Shapes) -> PerceptionSizes:
        """Read the sizes from official names without the prefix `visual_encoder.`.

        Args:
            shapes: shape of every weight.

        Raises:
            ModelError: a weight that every OMG-Seg model has is missing.
        """
        head = "panoptic_head."
        decoder = head + "pixel_decoder."

        def size(name: str, axis: int = 0) -> int:
            if name not in shapes:
                raise ModelError(
                    f"not an OMG-Seg head: no weight named {name}",
                    hint="give omg_seg_convl.pth from zhangtao-whu/OMG-LLaVA as `perception`",
                )
            return shapes[name][axis]

        stages = range(1, counted(shapes, r"backbone\.layer(\d+)\."))
        dim = size(head + "query_feat.weight", 1)
        levels = size(decoder + "level_encoding.weight")
        return cls(
            backbone_widths=tuple(size(f"backbone.layer{i}.blocks.0.norm.weight") for i in stages),
            backbone_depths=tuple(counted(shapes, rf"backbone\.layer{i}\.blocks\.(\d+)\.") for i in stages),
            dim=dim,
            # The release gives both transformers as many heads; the query decoder's own weights do not tell.
            heads=size(decoder + "encoder.layers.0.self_attn.attention_weights.weight") // (levels * POINTS),
            encoder_layers=counted(shapes, r"panoptic_head\.pixel_decoder\.encoder\.layers\.(\d+)\."),
            encoder_hidden=size(decoder + "encoder.layers.0.ffn.layers.0.0.weight"),
            decoder_layers=counted(shapes, r"panoptic_head\.transformer_decoder\.layers\.(\d+)\."),
            decoder_hidden=size(head + "transformer_decoder.layers.0.ffn.layers.0.0.weight"),
            queries=size(head + "query_feat.weight"),
            mask_dim=size(decoder + "mask_feature.weight"),
            class_dim=size(head + "cls_proj.4.weight"),
            levels=levels,
        )

    @property
    def token_channels(self) -> int:
        """Channels of one pixel token before the query prior: the coarsest map, shuffled 2 x 2."""
        return 4 * self.backbone_widths[-1]
