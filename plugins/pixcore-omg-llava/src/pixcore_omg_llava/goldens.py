"""The arrays of OMG-Seg, the projectors and the [SEG] masks, computed by this port: golden system `omg`.

The port runs in float64, so that what is left is the published run's own rounding; its float32 rounding is held by the
tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_segtoken.checkpoint import read
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_segtoken.recording import recorded_inputs, recorded_outputs
from torch import Tensor

from pixcore.testing.goldens import Check, GoldenSet, load_arrays
from pixcore_omg_llava.keymap import PERCEPTION, perception_rules, projector_rules
from pixcore_omg_llava.masks import app_crop, corner_crop, cut, square_logits
from pixcore_omg_llava.model import Eye
from pixcore_omg_llava.perception import Perception, query_probability
from pixcore_omg_llava.query_decoder import ImageMemory
from pixcore_omg_llava.segrule import state_rows
from pixcore_omg_llava.sizes import PerceptionSizes

Arrays = dict[str, NDArray[Any]]


KEYS = (
    "*.backbone.level*",
    "*.enc.layer*",
    "*.pix.mask_features",
    "*.dec.layer*",
    "*.pred_last.*",
    "*.visual.tokens",
    "*.visual.attn_mask",
    "*.projector.image*",
    "*.t2v",
    "*.mask_list",
)
OPTIONAL_KEYS = ("*.post.*", "segrule.*")
"""Key arrays where a set has any: post-processing needs a case that starts from an original image."""


def omg(folder: Path) -> GoldenSet:
    """Prepare an `omg` set for `pixcore.testing.goldens`."""
    expected = load_arrays(folder / "outputs.npz")
    found, near = omg_arrays(folder)
    present = [key for key in OPTIONAL_KEYS if any(fnmatchcase(name, key) for name in expected)]
    checks = [_check(name, found[name], near.get(name, 0)) for name in expected if name in found]
    return GoldenSet(checks, [*KEYS, *present], expected)


def _check(name: str, value: NDArray[Any], near: int) -> Check:
    if value.dtype.kind != "f":
        return Check(name, value, flips=near)
    if value.dtype == np.float16:
        return Check(name, value, atol=1e-4, rtol=1e-3)  # one step of the type, for inspection only
    # Class logits are multiplied by 100.
    return Check(name, value, atol=2e-4 if name.endswith("cls_and_iou") else 2e-5, rtol=1e-4)


def omg_arrays(folder: Path, dtype: torch.dtype = torch.float64) -> tuple[Arrays, dict[str, int]]:
    """Every array of an `omg` set: backbone, decoders, tokens, projector, [SEG] masks, both crops.

    Returns:
        The arrays, and for those made of thresholded logits how many entries lie within 1e-4 of the threshold.
    """
    config = json.loads((folder / "config.json").read_text())
    inputs = load_arrays(folder / "inputs.npz")
    tiny = config["tiny"]
    shapes = {name: tuple(tensor.shape) for name, tensor in read(folder / "state.safetensors")}
    perception = {name.removeprefix(PERCEPTION): shape for name, shape in shapes.items() if name.startswith(PERCEPTION)}
    sizes = PerceptionSizes.from_shapes(perception, heads=tiny["heads"])
    with parameters_on_meta():
        eye = Eye(sizes, hidden=shapes["projector.model.seperate_embed.weight"][1])
    load_weights(eye, folder / "state.safetensors", [*perception_rules(), *projector_rules()], dtype=dtype)
    eye.eval()
    decoder = eye.perception.query_decoder
    decoder.set_vocabulary(torch.from_numpy(inputs["ov_class_embed"]))
    decoder.logit_scale = float(inputs["logit_scale_buffer"])
    arrays: Arrays = {}
    near: dict[str, int] = {}
    with torch.inference_mode():
        for case in tiny["cases"]:
            arrays |= _image_arrays(eye, inputs, case)
            arrays |= _state_arrays(eye, inputs, case, near)
    if "segrule.sequence" in inputs:
        rows = state_rows(
            inputs["segrule.sequence"].tolist(),
            int(inputs["segrule.seg_id"]),
            prompt_length=int(inputs["segrule.prompt_len"]),
        )
        arrays["segrule.picked_rows"] = np.asarray(rows)
        arrays["segrule.picked"] = inputs["segrule.last_hidden_flat"][rows]
    return arrays, near


def _pixels(eye: Eye, inputs: Arrays, case: str) -> Tensor:
    return torch.from_numpy(inputs[f"{case}.pixel_values"]).to(eye.projector.separator.weight.dtype)


def _image_arrays(eye: Eye, inputs: Arrays, case: str) -> Arrays:
    """What is computed of the images alone, before the language model."""
    found: Arrays = {}

    def keep(name: str, value: Tensor) -> None:
        found[f"{case}.{name}"] = value.numpy()

    pixels = _pixels(eye, inputs, case)
    perception = eye.perception
    maps = perception.backbone(pixels)
    for index, level in enumerate(maps):
        keep(f"backbone.level{index}", level)
    memory = _pixel_decoder_arrays(perception, maps, keep)
    states, masks = _decoder_arrays(perception, memory, keep)
    tokens, _ = perception(pixels)
    classes = perception.query_decoder.class_logits(states, masks, memory.mask_features)
    queries = tokens.queries.shape[1]
    keep("visual.tokens", tokens.pixels)
    keep("visual.query_feat_pos", tokens.queries)
    keep("visual.query_prob", query_probability(classes, masks, (pixels.shape[-2], pixels.shape[-1])))
    keep("visual.attn_mask", tokens.owner[:, None] != torch.arange(queries)[None, :, None])
    for index, image in enumerate(eye.projector(tokens)):
        keep(f"projector.image{index}", image)
        keep(f"projector.image{index}.valid_query_index", tokens.owner[index].unique())
    return found


def _pixel_decoder_arrays(
    perception: Perception, maps: list[Tensor], keep: Callable[[str, Tensor], None]
) -> ImageMemory:
    decoder = perception.pixel_decoder
    with (
        recorded_outputs(dict(decoder.encoder.layers.named_children())) as layers,
        recorded_inputs({"encoder": decoder.encoder}) as given,
    ):
        memory = ImageMemory(*decoder(maps))
    tokens, position, sizes = given["encoder"]
    keep("enc.input", tokens)
    keep("enc.query_pos", position.expand(len(tokens), -1, -1))
    keep("enc.reference_points", decoder.encoder.reference_points(sizes, tokens))
    keep("enc.spatial_shapes", torch.tensor(sizes))
    for index, output in layers.items():
        keep(f"enc.layer{index}", output)
    keep("pix.mask_features", memory.mask_features)
    return memory


def _decoder_arrays(
    perception: Perception, memory: ImageMemory, keep: Callable[[str, Tensor], None]
) -> tuple[Tensor, Tensor]:
    decoder = perception.query_decoder
    batch = len(memory.mask_features)
    query = decoder.query_feat.weight.expand(batch, -1, -1)
    for level, feature in enumerate(memory.pyramid):
        size = (feature.shape[-2], feature.shape[-1])
        keep(f"dec.key_pos_level{level}", decoder.memory_position(size, query)[None])

    def watch(index: int, blocked: Tensor) -> None:
        keep(f"dec.layer{index}.attn_mask_bits", torch.from_numpy(np.packbits(blocked.numpy(), axis=-1)))

    steps = decoder.decode(query, decoder.query_embed.weight.expand(batch, -1, -1), memory, watch)
    first = decoder.mask_logits(query, memory.mask_features)
    for name, (state, masks) in {"pred0": (query, first), "pred_last": steps[-1]}.items():
        classes = decoder.class_logits(state, masks, memory.mask_features)
        keep(f"{name}.cls_and_iou", torch.cat([classes, decoder.iou_logits(state)], dim=-1))
        keep(f"{name}.masks", masks)
    for index, (state, _) in enumerate(steps):
        keep(f"dec.layer{index}.query", state)
    return steps[-1]


def _state_arrays(eye: Eye, inputs: Arrays, case: str, near: dict[str, int]) -> Arrays:
    """What is computed of the language model's states; `near` gets the entries close to a mask's threshold."""
    found: Arrays = {}
    pixels = _pixels(eye, inputs, case)
    _, memory = eye.perception(pixels)
    decoder = eye.perception.query_decoder
    endings = (name for name in inputs if name.startswith(f"{case}.") and name.endswith(".llm_hidden"))
    for name in (ending.removesuffix(".llm_hidden") for ending in endings):
        projected = eye.state_projector(torch.from_numpy(inputs[f"{name}.llm_hidden"]).to(pixels.dtype))
        images = torch.from_numpy(inputs[f"{name}.batch_idxs"])
        with recorded_outputs(dict(decoder.layers.named_children())) as layers:
            masks = decoder.masks_of_states(projected, memory.select(images))
        found[f"{name}.t2v"] = projected.numpy()
        found[f"{name}.mask_list"] = torch.stack(masks).numpy()
        for index, output in layers.items():
            found[f"{name}.dec.layer{index}.query"] = output.numpy()
        if f"{case}.raw_rgb" in inputs:
            height, width = inputs[f"{case}.raw_rgb"].shape[:2]
            found |= _cropped(square_logits(masks[-1], max(width, height)), (width, height), f"{name}.post", near)
    return found


def _cropped(square: Tensor, size: tuple[int, int], name: str, near: dict[str, int]) -> Arrays:
    centre = app_crop(*size)
    found: Arrays = {f"{name}.app_crop_sx_ex_sy_ey": np.asarray(centre)}
    for index, logits in enumerate(square):
        found[f"{name}.square_logits_f16.mask{index}"] = logits.half().numpy()
        for crop_name, crop in (("app_center_crop", centre), ("pf_topleft_crop", corner_crop(*size))):
            found[f"{name}.{crop_name}.mask{index}"] = cut(square, crop)[index]
            left, right, top, bottom = crop
            near[f"{name}.{crop_name}.mask{index}"] = int((logits[top:bottom, left:right].abs() < 1e-4).sum())
    return found
