"""The arrays of InternLM2 and its adapters, computed by this port: golden system `internlm2`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_segtoken.checkpoint import read
from pixcore_segtoken.keymap import Ignore
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_segtoken.recording import recorded_inputs, recorded_outputs
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from pixcore.testing.goldens import Check, GoldenSet, load_arrays
from pixcore_omg_llava.internlm2 import Adapters, GroupedLayout, LoraMode, rules
from pixcore_omg_llava.model import language_model

Arrays = dict[str, NDArray[Any]]

KEYS = ("base.layer*.wqkv_out", "base.layer*.out", "base.logits", "*.last_hidden_postnorm", "layout.*")
OPTIONAL_KEYS = ("lora.layer*", "lora*.logits")
"""Key arrays where a set has adapters."""


def internlm2(folder: Path) -> GoldenSet:
    """Prepare an `internlm2` set for `pixcore.testing.goldens`."""
    expected = load_arrays(folder / "outputs.npz")
    found = internlm2_arrays(folder)
    checks = [
        Check(name, found[name], atol=2e-5, rtol=1e-4) if found[name].dtype.kind == "f" else Check(name, found[name])
        for name in expected
        if name in found
    ]
    if "lora.logits" in expected:
        # The release adds adapters while it computes; merged weights have to give the same.
        checks.append(Check("lora.logits", found["lora.merged.logits"], atol=2e-5, rtol=1e-4))
    present = [key for key in OPTIONAL_KEYS if any(fnmatchcase(name, key) for name in expected)]
    return GoldenSet(checks, [*KEYS, *present], expected)


def internlm2_arrays(folder: Path) -> Arrays:
    """Every array of an `internlm2` set: the base model, and LoRA both beside the weights and merged into them."""
    config = json.loads((folder / "config.json").read_text())
    inputs = {name: torch.from_numpy(array) for name, array in load_arrays(folder / "inputs.npz").items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
    scale = config["lora"]["scale"] if "lora" in config else 0.5
    adapters = Adapters.found_in(shapes, scale=scale)
    llama = _golden_llama(config)
    layout = GroupedLayout.of(llama)
    arrays = _model_arrays(_golden_model(folder, llama, Adapters(), "merged"), layout, inputs, "base")
    rows = torch.arange((layout.heads + 2 * layout.kv_heads) * layout.head_dim)
    for name, part in zip("qkv", layout.split(rows), strict=True):
        arrays[f"layout.{name}_rows"] = part.numpy()
    if not adapters.rank:
        return arrays
    beside = _golden_model(folder, llama, adapters, "beside")
    arrays |= _model_arrays(beside, layout, inputs, "lora")
    arrays["lora.scaling"] = np.asarray([adapters.scale], np.float32)
    headless = replace(adapters, output=False)
    arrays["lora_without_head.logits"] = _logits(_golden_model(folder, llama, headless, "merged"), inputs)
    merged = _golden_model(folder, llama, adapters, "merged")
    for index, layer in enumerate(merged.model.layers):
        attention = layer.self_attn
        weight = layout.join(attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
        arrays[f"lora.layer{index}.wqkv_merged_weight"] = weight.detach().numpy()
    arrays["lora.merged.logits"] = _logits(merged, inputs)
    return arrays


def _golden_llama(config: dict[str, Any]) -> LlamaConfig:
    tiny = config["tiny"]
    return LlamaConfig(
        vocab_size=tiny["vocab"],
        hidden_size=tiny["hidden"],
        intermediate_size=tiny["inter"],
        num_hidden_layers=tiny["layers"],
        num_attention_heads=tiny["heads"],
        num_key_value_heads=tiny["kv"],
        rms_norm_eps=config["rms_norm_eps"],
        hidden_act=config["hidden_act"],
        rope_parameters={"rope_type": "default", "rope_theta": float(config["rope_theta"])},
    )


def _golden_model(folder: Path, llama: LlamaConfig, adapters: Adapters, lora: LoraMode) -> LlamaForCausalLM:
    with parameters_on_meta():
        model = language_model(llama, adapters, lora)
    # The set has base and adapters in one file; a released pair has them in two, told apart by a prefix.
    unused = Ignore(r"(?:.*\.lora_[AB]\.weight)", "not this variant")
    key_map = [
        *rules(GroupedLayout.of(llama), adapters=adapters, lora=lora),
        unused,
    ]
    load_weights(model, folder / "state.safetensors", key_map)
    return model.eval()


def _logits(model: LlamaForCausalLM, inputs: dict[str, Tensor]) -> NDArray[Any]:
    with torch.inference_mode():
        logits: Tensor = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"]).logits
    return logits.numpy()


def _model_arrays(model: LlamaForCausalLM, layout: GroupedLayout, inputs: dict[str, Tensor], prefix: str) -> Arrays:
    """Intermediate results of one forward under the official layout's names."""
    named = dict(model.named_modules())
    watched = {
        name: module
        for name, module in named.items()
        if re.fullmatch(r"model\.layers\.\d+(\.self_attn(\.[qkvo]_proj)?)?|model\.(embed_tokens|norm)", name)
    }
    with recorded_outputs(watched) as seen, recorded_inputs(watched) as given, torch.inference_mode():
        logits = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"]).logits
    rotary = model.model.rotary_emb(seen["model.embed_tokens"], inputs["position_ids"])
    arrays: Arrays = {
        f"{prefix}.embeds": seen["model.embed_tokens"].numpy(),
        f"{prefix}.last_hidden_postnorm": seen["model.norm"].numpy(),
        f"{prefix}.logits": logits.numpy(),
    }
    for index in range(len(model.model.layers)):
        layer = f"model.layers.{index}"
        flat = {part: seen[f"{layer}.self_attn.{part}_proj"] for part in "qkv"}
        shape = (*inputs["input_ids"].shape, -1, layout.head_dim)
        joined = layout.join(*(part.movedim(-1, 0) for part in flat.values())).movedim(0, -1)
        query, key = (flat[part].view(*shape).transpose(1, 2) for part in "qk")
        value = flat["v"].view(*shape).transpose(1, 2)
        rotated = apply_rotary_pos_emb(query, key, *rotary)
        own = {
            "wqkv_out": joined,
            "q": query,
            "k": key,
            "v": value,
            "q_rot": rotated[0],
            "k_rot": rotated[1],
            "wo_in": given[f"{layer}.self_attn.o_proj"][0],
            "attn_out": seen[f"{layer}.self_attn.o_proj"],
            "out": seen[layer],
        }
        arrays |= {f"{prefix}.layer{index}.{name}": tensor.numpy() for name, tensor in own.items()}
    return arrays
