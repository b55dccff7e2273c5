"""Tiny checkpoints of the families that lay one grid over the image, as many cells as the image has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pixcore_transformers.testing.recipes import Recipe
from pixcore_transformers.testing.shrunk import PATCH, shrunk

_FEW = 100  # visual tokens of a large image: those that _PIXELS allow
_PIXELS = {"shortest_edge": 16 * 16, "longest_edge": 80 * 80}
_IMAGE: Mapping[str, Any] = {"patch_size": PATCH, "merge_size": 2, "size": _PIXELS}
_CLIP: Mapping[str, Any] = {**_IMAGE, "temporal_patch_size": 2}
_MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
_QWEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_QWEN_IDS: Mapping[str, Any] = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
_SCANS = {"layer_types": ["linear_attention", "full_attention"]}
_MUSE = (
    "<|patch|>",
    "<|image_start|>",
    "<|image_end|>",
    "<|video|>",
    "<|vid_frame_separator|>",
    "<|vid_start|>",
    "<|vid_end|>",
)
_GLM = tuple(f"<|{side}_of_{what}|>" for what in ("image", "video") for side in ("begin", "end"))
_GLM_IDS = {
    "image_token_id": "<|image|>",
    "video_token_id": "<|video|>",
    "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>",
    "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
}


def _qwen(
    kind: str,
    changes: Mapping[str, Any],
    processor: str = "Qwen3VLProcessor",
    image: str = "Qwen2VLImageProcessor",
    special: tuple[str, ...] = _QWEN,
    placeholder: str = "<|vision_start|><|image_pad|><|vision_end|>",
    **settings: Any,
) -> Recipe:
    return Recipe(
        partial(shrunk, kind, changes={**_QWEN_IDS, **changes}),
        image,
        {**_CLIP, **settings},
        processor,
        roles={},
        special=special,
        placeholder=placeholder,
    )


def _glm(kind: str, image: str, processor: str, text: Mapping[str, Any], **settings: Any) -> Recipe:
    return Recipe(
        partial(
            shrunk,
            kind,
            changes={**_GLM_IDS, "text_config": {"pad_token_id": 0, "eos_token_id": 2, **text}},
        ),
        image,
        {**_CLIP, **settings},
        processor,
        roles={"image_token": "<|image|>", "video_token": "<|video|>"},
        special=_GLM,
        placeholder="<|begin_of_image|><|image|><|end_of_image|>",
    )


_INTERLEAVED = {**_MROPE, "mrope_interleaved": True}
_PARTIAL = {"rope_parameters": {**_MROPE, "partial_rotary_factor": 1.0}}
_QWEN3 = {"num_position_embeddings": 64}
_DEEP = {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
_WINDOWS = {"window_size": 16, "fullatt_block_indexes": [1]}
_QWEN35: Mapping[str, Any] = {
    "text_config": {**_SCANS, "rope_parameters": {**_INTERLEAVED, "partial_rotary_factor": 1.0}},
    "vision_config": _QWEN3,
}
_WHISPER = {"feature_extractor_type": "WhisperFeatureExtractor"}
_OMNI = {
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_token": "<|AUDIO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
_OMNI_IDS: Mapping[str, Any] = {
    "vision_start_token_id": "<|vision_bos|>",
    "vision_end_token_id": "<|vision_eos|>",
    "audio_start_token_id": "<|audio_bos|>",
    "audio_end_token_id": "<|audio_eos|>",
    "user_token_id": 0,
}
_SMALL_AUDIO = {
    "d_model": 32,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "output_dim": 32,
}


def _omni(
    kind: str, processor: str, ids: Mapping[str, Any], text: Mapping[str, Any], vision: Mapping[str, Any]
) -> Recipe:
    changes = {**ids, "text_config": text, "vision_config": vision, "audio_config": _SMALL_AUDIO}
    return Recipe(
        partial(shrunk, kind, changes=changes),
        "Qwen2VLImageProcessor",
        {**_CLIP, **_WHISPER},
        processor,
        roles=_OMNI,
        placeholder="<|vision_bos|><|IMAGE|><|vision_eos|>",
    )


GRIDS: Mapping[str, Recipe] = {
    "qwen3_5": _qwen("qwen3_5", _QWEN35),
    "qwen3_5_moe": _qwen("qwen3_5_moe", _QWEN35),
    "qwen4_exp": _qwen(
        "qwen4_exp",
        {
            "text_config": {
                **_QWEN35["text_config"],
                "hc_lowrank": 8,
                "hc_count": 2,
                "indexer_n_heads": 2,
                "indexer_kv_heads": 1,
                "indexer_head_dim": 8,
                "indexer_budget": 512,
                "indexer_compress_ratio": 1,
            },
            "vision_config": _QWEN3,
        },
    ),
    "cosmos3_omni": _qwen("cosmos3_omni", {"text_config": {"rope_parameters": _INTERLEAVED}, "vision_config": _DEEP}),
    "cohere_compass": _qwen(
        "cohere_compass",
        {
            "image_token_id": "<|IMAGE_PAD|>",
            "video_token_id": "<|VIDEO_PAD|>",
            "text_config": {
                "layer_types": ["sliding_attention", "full_attention"],
                "rope_parameters": dict.fromkeys(("sliding_attention", "full_attention"), _INTERLEAVED),
            },
            "vision_config": _DEEP,
        },
        "CohereCompassProcessor",
        special=(*_QWEN, "<|IMAGE_PAD|>", "<|VIDEO_PAD|>"),
        placeholder="<|vision_start|><|IMAGE_PAD|><|vision_end|>",
    ),
    "exaone4_5": _qwen("exaone4_5", {"vision_config": _WINDOWS}, "Exaone4_5_Processor"),
    "hyperclovax_vision_v2": _qwen(
        "hyperclovax_vision_v2", {"vision_config": _WINDOWS}, "HyperCLOVAXVisionV2Processor"
    ),
    "lfm3_vl": _qwen("lfm3_vl", {"text_config": {"layer_types": ["conv", "full_attention"]}}, "Lfm3VlProcessor"),
    "glm4v": _glm("glm4v", "Glm4vImageProcessor", "Glm4vProcessor", _PARTIAL),
    "glm4v_moe": _glm("glm4v_moe", "Glm4vImageProcessor", "Glm4vProcessor", _PARTIAL),
    "glm46v": _glm("glm46v", "Glm46VImageProcessor", "Glm46VProcessor", _PARTIAL),
    "glmga": _glm("glmga", "GlmgaImageProcessor", "Glm46VProcessor", _PARTIAL),
    "glm_ocr": _glm("glm_ocr", "Glm46VImageProcessor", "Glm46VProcessor", _PARTIAL),
    "glm5_next": _glm(
        "glm5_next",
        "Glm5NextImageProcessor",
        "Glm5NextProcessor",
        {
            "num_key_value_heads": 4,
            "head_dim": 0,
            "qk_rope_head_dim": 0,
            "linear_head_dim": 8,
            "linear_num_heads": 4,
            "index_head_dim": 8,
            "index_n_heads": 2,
            "hc_mult": 2,
            "layer_types": ["linear_attention", "indexed_attention"],
            "indexer_types": ["full", "full"],
        },
        min_image_tokens=4,
        max_image_tokens=_FEW,
    ),
    "qwen2_5_omni_thinker": _omni(
        "qwen2_5_omni_thinker",
        "Qwen2_5OmniProcessor",
        {
            "image_token_index": "<|IMAGE|>",
            "video_token_index": "<|VIDEO|>",
            "audio_token_index": "<|AUDIO|>",
            **_OMNI_IDS,
        },
        {"rope_parameters": _MROPE, "pad_token_id": 0},
        _WINDOWS,
    ),
    "qwen3_omni_moe_thinker": _omni(
        "qwen3_omni_moe_thinker",
        "Qwen3OmniMoeProcessor",
        {"image_token_id": "<|IMAGE|>", "video_token_id": "<|VIDEO|>", "audio_token_id": "<|AUDIO|>", **_OMNI_IDS},
        {"rope_parameters": _INTERLEAVED},
        _DEEP,
    ),
    "ernie4_5_vl_moe": Recipe(
        partial(
            shrunk,
            "ernie4_5_vl_moe",
            changes={
                "image_token_id": "<|IMAGE_PLACEHOLDER|>",
                "image_start_token_id": "<|IMAGE_START|>",
                "image_end_token_id": "<|IMAGE_END|>",
                "video_token_id": "<|VIDEO_PLACEHOLDER|>",
                "video_start_token_id": "<|VIDEO_START|>",
                "video_end_token_id": "<|VIDEO_END|>",
                "text_config": {
                    "moe_intermediate_size": [16, 16],
                    "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0, "mrope_section": [1, 1, 2]},
                },
            },
        ),
        "Ernie4_5_VLMoeImageProcessor",
        _IMAGE,
        "Ernie4_5_VLMoeProcessor",
        roles={
            "image_token": "<|IMAGE_PLACEHOLDER|>",
            "image_start_token": "<|IMAGE_START|>",
            "image_end_token": "<|IMAGE_END|>",
            "video_token": "<|VIDEO_PLACEHOLDER|>",
            "video_start_token": "<|VIDEO_START|>",
            "video_end_token": "<|VIDEO_END|>",
        },
        placeholder="<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
    ),
    "paddleocr_vl": Recipe(
        partial(shrunk, "paddleocr_vl", changes={**_QWEN_IDS, "text_config": {"rope_parameters": _MROPE}}),
        "PaddleOCRVLImageProcessor",
        _IMAGE,
        "PaddleOCRVLProcessor",
        roles={"image_token": "<|image_pad|>"},
        special=_QWEN,
        placeholder="<|vision_start|><|image_pad|><|vision_end|>",
    ),
    "video_llama_3": Recipe(
        partial(
            shrunk, "video_llama_3", changes={"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
        ),
        "VideoLlama3ImageProcessor",
        _IMAGE,
        "VideoLlama3Processor",
        roles={},
        special=_QWEN,
        placeholder="<|image_pad|>",
    ),
    "hunyuan_vl": Recipe(
        partial(
            shrunk,
            "hunyuan_vl",
            changes={
                "image_token_id": "<image>",
                "im_start_id": "<im_start>",
                "im_end_id": "<im_end>",
                "im_newline_id": "<im_newline>",
                "text_config": {"head_dim": 8, "rope_parameters": {**_MROPE, "mrope_section": [1, 1, 2]}},
                "vision_config": {
                    "num_key_value_heads": 4,
                    "text_hidden_size": 32,
                    "max_image_size": 64,
                    "min_image_size": 16,
                    "img_max_token_num": 64,
                    "max_vit_seq_len": 512,
                },
            },
        ),
        "HunYuanVLImageProcessor",
        _IMAGE,
        "HunYuanVLProcessor",
        roles={"image_token": "<image>", "image_start_token": "<im_start>", "image_end_token": "<im_end>"},
        special=("<im_newline>",),
        placeholder="<im_start><image><im_end>",
    ),
    "cosmos3_edge": _qwen(
        "cosmos3_edge",
        {"text_config": {"rope_parameters": _MROPE}, "vision_config": {"num_patches": 64}},
        "Cosmos3EdgeProcessor",
        image="Cosmos3EdgeImageProcessor",
        temporal_patch_size=1,
    ),
    "kimi_k25": _qwen(
        "kimi_k25",
        {
            "text_config": {"first_k_dense_replace": 1, "num_key_value_heads": 4},
            "vision_config": {"pos_emb_height": 8, "pos_emb_width": 8},
            **dict.fromkeys(_QWEN_IDS, "<|media_pad|>"),
            "video_token_id": "<|kimi_k25_video_placeholder|>",
        },
        "Kimi_K25Processor",
        image="Kimi_K25ImageProcessor",
        size={"max_height": 20, "max_width": 20},
        special=("<|media_pad|>", "<|kimi_k25_video_placeholder|>"),
        placeholder="<|media_pad|>",
    ),
    "minimax_m3_vl": Recipe(
        partial(
            shrunk,
            "minimax_m3_vl",
            changes={
                "image_token_index": "]<]image[>[",
                "video_token_index": "]<]video[>[",
                "text_config": {"rotary_dim": 8, "index_head_dim": 8, "index_n_heads": 2},
            },
        ),
        "MiniMaxM3VLImageProcessor",
        _CLIP,
        "MiniMaxM3VLProcessor",
        roles={},
        special=("]<]image[>[", "]<]video[>[", "]<]start of image[>[", "]<]end of image[>["),
        placeholder="]<]image[>[",
    ),
    "muse_glimmer": Recipe(
        partial(
            shrunk,
            "muse_glimmer",
            changes={
                "image_token_id": "<|patch|>",
                "video_token_id": "<|video|>",
                "out_hidden_size": 128,
                "vision_config": {"pos_emb_height": 8, "pos_emb_width": 8, "max_position_embeddings": 64},
            },
        ),
        "MuseGlimmerImageProcessor",
        {**_IMAGE, "max_image_tokens": _FEW},
        "MuseGlimmerProcessor",
        roles={},
        special=_MUSE,
        placeholder="<|patch|>",
    ),
    "muse_spark": Recipe(
        partial(
            shrunk,
            "muse_spark",
            changes={
                "image_token_id": "<|patch|>",
                "video_token_id": "<|video|>",
                "audio_token_id": "<|audio|>",
                "text_config": {"moe_hidden_size": 16},
                "audio_config": {"num_hidden_layers": 4, "hidden_sizes": [8, 8, 8, 32], "depths": [1, 1, 1, 1]},
                "out_hidden_size": 128,
                "vision_config": {"pos_emb_height": 8, "pos_emb_width": 8, "max_position_embeddings": 64},
            },
        ),
        "MuseGlimmerImageProcessor",
        {**_IMAGE, **_WHISPER, "max_image_tokens": _FEW},
        "MuseSparkProcessor",
        roles={},
        special=(*_MUSE, "<|audio|>", "<|soft_audio_start|>", "<|soft_audio_end|>"),
        placeholder="<|patch|>",
    ),
    "dots3_note": Recipe(
        partial(
            shrunk,
            "dots3_note",
            changes={
                "image_token_id": "<|imgpad|>",
                "video_token_id": "<|video_pad|>",
                "audio_token_id": "<|audio_comp_pad|>",
                "audio_config": {"adapter_input_size": 32, "downsample_hidden_size": 16, "adapter_out_dim": 32},
                "text_config": {
                    "per_layer_config": {},
                    "num_key_value_heads": 4,
                    "index_head_dim": 16,
                    "index_n_heads": 2,
                    "head_dim": 16,
                },
                "vision_config": {"per_layer_config": {}, "adapter_in_dim": 32, "adapter_out_dim": 32},
            },
        ),
        "Qwen2VLImageProcessor",
        {**_IMAGE, **_WHISPER, "temporal_patch_size": 1},
        "Dots3NoteProcessor",
        roles={},
        special=("<|imgpad|>", "<|video_pad|>", "<|audio_comp_pad|>"),
        placeholder="<|imgpad|>",
    ),
}
