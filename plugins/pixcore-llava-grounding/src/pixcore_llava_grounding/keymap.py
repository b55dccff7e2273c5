"""Say where every tensor of LLaVA-Grounding's checkpoint belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from pixcore_segtoken.keymap import Ignore, Named, Rename, Rule, Split
from torch import Tensor

OPENSEED = "seg_model.model."
"""Prefix of OpenSeeD's names inside the checkpoint."""


def openseed_rules(ours: str = "") -> Sequence[Rule]:
    """Give the key map of OpenSeeD's names (detectron2's style) into `OpenSeed`.

    Args:
        ours: Prefix of the `OpenSeed` in our module, with its dot.
    """
    prefix = re.escape(OPENSEED)
    back, pixel, predictor = (
        prefix + r"backbone\.",
        prefix + r"sem_seg_head\.pixel_decoder\.",
        prefix + r"sem_seg_head\.predictor\.",
    )
    swin, our_pixel, our_decoder = f"{ours}backbone.model.", f"{ours}pixel_decoder.", f"{ours}query_decoder."
    return (
        *_swin_rules(back, swin),
        Rename(pixel + r"input_proj\.(\d+)\.(\d)\.(weight|bias)", rf"{our_pixel}input_projections.\1.\2.\3"),
        Rename(pixel + r"transformer\.level_embed", f"{our_pixel}level_embed"),
        Rename(pixel + r"transformer\.encoder\.(.+)", rf"{our_pixel}encoder.\1"),
        Rename(pixel + r"adapter_1\.weight", f"{our_pixel}lateral.0.weight"),
        Rename(pixel + r"adapter_1\.norm\.(weight|bias)", rf"{our_pixel}lateral.1.\1"),
        Rename(pixel + r"layer_1\.weight", f"{our_pixel}output.0.weight"),
        Rename(pixel + r"layer_1\.norm\.(weight|bias)", rf"{our_pixel}output.1.\1"),
        Rename(pixel + r"mask_features\.(weight|bias)", rf"{our_pixel}mask_features.\1"),
        Ignore(predictor + r"(decoder\.)?bbox_embed\..+", "the same tensors as _bbox_embed, once for each layer"),
        Ignore(predictor + r"decoder\.norm\..+", "the same tensors as decoder_norm"),
        Ignore(predictor + r"lang_mapper", "only denoising in training uses it"),
        Rename(predictor + r"_bbox_embed\.(.+)", rf"{our_decoder}box_embed.\1"),
        Rename(predictor + r"decoder\.(layers\..+|ref_point_head\..+)", rf"{our_decoder}\1"),
        Rename(
            predictor + r"((?:enc_output|enc_output_norm|decoder_norm|mask_embed)\..+|class_embed|logit_scale)",
            rf"{our_decoder}\1",
        ),
        Ignore(prefix + r"criterion\..+", "the loss"),
        Ignore(prefix + r"pixel_(mean|std)", "constants of the code"),
    )


def _swin_rules(back: str, swin: str) -> Sequence[Rule]:
    block, ours = back + r"layers\.(\d+)\.blocks\.(\d+)\.", rf"{swin}swin.encoder.layers.\1.blocks.\2."
    leaf = r"\.(weight|bias)"

    def split_qkv(match: re.Match[str], tensor: Tensor) -> Iterable[Named]:
        names = (match.expand(rf"{ours}attention.{part}_proj.\3") for part in "qkv")
        return zip(names, torch.chunk(tensor, 3), strict=True)

    return (
        Ignore(block + r"attn\.relative_position_index", "computed from the window's size"),
        Ignore(back + r"layers\.\d+\.attn_mask", "computed from the map's size"),
        Rename(back + r"patch_embed\.proj" + leaf, rf"{swin}swin.embeddings.patch_embeddings.projection.\1"),
        Rename(back + r"patch_embed\.norm" + leaf, rf"{swin}swin.embeddings.norm.\1"),
        Split(block + r"attn\.qkv" + leaf, split_qkv),
        Rename(block + r"attn\.proj" + leaf, rf"{ours}attention.o_proj.\3"),
        Rename(
            block + r"attn\.relative_position_bias_table",
            f"{ours}attention.relative_position_bias.relative_position_bias_table",
        ),
        Rename(block + "norm1" + leaf, rf"{ours}layernorm_before.\3"),
        Rename(block + "norm2" + leaf, rf"{ours}layernorm_after.\3"),
        Rename(block + r"(mlp\.fc[12])" + leaf, rf"{ours}\3.\4"),
        Rename(back + r"layers\.(\d+)\.(downsample\..+)", rf"{swin}swin.encoder.layers.\1.\2"),
        *(
            Rename(back + rf"norm{stage}" + leaf, rf"{swin}hidden_states_norms.stage{stage + 1}.\1")
            for stage in range(4)
        ),
    )
