"""Prompt SAM 2 with a language model's state.

Every frame that RGA shows SAM 2 gets the same prompt, so that each begins a video of its own: what SAM 2 remembers of
earlier frames never counts, and its image model is all that is needed. The prompt is what SAM 2 has where nobody
pointed, twice "no point", and the state behind it; of three masks the one that SAM 2 takes for best is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from pixcore_segtoken.keymap import Ignore, Merge, Named, Rename, Rule
from pixcore_segtoken.sam import alike_rules, feed_forward, normalised
from torch import Tensor, nn
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

from pixcore_rga.config import Sam2Sizes


def to_config(sizes: Sam2Sizes) -> Sam2Config:
    """Turn sizes into a transformers config."""
    widths = [sizes.embed_dim << stage for stage in range(len(sizes.stages))]
    side = sizes.image_size
    backbone = Sam2HieraDetConfig(
        hidden_size=sizes.embed_dim,
        num_attention_heads=sizes.num_heads,
        image_size=[side, side],
        blocks_per_stage=list(sizes.stages),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[sizes.num_heads << stage for stage in range(len(sizes.stages))],
        window_size_per_stage=list(sizes.windows),
        global_attention_blocks=list(sizes.global_blocks),
        window_positional_embedding_background_size=list(sizes.background),
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[side // stride, side // stride] for stride in (4, 8, 16)],
        fpn_hidden_size=sizes.prompt_dim,
    )
    return Sam2Config(
        vision_config=vision,
        prompt_encoder_config={
            "hidden_size": sizes.prompt_dim,
            "image_size": side,
            "mask_input_channels": sizes.mask_in_chans,
        },
        mask_decoder_config={
            "hidden_size": sizes.prompt_dim,
            "mlp_dim": sizes.decoder_mlp_dim,
            "iou_head_hidden_dim": sizes.iou_head_hidden,
        },
    )


class PromptableSam2(nn.Module):
    """SAM 2 whose prompts are embeddings."""

    def __init__(self, sizes: Sam2Sizes) -> None:
        super().__init__()
        self.model = Sam2Model(to_config(sizes))

    @torch.no_grad()
    def encode(self, pixel_values: Tensor) -> list[Tensor]:
        """Turn normalised pixels (1, 3, M, M) into features of strides 4, 8 and 16, the last with P channels."""
        dtype = self.model.vision_encoder.backbone.patch_embed.projection.weight.dtype
        features: list[Tensor] = self.model.get_image_embeddings(pixel_values.to(dtype))
        return features

    @torch.no_grad()
    def decode(self, features: Sequence[Tensor], prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Decode the best of three masks for every prompt embedding on one image.

        Args:
            features: Of `encode`.
            prompts: (N, P), at least one.

        Returns:
            Low-resolution mask logits (N, 1, M/4, M/4) and the IoU (N, 1) that SAM 2 expects of each.
        """
        *fine, coarse = features
        encoder = self.model.prompt_encoder
        nobody_pointed = encoder.not_a_point_embed.weight.expand(len(prompts), 2, -1)
        masks, scores, *_ = self.model.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=torch.cat([nobody_pointed, prompts[:, None].to(coarse.dtype)], dim=1)[None],
            dense_prompt_embeddings=encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(coarse),
            multimask_output=True,
            high_resolution_features=fine,
        )
        best = scores[0].argmax(dim=1, keepdim=True)
        return masks[0].take_along_dim(best[:, :, None, None], dim=1), scores[0].take_along_dim(best, dim=1)


def squeezed(image: Image.Image, size: int) -> Tensor:
    """Prepare an image as RGA does for SAM 2: squeezed into a square (bicubic), normalised, (3, size, size) float32."""
    return normalised(np.asarray(image.convert("RGB").resize((size, size))))


def sam2_rules(official: str, ours: str) -> Sequence[Rule]:
    """Give the key map of SAM 2's own names.

    Args:
        official: Prefix before `image_encoder`, with its dot.
        ours: Prefix of the `PromptableSam2` in our module, with its dot.
    """
    start = re.escape(official)
    trunk, neck = rf"{start}image_encoder\.trunk\.", rf"{start}image_encoder\.neck\."
    prompt, mask = rf"{start}sam_prompt_encoder\.", rf"{start}sam_mask_decoder\."
    ours_image, ours_prompt, ours_mask = (
        f"{ours}model.{part}." for part in ("vision_encoder", "prompt_encoder", "mask_decoder")
    )
    backbone, leaf = f"{ours_image}backbone.", "(weight|bias)"
    attention = r"transformer\.(?:layers\.\d+\.)?\w*attn\w*\."

    def one_table(_: re.Match[str], rows: Mapping[str, Tensor]) -> Iterable[Named]:
        return [(f"{ours_prompt}point_embed.weight", torch.cat([rows[f"{kind}"] for kind in range(4)]))]

    return (
        Ignore(
            rf"{start}(?:memory_attention|memory_encoder|obj_ptr_proj|mask_downsample)\..+"
            rf"|{start}(?:maskmem_tpos_enc|no_mem_pos_enc|no_obj_ptr)",
            "of frames that follow another: each of RGA's is prompted, and begins a video",
        ),
        Rename(rf"{start}no_mem_embed", f"{ours}model.no_memory_embedding"),
        Rename(rf"{trunk}(pos_embed|pos_embed_window)", rf"{backbone}\1"),
        Rename(rf"{trunk}patch_embed\.proj\.{leaf}", rf"{backbone}patch_embed.projection.\1"),
        Rename(rf"{trunk}(blocks\.\d+)\.norm(\d)\.{leaf}", rf"{backbone}\1.layer_norm\2.\3"),
        Rename(rf"{trunk}(blocks\.\d+\.(?:attn\.qkv|attn\.proj|proj))\.{leaf}", rf"{backbone}\1.\2"),
        *feed_forward(rf"{trunk}(blocks\.\d+\.mlp)", backbone, depth=2),
        Rename(rf"{neck}(convs\.\d+)\.conv\.{leaf}", rf"{ours_image}neck.\1.\2"),
        Merge({f"{kind}": rf"{prompt}point_embeddings\.{kind}\.weight" for kind in range(4)}, one_table),
        Rename(rf"{mask}(iou_token|mask_tokens|obj_score_token)\.weight", rf"{ours_mask}\1.weight"),
        Rename(rf"{mask}(conv_s[01])\.{leaf}", rf"{ours_mask}\1.\2"),
        Rename(rf"{mask}({attention}[qkv]_proj)\.{leaf}", rf"{ours_mask}\1.\2"),
        Rename(rf"{mask}({attention})out_proj\.{leaf}", rf"{ours_mask}\1o_proj.\2"),
        *feed_forward(rf"{mask}(transformer\.layers\.\d+\.mlp)", ours_mask, depth=2),
        *feed_forward(
            rf"{mask}(output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head)", ours_mask, depth=3
        ),
        *alike_rules(prompt, mask, ours),
    )
