"""The arrays of OpenSeeD and of LLaVA-Grounding's loop, computed by this port.

Systems `openseed` and `llavag_loop`, or `llava-grounding` for both.

The port runs in float64, so that what is left is the published run's own rounding; its float32 rounding is held by the
tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_llava_grounding.keymap import OPENSEED, openseed_rules
from pixcore_llava_grounding.masks import to_image, union
from pixcore_llava_grounding.openseed import OpenSeed, match_probability, regions_of_states
from pixcore_llava_grounding.query_decoder import Detections, Memory
from pixcore_llava_grounding.sizes import OpenSeedSizes
from pixcore_llava_grounding.states import seg_places, seg_states
from pixcore_llava_grounding.text import MARKERS, drop_empty_phrases
from pixcore_segtoken.checkpoint import read
from pixcore_segtoken.keymap import llama_rules
from pixcore_segtoken.language import generate
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from tests.goldens.recording import Collector, packed_bits, recorded_inputs, recorded_outputs
from tests.goldens.runner import Check, GoldenSet, load_arrays

LOOP_HEADS, LOOP_EPS = 4, 1e-5
"""Attention heads and norm epsilon of the loop's tiny Llama, found by trying: the given config.json does not say."""


def prepare(folder: Path) -> GoldenSet:
    """Prepare a set of either part of LLaVA-Grounding: `openseed` or `llavag_loop`, told apart by its config."""
    config = json.loads((folder / "config.json").read_text())
    return openseed(folder) if "images" in config["tiny"] else llavag_loop(folder)


def openseed(folder: Path, dtype: torch.dtype = torch.float64) -> GoldenSet:
    """Prepare an `openseed` set: from Swin to masks, PixFoundation's post-processing and text filter."""
    config = json.loads((folder / "config.json").read_text())
    counts = {image: settings["states"] for image, settings in config["tiny"]["images"].items()}
    inputs, expected = load_arrays(folder / "inputs.npz"), load_arrays(folder / "outputs.npz")
    shapes = {name.removeprefix(OPENSEED): tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
    sizes = OpenSeedSizes.from_shapes(shapes, queries=config["tiny"]["queries"])

    def checks() -> Iterator[Check]:
        with parameters_on_meta():
            model = OpenSeed(sizes)
        load_weights(model, folder / "state.safetensors", openseed_rules(), dtype=dtype)
        yield from _checks(model.eval(), counts, config["matching_threshold"], inputs, expected)

    keys = [key for image in counts for key in _image_keys(image, counts[image], sizes)]
    return GoldenSet(checks(), keys, expected)


def _image_keys(image: str, counts: Sequence[int], sizes: OpenSeedSizes) -> Iterator[str]:
    yield from (f"{image}.backbone.res{level + 2}" for level in range(len(sizes.depths)))
    # Of the encoder's layers only the last is stored for every image.
    yield from (f"{image}.enc.layer{sizes.encoder_layers - 1}", f"{image}.pix.mask_features")
    yield f"{image}.two_stage.proposals"
    for start in (f"{image}.t{count}" for count in counts):
        yield from (f"{start}.dec.layer{layer}.raw" for layer in range(sizes.decoder_layers))
        yield from (f"{start}.dec.ref{layer}" for layer in range(sizes.decoder_layers + 1))
        yield from (f"{start}.{key}" for key in ("two_stage.topk_index", "pred_logits", "pred_masks", "pred_boxes"))
        yield from (f"{start}.{key}" for key in ("prob", "pf_union"))
    for count in counts:
        yield from (f"{image}.t{count}.state{row}.{key}" for row in range(count) for key in ("matched", "masks_bits"))


def _checks(
    model: OpenSeed,
    counts: Mapping[str, Sequence[int]],
    threshold: float,
    inputs: Mapping[str, NDArray[Any]],
    expected: Mapping[str, NDArray[Any]],
) -> Sequence[Check]:
    collector = Collector(expected)
    states = torch.from_numpy(inputs["text_states"]).to(model.query_decoder.class_embed)
    with torch.inference_mode():
        for image in counts:
            with collector.part(image) as own:
                memory = _check_image(model, torch.from_numpy(inputs[f"{image}.model_rgb"])[None], own)
                height, width = inputs[f"{image}.raw_rgb"].shape[:2]
                for count in counts[image]:
                    with own.part(f"t{count}") as answer:
                        found = _check_decoder(model, memory, states[None, :count], answer)
                        _check_regions(found, (width, height), threshold, answer)
    return collector.checks


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
    _check_text([not len(state.matched) for state in states], collector)


def _check_text(empty: Sequence[bool], collector: Collector) -> None:
    """Filter the given sets' text; a set with other words filtered another text, which it does not hold."""
    phrases = "".join(f" <g_s> thing{index} <g_e> <seg>" for index in range(len(empty)))
    text = f"The{phrases} end."
    stored = str(collector.expected.get(f"{collector.prefix}pf_filtered_text", ""))
    if _words(stored) == _words(text):
        collector.keep("pf_filtered_text", np.asarray(drop_empty_phrases(text, empty)))


def _words(text: str) -> list[str]:
    return re.sub("|".join(MARKERS), " ", text).split()


def llavag_loop(folder: Path) -> GoldenSet:
    """Prepare an `llavag_loop` set: the tokens of the greedy loop, and the states it keeps."""
    config = json.loads((folder / "config.json").read_text())
    words, seg_id, ending = config["words"], config["seg_id"], config["eos_text"]
    prompts = torch.from_numpy(load_arrays(folder / "inputs.npz")["inputs_embeds"]).double()

    def checks() -> Iterator[Check]:
        shapes = {name: tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
        with parameters_on_meta():
            model = LlamaForCausalLM(_llama(config, shapes)).eval()
        load_weights(model, folder / "state.safetensors", llama_rules("model.", ""), dtype=torch.float64)
        (answer,) = generate(
            model,
            list(prompts),
            max_new_tokens=1000,
            stop=lambda ids: ending in " ".join(words[token] for token in ids),
        )
        yield Check("output_ids", np.asarray(answer.token_ids))
        states = seg_states(seg_places(answer.token_ids, seg_id), answer.states)
        yield Check("seg_states", states[None].numpy(), atol=2e-5, rtol=1e-4)

    return GoldenSet(checks(), ("output_ids", "seg_states"), load_arrays(folder / "outputs.npz"))


def _llama(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> LlamaConfig:
    """The loop's Llama: what config.json says under transformers' names, the rest from the weights' shapes."""
    said = {**config, **config["tiny"]}
    vocabulary, hidden = shapes["model.embed_tokens.weight"]
    layer = "model.layers.0."
    rows = {part: shapes[f"{layer}self_attn.{part}_proj.weight"][0] for part in "qk"}
    heads = said.get("num_attention_heads", LOOP_HEADS)
    head_dim = said.get("head_dim", rows["q"] // heads)
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=shapes[f"{layer}mlp.gate_proj.weight"][0],
        num_hidden_layers=sum(name.endswith(".input_layernorm.weight") for name in shapes),
        num_attention_heads=rows["q"] // head_dim,
        num_key_value_heads=said.get("num_key_value_heads", rows["k"] // head_dim),
        head_dim=head_dim,
        rms_norm_eps=said.get("rms_norm_eps", LOOP_EPS),
    )
