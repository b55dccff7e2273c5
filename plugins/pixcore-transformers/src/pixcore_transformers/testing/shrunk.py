"""Shrink the config of any architecture: its own defaults, with every size that makes weights made small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedTokenizerBase

LAYERS = 2
TILE = 32  # pixels along the side of a square input
PATCH = 4
_SIZES: Mapping[str, int] = {
    # width and depth
    "hidden_size": 32,
    "embed_dim": 32,
    "width": 32,
    "out_hidden_size": 32,
    "vision_output_dim": 32,
    "projector_hidden_size": 32,
    "projection_hidden_size": 32,
    "projection_dim": 32,
    "projection_intermediate_size": 32,
    "adapter_hidden_size": 32,
    "intermediate_size": 48,
    "dense_intermediate_size": 48,
    "shared_intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "depth": LAYERS,
    "layers": LAYERS,
    # attention
    "num_attention_heads": 4,
    "num_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "max_position_embeddings": 4096,
    # experts
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "shared_experts_intermediate_size": 16,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_k": 2,
    "n_group": 1,
    "topk_group": 1,
    # layers that scan
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    # the tower
    "image_size": TILE,
    "patch_size": PATCH,
}
_PER_LAYER = ("layer_types", "mlp_layer_types", "mlp_only_layers", "layers_block_type", "per_layer_config")
_FEW = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def shrunk(kind: str, tokenizer: PreTrainedTokenizerBase, changes: Mapping[str, Any]) -> PreTrainedConfig:
    """Make a small config of an architecture.

    Args:
        kind: Its `model_type`.
        tokenizer: The vocabulary, and the ids of the tokens that a string in `changes` names.
        changes: What its defaults, shrunk, don't fit: nested as config.json is. A name that ends in `_id` or `_index`
            may be given the token itself, and `vocabulary_map` the tokens of which it is the map.

    Returns:
        The config, of two layers a part unless `changes` say otherwise.
    """
    content = _small(CONFIG_MAPPING[kind]().to_dict(), len(tokenizer))
    return CONFIG_MAPPING[kind](**_changed(content, changes, tokenizer))


def _small(content: Mapping[str, Any], vocabulary: int) -> dict[str, Any]:
    small: dict[str, Any] = {}
    text = "vocab_size" in content
    for name, value in content.items():
        if name in _PER_LAYER:
            continue  # follows from the rest, or is in `changes`
        if isinstance(value, dict) and not name.startswith("rope"):
            small[name] = _small(value, vocabulary)
        elif name == "vocab_size":
            small[name] = vocabulary
        elif name in _FEW and text:
            small[name] = _FEW[name]
        elif name in _SIZES and isinstance(value, (int, list, tuple)) and not isinstance(value, bool):
            small[name] = _SIZES[name] if isinstance(value, int) else [_SIZES[name]] * len(value)
        else:
            small[name] = value
    return small


def _changed(content: dict[str, Any], changes: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    for name, value in changes.items():
        if isinstance(value, Mapping) and value and isinstance(content.get(name), dict):
            _changed(content[name], value, tokenizer)
        elif isinstance(value, str) and name.endswith(("_id", "_index")):
            content[name] = tokenizer.convert_tokens_to_ids(value)
        elif name == "vocabulary_map":
            content[name] = {token: tokenizer.convert_tokens_to_ids(token) for token in value}
        else:
            content[name] = value
    return content
