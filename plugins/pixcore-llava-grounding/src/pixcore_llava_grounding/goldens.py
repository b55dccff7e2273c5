"""The arrays of OpenSeeD and of LLaVA-Grounding's loop, computed by this port: systems `openseed`, `llavag_loop`.

The port runs in float64, so that what is left is the published run's own rounding; its float32 rounding is held by the
tests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pixcore_segtoken.checkpoint import read
from pixcore_segtoken.keymap import llama_rules
from pixcore_segtoken.language import generate
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_segtoken.recording import Collector, packed_bits, recorded_inputs, recorded_outputs
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from pixcore.testing.goldens import Check, GoldenSet, load_arrays
from pixcore_llava_grounding.keymap import OPENSEED, openseed_rules
from pixcore_llava_grounding.masks import to_image, union
from pixcore_llava_grounding.openseed import OpenSeed, match_probability, regions_of_states
from pixcore_llava_grounding.query_decoder import Detections, Memory
from pixcore_llava_grounding.sizes import OpenSeedSizes
from pixcore_llava_grounding.states import seg_places, seg_states
from pixcore_llava_grounding.text import drop_empty_phrases

KEYS = (
    "*.backbone.res*",
    "*.enc.layer*",
    "*.pix.mask_features",
    "*.two_stage.proposals",
    "*.two_stage.topk_index",
    "*.dec.layer*.raw",
    "*.dec.ref*",
    "*.pred_logits",
    "*.pred_masks",
    "*.pred_boxes",
    "*.prob",
    "*.matched",
    "*.masks_bits",
    "*.pf_union",
)


LOOP_HEADS, LOOP_EPS = 4, 1e-5
"""Attention heads and norm epsilon of the loop's tiny Llama, found by trying: its config.json does not say."""


def openseed(folder: Path, dtype: torch.dtype = torch.float64) -> GoldenSet:
    """Prepare an `openseed` set: from Swin to masks, PixFoundation's post-processing and text filter."""
    config = json.loads((folder / "config.json").read_text())
    inputs = load_arrays(folder / "inputs.npz")
    tiny = config["tiny"]
    shapes = {name.removeprefix(OPENSEED): tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
    with parameters_on_meta():
        model = OpenSeed(OpenSeedSizes.from_shapes(shapes, queries=tiny["queries"]))
    load_weights(model, folder / "state.safetensors", openseed_rules(), dtype=dtype)
    model.eval()
    collector = Collector(load_arrays(folder / "outputs.npz"))
    states = torch.from_numpy(inputs["text_states"]).to(dtype)
    with torch.inference_mode():
        for image, settings in tiny["images"].items():
            own = collector.under(image)
            memory = _check_image(model, torch.from_numpy(inputs[f"{image}.model_rgb"])[None], own)
            height, width = inputs[f"{image}.raw_rgb"].shape[:2]
            for count in settings["states"]:
                found = _check_decoder(model, memory, states[None, :count], own.under(f"t{count}"))
                _check_regions(found, (width, height), config["matching_threshold"], own.under(f"t{count}"))
    return GoldenSet(collector.checks, KEYS, collector.expected)


def _check_image(model: OpenSeed, pixels: Tensor, collector: Collector) -> Memory:
    keep = collector.keep
    encoder = model.pixel_decoder.encoder
    with (
        recorded_outputs(dict(encoder.layers.named_children())) as layers,
        recorded_inputs({"encoder": encoder}) as given,
    ):
        maps = model.backbone(model.normalised(pixels))
        memory = Memory.of(*model.pixel_decoder(maps))
    for index, level in enumerate(maps):
        keep(f"backbone.res{index + 2}", level)
    tokens, position, sizes = given["encoder"]
    keep("enc.input", tokens)
    keep("enc.pos_plus_level", position.expand(len(tokens), -1, -1))
    keep("enc.reference_points", encoder.reference_points(sizes, tokens))
    for name, output in layers.items():
        keep(f"enc.layer{name}", output)
    keep("pix.mask_features", memory.mask_features)
    keep("dec.spatial_shapes", torch.tensor(memory.sizes))
    output, proposals = model.query_decoder.proposals(memory)
    keep("two_stage.output_memory", output)
    keep("two_stage.proposals", proposals)
    return memory


def _check_decoder(model: OpenSeed, memory: Memory, states: Tensor, collector: Collector) -> Detections:
    keep, decoder = collector.keep, model.query_decoder
    regions = decoder.propose(memory, states)
    keep("two_stage.class_logits", regions.class_logits)
    keep("two_stage.topk_index", regions.index)
    keep("two_stage.boxes", regions.boxes.sigmoid())
    keep("two_stage.logits", decoder.class_logits(regions.content, states))
    with (
        recorded_outputs(dict(decoder.layers.named_children())) as layers,
        recorded_inputs(dict(decoder.layers.named_children())) as given,
    ):
        found = decoder.refine(regions, memory, states)
    for name, output in layers.items():
        keep(f"dec.layer{name}.raw", output)
        keep(f"dec.ref{name}", given[name][2])
    keep("dec.query_pos0", given["0"][1])
    last = str(len(layers) - 1)
    keep(f"dec.ref{len(layers)}", decoder.moved(given[last][2], layers[last]))
    keep("dec.last_normed_once", decoder.decoder_norm(layers[last]))
    keep("pred_logits", found.class_logits)
    keep("pred_masks", found.masks)
    keep("pred_boxes", found.boxes)
    return found


def _check_regions(found: Detections, size: tuple[int, int], threshold: float, collector: Collector) -> None:
    keep = collector.keep
    keep("prob", match_probability(found))
    states = regions_of_states(found, threshold=threshold)
    # Another order of summation may flip what lies this close to the threshold.
    undecided = found.masks[0].abs() < 1e-4
    for index, state in enumerate(states):
        keep(f"state{index}.matched", state.matched)
        keep(f"state{index}.boxes_xyxy", state.boxes)
        keep(f"state{index}.masks_shape", torch.tensor(state.masks.shape))
        bits = state.masks.flatten(1)
        near = int(undecided[state.matched].sum())
        keep(f"state{index}.masks_bits", bits, flips=near, unpack=packed_bits(tuple(bits.shape)))
    matched = [state for state in states if len(state.matched)]
    near = sum(int(to_image(undecided[state.matched], size).sum()) for state in matched)
    keep("pf_union", union([to_image(state.masks, size) for state in states], size), flips=near)
    keep("filtered.pf_union", union([to_image(state.masks, size) for state in matched], size), flips=near)
    keep("pf_filtered_count", np.asarray([len(state.matched) for state in matched]))
    phrases = "".join(f" <g_s> thing{index} <g_e> <seg>" for index in range(len(states)))
    filtered = drop_empty_phrases(f"The{phrases} end.", [not len(state.matched) for state in states])
    keep("pf_filtered_text", np.asarray(filtered))


def llavag_loop(folder: Path) -> GoldenSet:
    """Prepare an `llavag_loop` set for `pixcore.testing.goldens`."""
    config = json.loads((folder / "config.json").read_text())
    expected = load_arrays(folder / "outputs.npz")
    prompts = torch.from_numpy(load_arrays(folder / "inputs.npz")["inputs_embeds"]).double()
    shapes = {name: tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
    with parameters_on_meta():
        model = LlamaForCausalLM(_llama(config, shapes))
    load_weights(model, folder / "state.safetensors", llama_rules("model.", ""), dtype=torch.float64)
    words = config["words"]
    (answer,) = generate(
        model.eval(),
        list(prompts),
        max_new_tokens=1000,
        stop=lambda ids: config["eos_text"] in " ".join(words[token] for token in ids),
    )
    states = seg_states(seg_places(answer.token_ids, config["seg_id"]), answer.states)
    checks = [
        Check("output_ids", np.asarray(answer.token_ids)),
        Check("seg_states", states[None].numpy(), atol=2e-5, rtol=1e-4),
    ]
    return GoldenSet(checks, ("output_ids", "seg_states"), expected)


def _llama(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> LlamaConfig:
    tiny = config["tiny"]
    return LlamaConfig(
        vocab_size=tiny["vocab"],
        hidden_size=tiny["hidden"],
        intermediate_size=tiny["inter"],
        num_hidden_layers=sum(name.endswith(".input_layernorm.weight") for name in shapes),
        num_attention_heads=tiny.get("heads", LOOP_HEADS),
        num_key_value_heads=tiny.get("heads", LOOP_HEADS),
        rms_norm_eps=tiny.get("eps", LOOP_EPS),
    )
