"""The arrays of InternLM2 and its adapters, computed by this port: golden system `internlm2`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from pixcore_omg_llava.internlm2 import Adapters, GroupedLayout, LoraMode, rules
from pixcore_omg_llava.model import language_model
from pixcore_segtoken.checkpoint import read
from pixcore_segtoken.keymap import Ignore, Named
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from tests.goldens.recording import recorded_inputs, recorded_outputs
from tests.goldens.runner import Check, GoldenSet, attempt, load_arrays

Inputs = Mapping[str, Tensor]

MERGED = "lora.logits (merged)"
"""A second check on `lora.logits`: the release adds adapters as it computes, merged weights have to give the same."""


def internlm2(folder: Path) -> GoldenSet:
    """Prepare an `internlm2` set: the base model, and LoRA both beside the weights and merged into them.

    The port runs in float64, so that what is left is the published run's own rounding.
    """
    config = json.loads((folder / "config.json").read_text())
    llama = _golden_llama(config)
    inputs = {name: torch.from_numpy(array) for name, array in load_arrays(folder / "inputs.npz").items()}
    expected = load_arrays(folder / "outputs.npz")
    if "lora.logits" in expected:
        expected[MERGED] = expected["lora.logits"]
    shapes = {name: tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
    adapters = Adapters.found_in(shapes, scale=_scale(config))
    parts = {"base": _base(folder, llama, inputs)}
    if adapters.rank:
        parts |= {"lora": _lora(folder, llama, adapters, inputs), "merged": _merged(folder, llama, adapters, inputs)}
    return GoldenSet(_checks(parts, expected), list(_keys(llama, adapters)), expected)


def _scale(config: Mapping[str, Any]) -> float:
    """Of the adapters: alpha / rank where the set does not say; the release's in a set without adapters."""
    lora = config["tiny"] | config.get("lora", {})
    return float(lora["scale"] if "scale" in lora else lora.get("alpha", 256) / lora.get("r", 512))


def _keys(llama: LlamaConfig, adapters: Adapters) -> Iterator[str]:
    yield from (f"layout.{part}_rows" for part in "qkv")
    for model in ("base", "lora") if adapters.rank else ("base",):
        for layer in range(llama.num_hidden_layers):
            yield from (f"{model}.layer{layer}.wqkv_out", f"{model}.layer{layer}.out")
        yield from (f"{model}.last_hidden_postnorm", f"{model}.logits")
    if adapters.output:
        yield "lora_without_head.logits"


def _checks(parts: Mapping[str, Iterator[Named]], expected: Mapping[str, NDArray[Any]]) -> Iterator[Check]:
    for name, arrays in parts.items():
        # A set holds some steps of the model with adapters only.
        yield from attempt(name, (_check(key, tensor) for key, tensor in arrays if key in expected))


def _check(name: str, tensor: Tensor) -> Check:
    array = tensor.detach().numpy()
    return Check(name, array, atol=2e-5, rtol=1e-4) if array.dtype.kind == "f" else Check(name, array)


def _base(folder: Path, llama: LlamaConfig, inputs: Inputs) -> Iterator[Named]:
    layout = GroupedLayout.of(llama)
    rows = torch.arange((layout.heads + 2 * layout.kv_heads) * layout.head_dim)
    for name, part in zip("qkv", layout.split(rows), strict=True):
        yield f"layout.{name}_rows", part
    yield from _steps(_golden_model(folder, llama, Adapters(), "merged"), layout, inputs, "base")


def _lora(folder: Path, llama: LlamaConfig, adapters: Adapters, inputs: Inputs) -> Iterator[Named]:
    yield "lora.scaling", torch.tensor([adapters.scale])
    beside = _golden_model(folder, llama, adapters, "beside")
    yield from _steps(beside, GroupedLayout.of(llama), inputs, "lora")


def _merged(folder: Path, llama: LlamaConfig, adapters: Adapters, inputs: Inputs) -> Iterator[Named]:
    headless = replace(adapters, output=False)
    yield "lora_without_head.logits", _logits(_golden_model(folder, llama, headless, "merged"), inputs)
    merged, layout = _golden_model(folder, llama, adapters, "merged"), GroupedLayout.of(llama)
    for index, layer in enumerate(merged.model.layers):
        attention = layer.self_attn
        weight = layout.join(attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
        yield f"lora.layer{index}.wqkv_merged_weight", weight
    yield MERGED, _logits(merged, inputs)


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
        *rules(GroupedLayout.of(llama), adapters=adapters, lora=lora, dtype=torch.float64),
        unused,
    ]
    load_weights(model, folder / "state.safetensors", key_map, dtype=torch.float64)
    return model.eval()


def _logits(model: LlamaForCausalLM, inputs: Inputs) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"]).logits
    return logits


def _steps(model: LlamaForCausalLM, layout: GroupedLayout, inputs: Inputs, prefix: str) -> Iterator[Named]:
    """Intermediate results of one forward under the official layout's names."""
    watched = {
        name: module
        for name, module in model.named_modules()
        if re.fullmatch(r"model\.layers\.\d+(\.self_attn(\.[qkvo]_proj)?)?|model\.(embed_tokens|norm)", name)
    }
    with recorded_outputs(watched) as seen, recorded_inputs(watched) as given:
        logits = _logits(model, inputs)
    yield f"{prefix}.embeds", seen["model.embed_tokens"]
    yield f"{prefix}.last_hidden_postnorm", seen["model.norm"]
    yield f"{prefix}.logits", logits
    rotary = model.model.rotary_emb(seen["model.embed_tokens"], inputs["position_ids"])
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
        for name, tensor in own.items():
            yield f"{prefix}.layer{index}.{name}", tensor
