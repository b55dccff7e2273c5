"""Cambrian's golden numbers: `python -m tests.goldens.runner cambrian FOLDER`.

A folder is one of three kinds, told apart by its config: the whole model behind its towers, the aggregator alone, or
the preprocessing. The port runs in float64, so that what is left is the published run's own rounding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pixcore_cambrian.model import Cambrian, CambrianSizes, Seen
from pixcore_cambrian.preprocess import interpolate_tokens, pad_to_square, stack_stages
from pixcore_cambrian.sampler import Sampler
from pixcore_cambrian.weights import rules, sampler_rules, sizes_of
from pixcore_segtoken.language import Generation
from pixcore_segtoken.loading import Source, load_weights, parameters_on_meta
from torch import Tensor, nn

from tests.goldens.runner import Check, GoldenSet, load_arrays

Arrays = Mapping[str, NDArray[Any]]

# A case's key arrays that depend on nothing; one that may be thinned out ends in `*`, for `_everyK`.
CASE_KEYS = (
    "inputs_embeds",
    "final_size_hw",
    "global_context",
    "connector_queries*",
    "vision_final_shapes",
    "logits",
    "logit_gap",
    "sequences",
    "attention_prefill_last2",
    "direct_forward_last_logits",
)


def prepare(folder: Path) -> GoldenSet:
    """The set in a folder, of whichever kind it is."""
    config = json.loads((folder / "config.json").read_text())
    inputs, expected = load_arrays(folder / "inputs.npz"), load_arrays(folder / "outputs.npz")
    if "kv_sizes" in config:
        layers = (f"layer_{index}" for index in range(config["depth"]))
        return GoldenSet(_aggregator(folder, config, inputs), (*layers, "all_true_masks"), expected)
    if "tower_sizes" in config:
        return GoldenSet(_preprocessing(config, inputs, expected), (*_preprocessing_keys(config, inputs),), expected)
    sizes = sizes_of(config["config"], config["config"]["tiny_tower_channels"])
    keys = [f"{case['case']}/{key}" for case in config["cases"] for key in _case_keys(sizes, case)]
    return GoldenSet(_whole(folder, config, inputs, expected), keys, expected)


def _preprocessing_keys(config: Mapping[str, Any], inputs: Arrays) -> Iterator[str]:
    for name in inputs:
        if name.startswith("image_"):
            yield from (f"{name}/tower_{tower}" for tower in range(len(config["tower_sizes"])))
        elif name.startswith("grid_"):
            yield name
    if any(name.startswith("convnext_stage_") for name in inputs):
        yield "convnext_tokens"


def _case_keys(sizes: CambrianSizes, case: Mapping[str, Any]) -> Iterator[str]:
    """A case's key arrays: all but those that are stored for some cases only."""
    yield from CASE_KEYS
    for tower in range(len(sizes.tower_tokens)):
        yield from (f"vision_final_{tower}*", f"mask_final_{tower}")
    depth = sizes.language.num_hidden_layers
    yield from (f"in_llm_{index}" for index, layer in enumerate(sizes.sampler_layers) if layer < depth)
    yield from (f"prefill_hidden_{layer}" for layer in range(1, depth + 1))
    if not case["lean"]:
        yield "mm_projector*"
    if case["steps"] > 1:
        yield "decode_hidden"
    if len(case["image_sizes_wh"]) == 1:
        # The released scripts know one image at a time.
        yield from ("stack_pixfoundation", "stack_groundlmm")


def load(folder: Path, config: Mapping[str, Any], dtype: torch.dtype = torch.float64) -> Cambrian:
    """The model of a whole set, through the plugin's own key map; eager attention, to see its weights."""
    sizes = sizes_of(config["config"], config["config"]["tiny_tower_channels"])
    sizes.language._attn_implementation = "eager"
    with parameters_on_meta():
        model = Cambrian(sizes).eval()
    load_weights(model, folder / "state.safetensors", rules(), dtype=dtype)
    return model


def _aggregator(folder: Path, config: Mapping[str, Any], inputs: Arrays) -> Iterator[Check]:
    with parameters_on_meta():
        sampler = Sampler(
            config["q_dim"],
            config["context_dim"],
            config["kv_dims"],
            config["kv_sizes"],
            config["hidden"],
            config["depth"],
        )
    source = Source(folder / "state.safetensors", prefix="sampler.0.")
    # The set holds one bare aggregator; the key map expects a numbered one.
    load_weights(sampler, source, sampler_rules(r"sampler\.(\d+)\.", ""), dtype=torch.float64)
    towers = range(len(config["kv_sizes"]))
    features = [torch.from_numpy(inputs[f"latents_{tower}"]).double() for tower in towers]
    mask = torch.cat([torch.from_numpy(inputs[f"mask_{tower}"]) for tower in towers], dim=1)
    context = torch.from_numpy(inputs["context"]).double()
    with torch.no_grad():
        start = queries = torch.from_numpy(inputs["queries"]).double()
        for index, layer in enumerate(sampler.layers):
            queries = layer(queries, context, features, mask)
            yield Check(f"layer_{index}", queries.numpy(), atol=2e-5)
        yield Check("all_true_masks", sampler(start, context, features, torch.ones_like(mask)).numpy(), atol=2e-5)


def _preprocessing(config: Mapping[str, Any], inputs: Arrays, expected: Arrays) -> Iterator[Check]:
    for name, pixels in inputs.items():
        if name.startswith("image_"):
            for tower, (mean, size) in enumerate(zip(config["image_means"], config["tower_sizes"], strict=True)):
                square = pad_to_square(Image.fromarray(pixels), mean, size)
                yield Check(f"{name}/tower_{tower}", np.asarray(square).transpose(2, 0, 1))
        elif name.startswith("grid_") and name in expected:
            tokens = expected[name].shape[1]
            yield Check(name, interpolate_tokens(torch.from_numpy(pixels), tokens).numpy(), atol=1e-6)
    stages = [torch.from_numpy(inputs[name]) for name in sorted(inputs) if name.startswith("convnext_stage_")]
    if stages:
        side = config["convnext_target_side"]
        yield Check("convnext_tokens", stack_stages(stages, side).numpy(), atol=1e-6)


def _whole(folder: Path, config: Mapping[str, Any], inputs: Arrays, expected: Arrays) -> Iterator[Check]:
    model = load(folder, config)
    for case in config["cases"]:
        name = case["case"]
        of_case = {key.removeprefix(f"{name}/"): value for key, value in expected.items() if key.startswith(f"{name}/")}
        for check in _case(model, config["config"], case, inputs, of_case):
            yield replace(check, name=f"{name}/{check.name}")


def _case(
    model: Cambrian, config: Mapping[str, Any], case: Mapping[str, Any], inputs: Arrays, expected: Arrays
) -> Iterator[Check]:
    name = case["case"]
    features = [
        torch.from_numpy(inputs[f"{name}/features_{tower}"]).double() for tower in range(len(model.sizes.tower_tokens))
    ]
    prompts = inputs[f"{name}/input_ids"].tolist()
    seen = model.see(features, [tuple(size) for size in case["image_sizes_wh"]])
    embeds = torch.stack([model.embed(ids, tokens) for ids, tokens in zip(prompts, seen.tokens, strict=True)])
    recorder = Recorder(model)
    with recorder:
        answers = model.answer(prompts, seen, max_new_tokens=case["steps"], stop_ids=(), keep_logits=True)
    without = model.language(inputs_embeds=embeds).logits[:, -1].detach()
    for name, value, atol in [
        *_seen_values(seen, embeds),
        *_generated_values(config, recorder, answers),
        ("direct_forward_last_logits", without, 2e-5),
        *_attention_values(model, prompts, seen, recorder),
    ]:
        yield from _stored(name, value, atol, expected, case)


def _seen_values(seen: Seen, embeds: Tensor) -> Iterator[tuple[str, Tensor, float]]:
    yield "inputs_embeds", embeds, 2e-5
    yield "final_size_hw", torch.tensor([[kept.rows, kept.cols] for kept in seen.contents]), 0
    yield "connector_queries", seen.queries[0], 2e-5
    yield "mm_projector", seen.grid, 2e-5
    for tower, projected in enumerate(seen.projected):
        yield f"projected_{tower}", projected, 2e-5
    for tower, (features, mask) in enumerate(zip(seen.placed.features, seen.placed.masks, strict=True)):
        yield f"vision_final_{tower}", features, 2e-5
        yield f"mask_final_{tower}", mask, 0
    yield "vision_final_shapes", torch.tensor([features.shape for features in seen.placed.features]), 0
    yield "global_context", seen.placed.context[[0, -1], 0], 2e-5


def _generated_values(
    config: Mapping[str, Any], recorder: Recorder, answers: Sequence[Generation]
) -> Iterator[tuple[str, Tensor, float]]:
    bos = config["bos_token_id"]
    yield "sequences", torch.tensor([[bos, *answer.token_ids] for answer in answers]), 0
    logits = torch.stack([answer.logits for answer in answers if answer.logits is not None], dim=1)
    yield "logits", logits, 2e-5
    best = logits.topk(2, dim=-1).values
    yield "logit_gap", best[..., 0] - best[..., 1], 4e-5
    for index, states in enumerate(recorder.sampled):
        yield f"in_llm_{index}", states, 2e-5
    for layer, states in enumerate(recorder.prefill, 1):
        yield f"prefill_hidden_{layer}", states, 2e-5
    yield "decode_hidden", recorder.decoded, 2e-5


def _attention_values(
    model: Cambrian, prompts: Sequence[Sequence[int]], seen: Seen, recorder: Recorder
) -> Iterator[tuple[str, Tensor, float]]:
    first = recorder.attention[0]
    yield "attention_prefill_last2", first[..., -2:, :], 1e-6
    longest = first.shape[-1] + len(recorder.attention) - 1
    decode = [nn.functional.pad(step[..., 0, :], (0, longest - step.shape[-1])) for step in recorder.attention[1:]]
    if decode:
        yield "attention_decode", torch.stack(decode), 1e-6
    if len(prompts) == 1:
        kept = seen.contents[0]
        start = prompts[0].index(-200)
        image = slice(start, start + kept.rows * (kept.cols + 1))
        # (step, layer, head, cell): the released scripts take the last row but one of the prefill.
        for name, row in (("stack_pixfoundation", -2), ("stack_groundlmm", -1)):
            steps = [first[:, 0, :, row, image], *(step[:, 0, :, -1, image] for step in recorder.attention[1:])]
            maps = torch.unflatten(torch.stack(steps), -1, (kept.rows, -1))[..., :-1]
            # groundLMM's slice keeps the last head but one; PixFoundation takes them all.
            chosen = maps[:, :, -2:-1] if name == "stack_groundlmm" else maps
            yield name, chosen.mean((1, 2)), 1e-6


def _stored(name: str, value: Tensor, atol: float, expected: Arrays, case: Mapping[str, Any]) -> Iterator[Check]:
    """The part of an array that the set holds: the sets store every k-th row of the large ones."""
    for stored in expected:
        match = re.fullmatch(rf"{name}(?:_every(\d+))?", stored)
        if match is None:
            continue
        array = value.numpy()
        if match[1] is not None:
            array = _every(array, int(match[1]), axis=1 if name == "mm_projector" else 0)
        elif name.startswith("in_llm_"):
            array = _every(array, _connector_stride(expected), axis=0)
        elif name.startswith("prefill_hidden_"):
            array = _every(array, case["hidden_row_stride"], axis=1)
        elif array.ndim == 3 and array.shape != expected[stored].shape:
            # Full cases thin out the fine tower only: every 7th token, every 3rd query.
            stride, axis = (7, 1) if name.startswith("projected_") else (3, 0)
            array = _every(array, stride, axis)
        # Half precision keeps 11 bits.
        yield Check(stored, array, atol=atol, rtol=1e-3 if expected[stored].dtype == np.float16 else 0.0)


def _every(array: NDArray[Any], stride: int, axis: int) -> NDArray[Any]:
    return np.take(array, range(0, array.shape[axis], stride), axis=axis)


def _connector_stride(expected: Arrays) -> int:
    strides = [re.fullmatch(r"connector_queries_every(\d+)", stored) for stored in expected]
    return next((int(match[1]) for match in strides if match), 1)


class Recorder:
    """Sees a generation: states after every layer and sampler, and all attention weights.

    Attributes:
        sampled: For each sampler, its output rows (cells, D) at prefill.
        prefill: For each layer (B, S, D) after it and its sampler, the last one after the final norm.
        decoded: (steps, layers + 1, B, D) for the decoding steps, the token's embedding first.
        attention: For each step (layers, B, heads, rows, keys).
    """

    def __init__(self, model: Cambrian) -> None:
        self._model = model
        self._states: list[list[Tensor]] = []
        self._weights: list[list[Tensor]] = []
        self.sampled: list[Tensor] = []
        self.prefill: list[Tensor] = []
        self.decoded = torch.empty(0)
        self.attention: list[Tensor] = []

    def __enter__(self) -> Recorder:
        llama = self._model.language.model
        self._handles = [
            llama.register_forward_pre_hook(self._begin, with_kwargs=True),
            llama.norm.register_forward_hook(self._end),
            *(layer.self_attn.register_forward_hook(self._attend) for layer in llama.layers),
            *(layer.register_forward_pre_hook(self._enter_layer) for layer in llama.layers),
            *(sampler.register_forward_hook(self._sample) for sampler in self._model.samplers),
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self.attention = [torch.stack(weights) for weights in self._weights]
        # A layer's input is what the sampler after the layer before made of that layer's output.
        self.prefill = self._states[0][1:]
        steps = [torch.stack(states)[:, :, 0] for states in self._states[1:]]
        first = self._states[0]
        nothing = first[0].new_zeros(0, len(first), len(first[0]), first[0].shape[-1])
        self.decoded = torch.stack(steps) if steps else nothing

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._states.append([])
        self._weights.append([])

    def _enter_layer(self, module: nn.Module, args: Any) -> None:
        self._states[-1].append(args[0])

    def _attend(self, module: nn.Module, args: Any, output: Any) -> None:
        self._weights[-1].append(output[1])

    def _sample(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self.sampled.append(output[:, 0])

    def _end(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self._states[-1].append(output)
