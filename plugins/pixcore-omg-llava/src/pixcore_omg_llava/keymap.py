"""Say where every tensor of omg_seg_convl.pth and of the fine-tuned file belongs, the language model's aside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pixcore_segtoken.keymap import Ignore, Rename, Rule

PERCEPTION = "visual_encoder."
"""Prefix of the perception model inside OMG_LLaVA; its own file has the names without it."""

CLIP = "clip:"
"""Prefix of the names of open_clip's own checkpoint."""

_HEAD = r"visual_encoder\.panoptic_head\."


def perception_rules(ours: str = "perception.") -> Sequence[Rule]:
    """Give the key map of OMG-Seg's names (mmdet's and open_clip's) into `Perception`.

    Args:
        ours: Prefix of the `Perception` in our module, with its dot.
    """
    pixel, decoder = f"{ours}pixel_decoder.", f"{ours}query_decoder."
    official_pixel = _HEAD + r"pixel_decoder\."
    official_layer = _HEAD + r"transformer_decoder\.layers\.(\d+)\."
    leaf = r"\.(weight|bias)"
    return (
        Ignore(r"visual_encoder\.backbone\.(head|norm_pre)\..+", "CLIP's own head; the query decoder finds classes"),
        *_backbone_rules(r"visual_encoder\.backbone\.stem", r"visual_encoder\.backbone\.layer{number}", 1, ours),
        # mmdet's MSDeformAttnPixelDecoder
        Rename(official_pixel + r"input_convs\.(\d+)\.conv" + leaf, rf"{pixel}input_projections.\1.0.\2"),
        Rename(official_pixel + r"input_convs\.(\d+)\.gn" + leaf, rf"{pixel}input_projections.\1.1.\2"),
        Rename(official_pixel + r"level_encoding\.weight", rf"{pixel}level_embed"),
        Rename(official_pixel + r"encoder\.layers\.(\d+)\.(self_attn\..+)", rf"{pixel}encoder.layers.\1.\2"),
        Rename(
            official_pixel + r"encoder\.layers\.(\d+)\.ffn\.layers\.0\.0" + leaf,
            rf"{pixel}encoder.layers.\1.linear1.\2",
        ),
        Rename(
            official_pixel + r"encoder\.layers\.(\d+)\.ffn\.layers\.1" + leaf, rf"{pixel}encoder.layers.\1.linear2.\2"
        ),
        Rename(official_pixel + r"encoder\.layers\.(\d+)\.norms\.0" + leaf, rf"{pixel}encoder.layers.\1.norm1.\2"),
        Rename(official_pixel + r"encoder\.layers\.(\d+)\.norms\.1" + leaf, rf"{pixel}encoder.layers.\1.norm2.\2"),
        Rename(official_pixel + r"lateral_convs\.0\.conv\.weight", rf"{pixel}lateral.0.weight"),
        Rename(official_pixel + r"lateral_convs\.0\.gn" + leaf, rf"{pixel}lateral.1.\1"),
        Rename(official_pixel + r"output_convs\.0\.conv\.weight", rf"{pixel}output.0.weight"),
        Rename(official_pixel + r"output_convs\.0\.gn" + leaf, rf"{pixel}output.1.\1"),
        Rename(official_pixel + r"mask_feature" + leaf, rf"{pixel}mask_features.\1"),
        # mmdet's Mask2FormerTransformerDecoder and the heads around it
        Rename(official_layer + r"cross_attn\.attn\.(.+)", rf"{decoder}layers.\1.cross_attention.\2"),
        Rename(official_layer + r"self_attn\.attn\.(.+)", rf"{decoder}layers.\1.self_attention.\2"),
        Rename(official_layer + r"ffn\.layers\.0\.0" + leaf, rf"{decoder}layers.\1.linear1.\2"),
        Rename(official_layer + r"ffn\.layers\.1" + leaf, rf"{decoder}layers.\1.linear2.\2"),
        Rename(official_layer + r"norms\.0" + leaf, rf"{decoder}layers.\1.cross_norm.\2"),
        Rename(official_layer + r"norms\.1" + leaf, rf"{decoder}layers.\1.self_norm.\2"),
        Rename(official_layer + r"norms\.2" + leaf, rf"{decoder}layers.\1.final_norm.\2"),
        Rename(_HEAD + r"transformer_decoder\.post_norm" + leaf, rf"{decoder}post_norm.\1"),
        Rename(
            _HEAD + r"((?:query_embed|query_feat|level_embed)\.weight"
            r"|(?:mask_embed|iou_embed|cls_proj|mask_pooling_proj)\..+)",
            rf"{decoder}\1",
        ),
        Ignore(_HEAD + r"(mask_tokens|pb_embedding|pos_linear)\..+", "box and point prompts of OMG-Seg"),
        Ignore(_HEAD + r"(cls_embed|logit_scale|loss_.+)", "a buffer: the vocabulary has its own file"),
        Ignore(r"visual_encoder\.data_preprocessor\..+", "the normalisation is in the preprocessing"),
    )


def clip_rules(ours: str = "perception.") -> Sequence[Rule]:
    """Give the key map of open_clip's ConvNeXt, for a release whose file with OMG-Seg has no backbone.

    Args:
        ours: Prefix of the `Perception` in our module, with its dot.
    """
    trunk = re.escape(CLIP) + r"visual\.trunk\."
    return (
        *_backbone_rules(trunk + "stem", trunk + r"stages\.{number}", 0, ours),
        Ignore(re.escape(CLIP) + r".+", "CLIP's text side and its own head"),
    )


def _backbone_rules(stem: str, stages: str, first: int, ours: str) -> Iterator[Rule]:
    """From timm's names of a ConvNeXt; `stages` has {number}, which counts from `first`."""
    back, leaf = f"{ours}backbone.", r"\.(weight|bias)"
    yield Rename(stem + r"\.0" + leaf, rf"{back}embeddings.patch_embeddings.\1")
    yield Rename(stem + r"\.1" + leaf, rf"{back}embeddings.layernorm.\1")
    for stage in range(4):
        official, mine = stages.format(number=stage + first), f"{back}stages.{stage}."
        yield Rename(official + r"\.downsample\.(\d)" + leaf, rf"{mine}downsampling_layer.\1.\2")
        block, layer = official + r"\.blocks\.(\d+)\.", rf"{mine}layers.\1."
        yield Rename(block + "gamma", f"{layer}layer_scale_parameter")
        yield Rename(block + "conv_dw" + leaf, rf"{layer}dwconv.\2")
        yield Rename(block + "norm" + leaf, rf"{layer}layernorm.\2")
        yield Rename(block + r"mlp\.fc([12])" + leaf, rf"{layer}pwconv\2.\3")


def projector_rules(visual: str = "projector.", state: str = "state_projector.") -> Sequence[Rule]:
    """Give the key map of the two projectors.

    Args:
        visual: Prefix of the `VisualProjector` in our module, with its dot.
        state: Prefix of the state projector, with its dot.
    """
    return (
        Rename(r"projector\.model\.query_proj\.(weight|bias)", rf"{visual}query_proj.\1"),
        Rename(r"projector\.model\.model\.([02])\.(weight|bias)", rf"{visual}queries.\1.\2"),
        Rename(r"projector\.model\.model_feat\.([02])\.(weight|bias)", rf"{visual}pixels.\1.\2"),
        Rename(r"projector\.model\.seperate_embed\.weight", f"{visual}separator.weight"),
        Ignore(r"projector\.model\.visual_prompt_.+", "visual prompts"),
        Rename(r"projector_text2vision\.model\.([02])\.(weight|bias)", rf"{state}\1.\2"),
    )
