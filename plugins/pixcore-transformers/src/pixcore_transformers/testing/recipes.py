"""What the tiny checkpoint of each family is made of: config, image processor, special tokens, template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedTokenizerBase

_TILE = 32  # the side of every vision tower's square input, in pixels
_PATCH = 4

_TEXT: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_TOWER: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": _TILE,
    "patch_size": _PATCH,
}
_SQUARE = {"height": _TILE, "width": _TILE}
_SHORTEST = {"shortest_edge": _TILE}
_PINPOINTS = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
_IMAGE = {"image_token": "<image>"}


@dataclass(frozen=True)
class Recipe:
    """How one family's tiny checkpoint is made.

    Attributes:
        config: Makes the model's config for a tokenizer.
        image_processor: The image processor's class as published checkpoints name it.
        image_settings: The rest of preprocessor_config.json.
        processor: The processor's class.
        processor_settings: The rest of processor_config.json.
        roles: Special tokens by the attribute under which the processor looks for them.
        special: Further special tokens.
        placeholder: What the chat template writes for an image; None for a model without a chat template.
        spaced: Tokens of a tokenizer that writes a space before every text, which the processor takes off again.
        slack: The geometry check's: a share of the tokens that may change more than the covered one, where neighbours
            are mixed before the language model sees them.
        draws: The geometry check's: how often a region is covered; what is seen as codes may come out as the code that
            was there.
        finish: Sets right what no weights drawn at random have and the checks need, such as an order among codes.
    """

    config: Callable[[PreTrainedTokenizerBase], PreTrainedConfig]
    image_processor: str
    image_settings: Mapping[str, Any]
    processor: str
    processor_settings: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=lambda: _IMAGE)
    special: tuple[str, ...] = ()
    placeholder: str | None = "<image>"
    slack: float = 0.0
    draws: int = 3
    spaced: tuple[str, ...] = ()
    finish: Callable[[Any], None] | None = None


_SCAN = ["linear_attention", "full_attention", "linear_attention", "full_attention"]
HYBRIDS: Mapping[str, Mapping[str, Any]] = {
    "lfm2": {
        "layer_types": ["conv", "full_attention", "conv", "full_attention"],
        "block_auto_adjust_ff_dim": False,
    },
    "qwen3_next": {
        "layer_types": _SCAN,
        "head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "granitemoehybrid": {
        "layer_types": _SCAN,
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_d_state": 8,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 48,
        "position_embedding_type": "rope",
    },
}
"""Decoders of four layers of which the second and the fourth have attention; the others convolve or scan."""


def hybrid_decoder(kind: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    """Make the config of one of `HYBRIDS`."""
    return _text(kind, tokenizer, num_hidden_layers=4, **HYBRIDS[kind])


def _text(kind: str, tokenizer: PreTrainedTokenizerBase, **changes: Any) -> PreTrainedConfig:
    return CONFIG_MAPPING[kind](vocab_size=len(tokenizer), **{**_TEXT, **changes})


def _llava(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["llava"](
        vision_config={"model_type": "clip_vision_model", "projection_dim": 16, **_TOWER},
        text_config=_text("llama", tokenizer, num_key_value_heads=4),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=(_TILE // _PATCH) ** 2,
    )


def _llava_next(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["llava_next"](
        vision_config={"model_type": "clip_vision_model", "projection_dim": 16, **_TOWER},
        text_config=_text("mistral", tokenizer, sliding_window=None),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=_PINPOINTS,
        image_seq_length=(_TILE // _PATCH) ** 2,
    )


def _llava_onevision(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["llava_onevision"](
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **_TOWER},
        text_config=_text("qwen2", tokenizer),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=_PINPOINTS,
        vision_aspect_ratio="anyres_max_2",  # small, so that two tiles fit and four are shrunk
    )


def _qwen_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    return {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _qwen_text(tokenizer: PreTrainedTokenizerBase, **changes: Any) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2], **changes}
    return {**_TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope}


def _qwen2_vl(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": _PATCH}
    return CONFIG_MAPPING["qwen2_vl"](vision_config=vision, text_config=_qwen_text(tokenizer), **_qwen_ids(tokenizer))


def _qwen2_5_vl(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": _PATCH,
        "out_hidden_size": 32,
        "window_size": 16,  # two merged cells: the tower reorders the patches by window and must put them back
        "fullatt_block_indexes": [1],
    }
    return CONFIG_MAPPING["qwen2_5_vl"](vision_config=vision, text_config=_qwen_text(tokenizer), **_qwen_ids(tokenizer))


def _qwen3_vl(kind: str, **text_changes: Any) -> Callable[[PreTrainedTokenizerBase], PreTrainedConfig]:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": _PATCH,
        "out_hidden_size": 32,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }

    def config(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
        text = {**_qwen_text(tokenizer, mrope_interleaved=True), "head_dim": 8, **text_changes}
        return CONFIG_MAPPING[kind](vision_config=vision, text_config=text, **_qwen_ids(tokenizer))

    return config


def _internvl(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    vision = {**_TOWER, "image_size": [_TILE, _TILE], "patch_size": [_PATCH, _PATCH]}
    return CONFIG_MAPPING["internvl"](
        vision_config={"model_type": "internvl_vision", **vision},
        text_config=_text("qwen2", tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=16,
    )


def _gemma3(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["gemma3"](
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **_TOWER},
        text_config=_text(
            "gemma3_text",
            tokenizer,
            head_dim=8,
            sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
        ),
        mm_tokens_per_image=16,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )


def _idefics3(kind: str) -> Callable[[PreTrainedTokenizerBase], PreTrainedConfig]:
    def config(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
        return CONFIG_MAPPING[kind](
            vision_config={"model_type": f"{kind}_vision", **_TOWER},
            text_config=_text("llama", tokenizer),
            image_token_id=tokenizer.image_token_id,
            scale_factor=2,
        )

    return config


def _paligemma(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["paligemma"](
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **_TOWER},
        text_config=_text("gemma", tokenizer, head_dim=8, num_key_value_heads=1),
        image_token_index=tokenizer.image_token_id,
        projection_dim=32,
        hidden_size=32,
    )


def _pixtral_tower() -> dict[str, Any]:
    return {"model_type": "pixtral", **_TOWER, "image_size": 64, "head_dim": 16}


def _pixtral(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["llava"](
        vision_config=_pixtral_tower(),
        text_config=_text("mistral", tokenizer, sliding_window=None),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )


def _mistral3(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["mistral3"](
        vision_config=_pixtral_tower(),
        text_config=_text("mistral", tokenizer, sliding_window=None, head_dim=8),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
    )


def _mllama(tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    return CONFIG_MAPPING["mllama"](
        vision_config={
            "hidden_size": 32,
            "attention_heads": 2,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_global_layers": 1,
            "vision_output_dim": 64,
            "image_size": _TILE,
            "patch_size": _PATCH,
            "max_num_tiles": 4,
            "intermediate_layers_indices": [0],
        },
        text_config={**_TEXT, "vocab_size": len(tokenizer), "cross_attention_layers": [1]},
        image_token_index=tokenizer.image_token_id,
    )


_QWEN_SPECIAL = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_QWEN_PLACEHOLDER = "<|vision_start|><|image_pad|><|vision_end|>"
_QWEN_IMAGE = {
    "patch_size": _PATCH,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "size": {"shortest_edge": 16 * 16, "longest_edge": 80 * 80},
}
_IDEFICS_SPECIAL = (
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    *(f"<row_{row}_col_{col}>" for row in range(1, 5) for col in range(1, 5)),
)
_IDEFICS_IMAGE = {"size": {"longest_edge": 4 * _TILE}, "max_image_size": {"longest_edge": _TILE}}
_PIXTRAL_SPECIAL = ("[IMG]", "[IMG_BREAK]", "[IMG_END]")
_PIXTRAL_IMAGE = {"size": {"longest_edge": 64}}

RECIPES: Mapping[str, Recipe] = {
    "llava": Recipe(
        _llava,
        "CLIPImageProcessor",
        {"size": _SHORTEST, "crop_size": _SQUARE},
        "LlavaProcessor",
        {"patch_size": _PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_next": Recipe(
        _llava_next,
        "LlavaNextImageProcessor",
        {"size": _SHORTEST, "crop_size": _SQUARE, "image_grid_pinpoints": _PINPOINTS},
        "LlavaNextProcessor",
        {"patch_size": _PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_onevision": Recipe(
        _llava_onevision,
        "LlavaOnevisionImageProcessor",
        {"size": _SQUARE, "image_grid_pinpoints": _PINPOINTS},
        "LlavaOnevisionProcessor",
        {
            "num_image_tokens": (_TILE // _PATCH) ** 2,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_2",
        },
        special=("<video>",),
    ),
    "qwen2_vl": Recipe(
        _qwen2_vl,
        "Qwen2VLImageProcessor",
        _QWEN_IMAGE,
        "Qwen2VLProcessor",
        roles={},
        special=_QWEN_SPECIAL,
        placeholder=_QWEN_PLACEHOLDER,
    ),
    "qwen2_5_vl": Recipe(
        _qwen2_5_vl,
        "Qwen2VLImageProcessor",
        _QWEN_IMAGE,
        "Qwen2_5_VLProcessor",
        roles={},
        special=_QWEN_SPECIAL,
        placeholder=_QWEN_PLACEHOLDER,
    ),
    "qwen3_vl": Recipe(
        _qwen3_vl("qwen3_vl"),
        "Qwen2VLImageProcessor",
        _QWEN_IMAGE,
        "Qwen3VLProcessor",
        roles={},
        special=_QWEN_SPECIAL,
        placeholder=_QWEN_PLACEHOLDER,
    ),
    "qwen3_vl_moe": Recipe(
        _qwen3_vl("qwen3_vl_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16),
        "Qwen2VLImageProcessor",
        _QWEN_IMAGE,
        "Qwen3VLProcessor",
        roles={},
        special=_QWEN_SPECIAL,
        placeholder=_QWEN_PLACEHOLDER,
    ),
    "internvl": Recipe(
        _internvl,
        "GotOcr2ImageProcessor",
        {"size": _SQUARE, "crop_to_patches": False, "min_patches": 1, "max_patches": 6},
        "InternVLProcessor",
        {"image_seq_length": 16},
        roles={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        placeholder="<IMG_CONTEXT>",
    ),
    "gemma3": Recipe(
        _gemma3,
        "Gemma3ImageProcessor",
        {"size": _SQUARE},
        "Gemma3Processor",
        {"image_seq_length": 16},
        roles={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
        placeholder="<start_of_image>",
    ),
    "idefics3": Recipe(
        _idefics3("idefics3"),
        "Idefics3ImageProcessor",
        _IDEFICS_IMAGE,
        "Idefics3Processor",
        {"image_seq_len": 16},
        special=_IDEFICS_SPECIAL,
    ),
    "smolvlm": Recipe(
        _idefics3("smolvlm"),
        "SmolVLMImageProcessor",
        _IDEFICS_IMAGE,
        "SmolVLMProcessor",
        {"image_seq_len": 16},
        special=_IDEFICS_SPECIAL,
    ),
    "paligemma": Recipe(
        _paligemma,
        "SiglipImageProcessor",
        {"size": _SQUARE, "image_seq_length": (_TILE // _PATCH) ** 2},
        "PaliGemmaProcessor",
        placeholder=None,
    ),
    "pixtral": Recipe(
        _pixtral,
        "PixtralImageProcessor",
        {**_PIXTRAL_IMAGE, "patch_size": {"height": _PATCH, "width": _PATCH}},
        "PixtralProcessor",
        {"patch_size": _PATCH},
        roles={},
        special=_PIXTRAL_SPECIAL,
        placeholder="[IMG]",
    ),
    "mistral3": Recipe(
        _mistral3,
        "PixtralImageProcessor",
        {**_PIXTRAL_IMAGE, "patch_size": {"height": 2 * _PATCH, "width": 2 * _PATCH}},
        "PixtralProcessor",
        {"patch_size": _PATCH, "spatial_merge_size": 2},
        roles={},
        special=_PIXTRAL_SPECIAL,
        placeholder="[IMG]",
    ),
    "mllama": Recipe(
        _mllama,
        "MllamaImageProcessor",
        {"size": _SQUARE, "max_image_tiles": 4},
        "MllamaProcessor",
        roles={"image_token": "<|image|>"},
        placeholder="<|image|>",
    ),
}
