"""The arrays of OMG-Seg, the projectors and the [SEG] masks, computed by this port: golden systems `omg`, `omg-llava`.

The port runs in float64, so that what is left is the published run's own rounding; its float32 rounding is held by the
tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_omg_llava.keymap import PERCEPTION, perception_rules, projector_rules
from pixcore_omg_llava.masks import app_crop, corner_crop, cut, square_logits
from pixcore_omg_llava.model import Eye
from pixcore_omg_llava.perception import Perception, query_probability
from pixcore_omg_llava.query_decoder import ImageMemory
from pixcore_omg_llava.segrule import state_rows
from pixcore_omg_llava.sizes import PerceptionSizes
from pixcore_segtoken.checkpoint import read
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from torch import Tensor

from tests.goldens.omg_llava_language import internlm2
from tests.goldens.recording import Collector, packed_bits, recorded_inputs, recorded_outputs
from tests.goldens.runner import Check, GoldenSet, load_arrays

Arrays = Mapping[str, NDArray[Any]]


def prepare(folder: Path) -> GoldenSet:
    """Prepare a set of either part of OMG-LLaVA: `omg` or `internlm2`, told apart by its config."""
    config = json.loads((folder / "config.json").read_text())
    return omg(folder) if "cases" in config["tiny"] else internlm2(folder)


def omg(folder: Path, dtype: torch.dtype = torch.float64) -> GoldenSet:
    """Prepare an `omg` set: backbone, decoders, tokens, projector, [SEG] masks, both crops."""
    cases = list(json.loads((folder / "config.json").read_text())["tiny"]["cases"])
    inputs, expected = load_arrays(folder / "inputs.npz"), load_arrays(folder / "outputs.npz")
    shapes = {name: tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
    perception = {name.removeprefix(PERCEPTION): shape for name, shape in shapes.items() if name.startswith(PERCEPTION)}
    sizes = PerceptionSizes.from_shapes(perception)

    def checks() -> Iterator[Check]:
        with parameters_on_meta():
            eye = Eye(sizes, hidden=shapes["projector.model.seperate_embed.weight"][1])
        load_weights(eye, folder / "state.safetensors", [*perception_rules(), *projector_rules()], dtype=dtype)
        yield from _checks(eye.eval(), cases, inputs, expected)

    keys = [key for case in cases for key in _case_keys(case, sizes, inputs)]
    if "segrule.sequence" in inputs:
        keys += ["segrule.picked_rows", "segrule.picked"]
    return GoldenSet(checks(), keys, expected)


def _case_keys(case: str, sizes: PerceptionSizes, inputs: Arrays) -> Iterator[str]:
    layers = range(sizes.decoder_layers)
    yield from (f"{case}.backbone.level{level}" for level in range(len(sizes.backbone_widths)))
    # Of the encoder a set has the last layer only.
    yield from (f"{case}.enc.layer{sizes.encoder_layers - 1}", f"{case}.pix.mask_features")
    yield from (f"{case}.dec.layer{layer}.{key}" for layer in layers for key in ("query", "attn_mask_bits"))
    yield from (f"{case}.{key}" for key in ("pred_last.cls_and_iou", "pred_last.masks"))
    yield from (f"{case}.{key}" for key in ("visual.tokens", "visual.attn_mask"))
    yield from (f"{case}.projector.image{index}" for index in range(len(inputs[f"{case}.pixel_values"])))
    for name in _state_sets(case, inputs):
        yield from (f"{name}.t2v", f"{name}.mask_list")
        yield from (f"{name}.dec.layer{layer}.query" for layer in layers)
        # Post-processing starts from an original image.
        if f"{case}.raw_rgb" in inputs:
            for mask in range(len(inputs[f"{name}.llm_hidden"])):
                yield from (f"{name}.post.{crop}.mask{mask}" for crop in ("app_center_crop", "pf_topleft_crop"))


def _state_sets(case: str, inputs: Arrays) -> list[str]:
    """Names of the sets of language states that a case has: `sq.n1`, `sq.n3`."""
    ending = ".llm_hidden"
    return [name.removesuffix(ending) for name in inputs if name.startswith(f"{case}.") and name.endswith(ending)]


def _checks(eye: Eye, cases: Sequence[str], inputs: Arrays, expected: Arrays) -> Sequence[Check]:
    decoder = eye.perception.query_decoder
    decoder.set_vocabulary(torch.from_numpy(inputs["ov_class_embed"]))
    decoder.logit_scale = float(inputs["logit_scale_buffer"])
    collector = Collector(expected)
    with torch.inference_mode():
        for case in cases:
            with collector.part(case) as own:
                pixels = torch.from_numpy(inputs[f"{case}.pixel_values"]).to(eye.projector.separator.weight)
                memory = _check_pixel_decoder(eye.perception, pixels, own)
                _check_decoder(eye.perception, memory, own)
                _check_tokens(eye, pixels, own)
                for name in _state_sets(case, inputs):
                    with collector.part(name) as states:
                        _check_states(eye, memory, inputs, case, name, states)
    with collector.part("segrule") as own:
        _check_segrule(inputs, own)
    return collector.checks


def _check_pixel_decoder(perception: Perception, pixels: Tensor, collector: Collector) -> ImageMemory:
    keep, decoder = collector.keep, perception.pixel_decoder
    with (
        recorded_outputs(dict(decoder.encoder.layers.named_children())) as layers,
        recorded_inputs({"encoder": decoder.encoder}) as given,
    ):
        maps = perception.backbone(pixels)
        memory = ImageMemory(*decoder(maps))
    for index, level in enumerate(maps):
        keep(f"backbone.level{index}", level)
    tokens, position, sizes = given["encoder"]
    keep("enc.input", tokens)
    keep("enc.query_pos", position.expand(len(tokens), -1, -1))
    keep("enc.reference_points", decoder.encoder.reference_points(sizes, tokens))
    keep("enc.spatial_shapes", torch.tensor(sizes))
    for name, output in layers.items():
        keep(f"enc.layer{name}", output)
    keep("pix.mask_features", memory.mask_features)
    return memory


def _check_decoder(perception: Perception, memory: ImageMemory, collector: Collector) -> None:
    keep, decoder = collector.keep, perception.query_decoder
    batch = len(memory.mask_features)
    query = decoder.query_feat.weight.expand(batch, -1, -1)
    for level, feature in enumerate(memory.pyramid):
        size = (feature.shape[-2], feature.shape[-1])
        position = decoder.memory_position(size, query).expand(batch, -1, -1)
        # The same for every image; a set stores it once, or once for each.
        keep(f"dec.key_pos_level{level}", position, unpack=partial(np.broadcast_to, shape=tuple(position.shape)))

    def watch(index: int, blocked: Tensor) -> None:
        keep(f"dec.layer{index}.attn_mask_bits", blocked, unpack=packed_bits(tuple(blocked.shape)))

    steps = decoder.decode(query, decoder.query_embed.weight.expand(batch, -1, -1), memory, watch)
    first = decoder.mask_logits(query, memory.mask_features)
    for name, (state, masks) in {"pred0": (query, first), "pred_last": steps[-1]}.items():
        classes = decoder.class_logits(state, masks, memory.mask_features)
        # Class logits are multiplied by 100.
        keep(f"{name}.cls_and_iou", torch.cat([classes, decoder.iou_logits(state)], dim=-1), atol=2e-4)
        keep(f"{name}.masks", masks)
    for index, (state, _) in enumerate(steps):
        keep(f"dec.layer{index}.query", state)


def _check_tokens(eye: Eye, pixels: Tensor, collector: Collector) -> None:
    keep, decoder = collector.keep, eye.perception.query_decoder
    tokens, memory = eye.perception(pixels)
    states, masks = decoder(memory)
    classes = decoder.class_logits(states, masks, memory.mask_features)
    keep("visual.tokens", tokens.pixels)
    keep("visual.query_feat_pos", tokens.queries)
    keep("visual.query_prob", query_probability(classes, masks, (pixels.shape[-2], pixels.shape[-1])))
    queries = torch.arange(tokens.queries.shape[1])
    keep("visual.attn_mask", tokens.owner[:, None] != queries[None, :, None])
    for index, image in enumerate(eye.projector(tokens)):
        keep(f"projector.image{index}", image)
        keep(f"projector.image{index}.valid_query_index", tokens.owner[index].unique())


def _check_states(eye: Eye, memory: ImageMemory, inputs: Arrays, case: str, name: str, collector: Collector) -> None:
    decoder = eye.perception.query_decoder
    projected = eye.state_projector(torch.from_numpy(inputs[f"{name}.llm_hidden"]).to(memory.mask_features))
    images = torch.from_numpy(inputs[f"{name}.batch_idxs"])
    with recorded_outputs(dict(decoder.layers.named_children())) as layers:
        masks = decoder.masks_of_states(projected, memory.select(images))
    collector.keep("t2v", projected)
    collector.keep("mask_list", torch.stack(masks))
    for layer, output in layers.items():
        collector.keep(f"dec.layer{layer}.query", output)
    if f"{case}.raw_rgb" in inputs:
        height, width = inputs[f"{case}.raw_rgb"].shape[:2]
        _check_crops(square_logits(masks[-1], max(width, height)), (width, height), collector.under("post"))


def _check_crops(square: Tensor, size: tuple[int, int], collector: Collector) -> None:
    centre = app_crop(*size)
    collector.keep("app_crop_sx_ex_sy_ey", np.asarray(centre))
    for index, logits in enumerate(square):
        # One step of the type: the set keeps it for inspection only.
        collector.keep(f"square_logits_f16.mask{index}", logits.half(), atol=1e-4, rtol=1e-3)
        for name, crop in (("app_center_crop", centre), ("pf_topleft_crop", corner_crop(*size))):
            left, right, top, bottom = crop
            near = int((logits[top:bottom, left:right].abs() < 1e-4).sum())
            collector.keep(f"{name}.mask{index}", cut(square, crop)[index], flips=near)


def _check_segrule(inputs: Arrays, collector: Collector) -> None:
    if "segrule.sequence" not in inputs:
        return
    prompt_length, seg_id = int(inputs["segrule.prompt_len"]), int(inputs["segrule.seg_id"])
    rows = state_rows(inputs["segrule.sequence"].tolist(), seg_id, prompt_length=prompt_length)
    collector.keep("picked_rows", np.asarray(rows))
    collector.keep("picked", inputs["segrule.last_hidden_flat"][rows])
