"""Tiny checkpoints of the families that cut an image into tiles, and of those that lay a square grid over it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pixcore_transformers.testing.recipes import Recipe
from pixcore_transformers.testing.shrunk import PATCH, TILE, shrunk

_SQUARE = {"height": TILE, "width": TILE}
_IMAGE = {"image_token": "<image>"}
_SLIDES = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64}
_SIGLIP = {"vision_use_head": False}
_COHERE = {**_SLIDES, "num_key_value_heads": 2}
_CELLS = (TILE // PATCH) ** 2
_SAM = {
    "output_channels": 8,
    "window_size": 4,
    "global_attn_indexes": [1],
    "mlp_dim": 48,
    "image_size": 2 * TILE,
    "num_pos_feats": 16,
}


def _of(kind: str, **changes: Any) -> partial[Any]:
    return partial(shrunk, kind, changes=changes)


VIEWS: Mapping[str, Recipe] = {
    "aya_vision": Recipe(
        _of("aya_vision", image_token_index="<|IMG_PATCH|>", vision_config=_SIGLIP, text_config=_COHERE),
        "GotOcr2ImageProcessor",
        {"size": _SQUARE, "min_patches": 1, "max_patches": 6},
        "AyaVisionProcessor",
        {"patch_size": PATCH, "img_size": TILE, "downsample_factor": 2},
        special=("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE", "TILE_GLOBAL"),
    ),
    "cohere2_vision": Recipe(
        _of(
            "cohere2_vision",
            image_token_id="<image>",
            alignment_intermediate_size=48,
            vision_config=_SIGLIP,
            text_config=_COHERE,
        ),
        "Cohere2VisionImageProcessor",
        {"size": _SQUARE, "patch_size": 4, "min_patches": 1, "max_patches": 6},
        "Cohere2VisionProcessor",
        roles={**_IMAGE, "boi_token": "<boi>", "eoi_token": "<eoi>", "img_line_break_token": "<line>"},
    ),
    "got_ocr2": Recipe(
        _of(
            "got_ocr2",
            image_token_index="<imgpad>",
            image_seq_length=256,
            vision_config={**_SAM, "image_size": 256, "patch_size": 4, "global_attn_indexes": []},
        ),
        "GotOcr2ImageProcessor",
        {"size": {"height": 256, "width": 256}},
        "GotOcr2Processor",
        roles={},
        special=("<imgpad>", "<img>", "</img>", "<|im_start|>", "<|im_end|>"),
        placeholder="<imgpad>",
    ),
    "qianfan_ocr": Recipe(
        _of(
            "qianfan_ocr", image_token_id="<IMG_CONTEXT>", image_seq_length=16, vision_config={"num_attention_heads": 2}
        ),
        "GotOcr2ImageProcessor",
        {"size": _SQUARE, "crop_to_patches": True, "min_patches": 1, "max_patches": 6},
        "QianfanOCRProcessor",
        {"image_seq_length": 16},
        roles={"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"},
        special=("<image>",),
        placeholder="<image>",
    ),
    "ovis2": Recipe(
        _of(
            "ovis2",
            image_token_id="<IMG_ATOM>",
            hidden_size=32,
            visual_indicator_token_ids=[3, 4, 5, 6, 7],
            vision_config={"vocab_size": 40},
        ),
        "Ovis2ImageProcessor",
        {"size": _SQUARE, "crop_to_patches": True, "min_patches": 1, "max_patches": 6},
        "Ovis2Processor",
        {"image_seq_length": _CELLS},
        special=("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>", "<IMG_ATOM>"),
    ),
    "perception_lm": Recipe(
        _of(
            "perception_lm",
            image_token_id="<image>",
            video_token_id="<video>",
            projector_pooling_ratio=2,
            vision_config={
                "architecture": "vit_pe_core_tiny_patch16_384",
                "do_pooling": False,
                "model_args": {
                    "embed_dim": 32,
                    "depth": 2,
                    "num_heads": 2,
                    "img_size": [TILE, TILE],
                    "patch_size": PATCH,
                    "global_pool": "",
                    "ref_feat_shape": [8, 8],
                },
            },
        ),
        "PerceptionLMImageProcessor",
        {"tile_size": TILE, "max_num_tiles": 6, "size": _SQUARE},
        "PerceptionLMProcessor",
        {"patch_size": PATCH, "pooling_ratio": 2},
        roles={**_IMAGE, "video_token": "<video>"},
    ),
    "granite_docling": Recipe(
        _of(
            "granite_docling",
            image_token_id="<image>",
            pad_token_id=0,
            vision_config={"scale_factor": 2, "deepstack_visual_indexes": [0], "use_fine_route": False},
        ),
        "GraniteDoclingImageProcessor",
        {"size": _SQUARE, "min_patches": 1, "max_patches": 6},
        "GraniteDoclingProcessor",
        {"image_seq_len": 16},
        special=(
            "<fake_token_around_image>",
            "<global-img>",
            *(f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)),
        ),
    ),
    "llama4": Recipe(
        _of(
            "llama4",
            image_token_index="<|patch|>",
            boi_token_index="<|image_start|>",
            eoi_token_index="<|image_end|>",
            text_config={
                "intermediate_size_mlp": 48,
                "layer_types": ["chunked_attention", "full_attention"],
                "attention_chunk_size": 64,
                "interleave_moe_layer_step": 1,
            },
            vision_config={
                "intermediate_size": 128,
                "projector_input_dim": 32,
                "projector_output_dim": 32,
                "num_attention_heads": 2,
            },
        ),
        "Llama4ImageProcessor",
        {"size": _SQUARE, "max_patches": 6},
        "Llama4Processor",
        {"patch_size": PATCH},
        roles={},
        special=(
            "<|image|>",
            "<|image_start|>",
            "<|image_end|>",
            "<|patch|>",
            "<|tile_x_separator|>",
            "<|tile_y_separator|>",
        ),
        placeholder="<|image|>",
    ),
    "lfm2_vl": Recipe(
        _of(
            "lfm2_vl",
            image_token_id="<image>",
            text_config={"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
            vision_config={"vision_use_head": False, "num_patches": 64},
        ),
        "Lfm2VlImageProcessor",
        {"encoder_patch_size": PATCH, "tile_size": TILE, "min_image_tokens": 4, "max_image_tokens": 24, "max_tiles": 6},
        "Lfm2VlProcessor",
        roles={
            **_IMAGE,
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail_token": "<|img_thumbnail|>",
        },
        special=tuple(f"<|img_row_{row}_col_{col}|>" for row in range(1, 7) for col in range(1, 7)),
    ),
    "step3p7": Recipe(
        _of(
            "step3p7",
            image_token_id="<im_patch>",
            text_config={
                "per_layer_config": {},
                "share_expert_dim": 16,
                "num_sliding_attention_heads": 4,
                "sliding_window": 64,
                "query_pre_attn_scalar": 8,
            },
            vision_config={"image_size": 64, "max_position_embeddings": 256, "mlp_ratio": 1.5},
        ),
        "Step3p7ImageProcessor",
        {"size": {"height": 64, "width": 64}, "patch_size": 32, "max_image_size": 3024, "vision_patch_size": PATCH},
        "Step3p7Processor",
        roles={},
        special=("<im_patch>", "<patch_start>", "<patch_end>", "<patch_newline>", "<im_start>", "<im_end>"),
        placeholder="<im_patch>",
    ),
    "molmo2": Recipe(
        _of(
            "molmo2",
            image_patch_id="<im_patch>",
            image_start_token_id="<im_start>",
            image_end_token_id="<im_end>",
            low_res_image_start_token_id="<low_res_im_start>",
            frame_start_token_id="<frame_start>",
            frame_end_token_id="<frame_end>",
            text_config={"additional_vocab_size": 8},
            vision_config={
                "num_key_value_heads": 4,
                "image_size": [84, 84],
                "patch_size": 6,
                "num_position_embeddings": 196,
            },
            adapter_config={"num_key_value_heads": 4, "vision_feature_layer": [-1, -2], "text_hidden_size": 32},
        ),
        "Molmo2ImageProcessor",
        {"size": {"height": 84, "width": 84}, "patch_size": 6, "max_crops": 4, "overlap_margins": [2, 2]},
        "Molmo2Processor",
        roles={},
        special=(
            "<|image|>",
            "<|video|>",
            "<im_patch>",
            "<im_col>",
            "<im_start>",
            "<low_res_im_start>",
            "<frame_start>",
            "<im_end>",
            "<frame_end>",
            "<im_low>",
        ),
        placeholder="<|image|>",
    ),
    "unlimited_ocr": Recipe(
        _of(
            "unlimited_ocr",
            image_token_id="<image>",
            text_config={
                "num_key_value_heads": 4,
                "layer_types": ["reference_sliding_attention"] * 2,
                "mlp_layer_types": ["dense", "sparse"],
            },
            vision_config={
                "sam_config": {**_SAM, "image_size": 128, "patch_size": 4, "downsample_channels": [16, 32]},
                "encoder_config": {"image_size": 16},
            },
        ),
        "UnlimitedOcrImageProcessor",
        {"size": {"height": 128, "width": 128}, "tile_size": 64, "min_patches": 2, "max_patches": 6},
        "UnlimitedOcrProcessor",
        {"patch_size": PATCH, "downsample_ratio": 4},
    ),
    "lighton_ocr": Recipe(
        _of("lighton_ocr", image_token_id="<image>", vision_config={"image_size": 64, "head_dim": 8}),
        "PixtralImageProcessor",
        {"size": {"longest_edge": 64}, "patch_size": {"height": 2 * PATCH, "width": 2 * PATCH}},
        "LightOnOcrProcessor",
        {"patch_size": PATCH, "spatial_merge_size": 2},
        roles={**_IMAGE, "image_break_token": "<break>", "image_end_token": "<end>"},
    ),
    **{
        kind: Recipe(
            _of(
                kind,
                image_token_id="<image>",
                insert_layer_id=0,
                text_config={
                    "layer_types": ["linear_attention", "full_attention"],
                    "rope_parameters": {
                        "rope_type": "default",
                        "rope_theta": 10000.0,
                        "mrope_section": [1, 1, 2],
                        "partial_rotary_factor": 1.0,
                    },
                },
                vision_config={"insert_layer_id": 0, "image_size": 64},
            ),
            image,
            {
                "patch_size": PATCH,
                "scale_resolution": 64,
                "max_slice_nums": 6,
                **({"downsample_mode": "16x"} if kind != "minicpm_ocr" else {}),
            },
            processor,
            roles={
                **_IMAGE,
                "video_token": "<video>",
                **{
                    f"{name}_token": f"<{name}>"
                    for name in (
                        "image_start",
                        "image_end",
                        "slice_start",
                        "slice_end",
                        "image_id_start",
                        "image_id_end",
                    )
                },
            },
        )
        for kind, image, processor in (
            ("minicpmv4_6", "MiniCPMV4_6ImageProcessor", "MiniCPMV4_6Processor"),
            ("minicpmv4_7", "MiniCPMV4_6ImageProcessor", "MiniCPMV4_7Processor"),
            ("minicpm_ocr", "MiniCPMOcrImageProcessor", "MiniCPMOcrProcessor"),
        )
    },
}
