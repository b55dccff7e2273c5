"""The sizes of an OpenSeeD model, read from the shapes of its weights.

Everything follows from the shapes but the number of queries: both stages of MaskDINO share weights between queries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pixcore_segtoken.checkpoint import counted

from pixcore.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of every weight under its official name."""

POINTS = 4
"""Sampling points of every deformable attention, a default of the released code."""


@dataclass(frozen=True)
class OpenSeedSizes:
    """Sizes of the Swin backbone, the pixel decoder and the two-stage query decoder."""

    embed_dim: int
    depths: tuple[int, ...]
    swin_heads: tuple[int, ...]
    window: int
    mlp_ratio: float
    dim: int
    mask_dim: int
    text_dim: int
    levels: int
    encoder_layers: int
    encoder_heads: int
    encoder_hidden: int
    decoder_layers: int
    decoder_heads: int
    decoder_hidden: int
    queries: int = 300
    groups: int = 32

    @classmethod
    def from_shapes(cls, shapes: Shapes, *, queries: int = 300) -> OpenSeedSizes:
        """Read the sizes from official names without the prefix `seg_model.model.`.

        Args:
            shapes: shape of every weight.
            queries: proposals that the second stage refines; the weights do not tell.

        Raises:
            ModelError: a weight that every OpenSeeD model has is missing.
        """
        pixel, predictor = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."

        def size(name: str, axis: int = 0) -> int:
            if name not in shapes:
                raise ModelError(
                    f"not an OpenSeeD model: no weight named {name}",
                    hint="give the folder of Haozhangcx/llava_grounding_gd_vp as `checkpoint`",
                )
            return shapes[name][axis]

        blocks = [
            counted(shapes, rf"backbone\.layers\.{stage}\.blocks\.(\d+)\.")
            for stage in range(counted(shapes, r"backbone\.layers\.(\d+)\."))
        ]
        table = "attn.relative_position_bias_table"
        embed_dim = size("backbone.patch_embed.proj.weight")
        levels = size(pixel + "transformer.level_embed")
        encoder, decoder = pixel + "transformer.encoder.layers", predictor + "decoder.layers"
        return cls(
            embed_dim=embed_dim,
            depths=tuple(blocks),
            swin_heads=tuple(size(f"backbone.layers.{stage}.blocks.0.{table}", 1) for stage in range(len(blocks))),
            window=(round(size(f"backbone.layers.0.blocks.0.{table}") ** 0.5) + 1) // 2,
            mlp_ratio=size("backbone.layers.0.blocks.0.mlp.fc1.weight") / embed_dim,
            dim=size(pixel + "mask_features.weight", 1),
            mask_dim=size(pixel + "mask_features.weight"),
            text_dim=size(predictor + "class_embed", 1),
            levels=levels,
            encoder_layers=counted(shapes, re.escape(encoder) + r"\.(\d+)\."),
            encoder_heads=size(f"{encoder}.0.self_attn.attention_weights.weight") // (levels * POINTS),
            encoder_hidden=size(f"{encoder}.0.linear1.weight"),
            decoder_layers=counted(shapes, re.escape(decoder) + r"\.(\d+)\."),
            decoder_heads=size(f"{decoder}.0.cross_attn.attention_weights.weight") // (levels * POINTS),
            decoder_hidden=size(f"{decoder}.0.linear1.weight"),
            queries=queries,
        )
