"""Golden numbers of a `GroundedLlava`: what LISA's and GLaMM's own `evaluate` gave, recomputed.

The port runs in float64, so that what is left is the published run's own rounding; its float32 rounding is held by
the tests. Generation goes through the key-value cache, the published code through a full recomputation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_segtoken.clip import clip_rules
from pixcore_segtoken.config import SamSizes
from pixcore_segtoken.grounded import GroundedLlava, GroundedSizes, Prompt
from pixcore_segtoken.keymap import Rule
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pycocotools import mask as coco
from transformers import CLIPVisionConfig, LlamaConfig

from tests.goldens import segtoken_pixels as goldens_pixels
from tests.goldens import segtoken_text as goldens_text
from tests.goldens.runner import Check, GoldenSet, attempt, load_arrays

IMAGE_KEYS = ("clip_patch_features_every_8th", "projected_features_every_8th", "sam_image_embedding")
CASE_KEYS = (
    "sequence",
    "n_generated",
    "gen_logits",
    "gen_hidden",
    "prompt_tail_logits",
    "state_index_expanded",
    "seg_hidden",
    "seg_embed",
    "low_res_logits",
    "iou_pred",
    "mask_shape",
    "mask_logits_s4",
    "mask_logits_br",
    "mask_bits",
)
SKIPPED = {"*/near_zero_1e-4": "is the tolerance of mask_bits"}

MakeRules = Callable[[GroundedSizes], Sequence[Rule]]


def sizes_of(config: Mapping[str, Any], projector_depth: int) -> GroundedSizes:
    """The sizes in a golden set's config.json."""
    clip, sam = config["clip"], config["sam"]
    return GroundedSizes(
        language=LlamaConfig(**config["llm"]),
        clip=CLIPVisionConfig(**{key: value for key, value in clip.items() if not key.startswith("select_")}),
        sam=SamSizes(
            **{key: sam[key] for key in ("image_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")},
            **{key: sam[key] for key in ("global_attn_indexes", "window_size", "prompt_dim", "mask_in_chans")},
            decoder_depth=sam["dec_depth"],
            decoder_heads=sam["dec_heads"],
            decoder_mlp_dim=sam["dec_mlp_dim"],
            attention_downsample_rate=sam["attention_downsample_rate"],
            num_multimask_outputs=sam["num_multimask_outputs"],
            iou_head_depth=sam["iou_head_depth"],
            iou_head_hidden=sam["iou_hidden"],
        ),
        projector_depth=projector_depth,
        select_layer=clip["select_layer"],
    )


def load(
    folder: Path, projector_depth: int, rules: MakeRules, dtype: torch.dtype = torch.float64
) -> tuple[GroundedLlava, dict[str, Any]]:
    """The model of a golden set, through the plugin's own key map, and the set's config."""
    config = json.loads((folder / "config.json").read_text())
    sizes = sizes_of(config, projector_depth)
    with parameters_on_meta():
        model = GroundedLlava(sizes).eval()
    # Unlike the released checkpoints, the sets carry their CLIP tower.
    tower = clip_rules("model.vision_tower.vision_tower.vision_model.", "clip.")
    load_weights(model, folder / "state.safetensors", (*rules(sizes), *tower), dtype=dtype)
    return model, config


def case_prompt(inputs: Mapping[str, NDArray[Any]], case: str, image: str) -> Prompt:
    """One case of a golden set. Pixels are stored as integers, 32 to the unit."""

    def pixels(kind: str) -> torch.Tensor:
        return torch.from_numpy(inputs[f"image/{image}/{kind}_q"][0].astype(np.float32) / 32)

    def size(kind: str) -> tuple[int, int]:
        height, width = inputs[f"{case}/{kind}_size_hw"].tolist()
        return height, width

    return Prompt(
        inputs[f"{case}/input_ids"][0].tolist(), pixels("clip"), pixels("sam"), size("resized"), size("original")
    )


def prepare(folder: Path, projector_depth: int, rules: MakeRules) -> GoldenSet:
    """Make the golden set of a folder: of the whole model, or of the texts or the pixels that both systems share.

    Args:
        folder: With config.json, state.safetensors, inputs.npz and outputs.npz; or a set for `goldens_text` or
            `goldens_pixels`.
        projector_depth: 1 for LISA, 2 for GLaMM.
        rules: The plugin's key map.
    """
    if (folder / "preprocess.json").is_file():
        return goldens_pixels.prepare(folder)
    if any((folder / f"{system}.json").is_file() for system in ("lisa", "glamm")):
        return goldens_text.prepare(folder)
    model, config = load(folder, projector_depth, rules)
    expected = load_arrays(folder / "outputs.npz")
    keys = [f"image/{image}/{key}" for image in config["images"] for key in IMAGE_KEYS]
    keys += [f"{case}/{key}" for case in config["cases"] for key in CASE_KEYS]
    checks = _checks(model, config, load_arrays(folder / "inputs.npz"), expected)
    return GoldenSet(checks, keys, expected, SKIPPED)


def _checks(
    model: GroundedLlava,
    config: Mapping[str, Any],
    inputs: Mapping[str, NDArray[Any]],
    expected: Mapping[str, NDArray[Any]],
) -> Iterator[Check]:
    for image in config["images"]:
        yield from attempt(f"image/{image}", _image_checks(model, inputs, image))
    for case, settings in config["cases"].items():
        found = _case_checks(model, config["tokens"], settings, case, inputs, expected)
        # Not every set holds every array: only GLaMM's what its own writers make of the masks.
        yield from attempt(case, (check for check in found if check.name in expected))


def _image_checks(model: GroundedLlava, inputs: Mapping[str, NDArray[Any]], image: str) -> Iterator[Check]:
    clip = torch.from_numpy(inputs[f"image/{image}/clip_q"].astype(np.float64) / 32)
    sam = torch.from_numpy(inputs[f"image/{image}/sam_q"].astype(np.float64) / 32)
    yield Check(f"image/{image}/clip_patch_features_every_8th", model.clip(clip)[0, ::8].numpy(), atol=1e-5)
    yield Check(f"image/{image}/projected_features_every_8th", model.project(clip)[0, ::8].numpy(), atol=1e-5)
    yield Check(f"image/{image}/sam_image_embedding", model.sam.encode(sam).numpy(), atol=2e-5)


def _case_checks(
    model: GroundedLlava,
    tokens: Mapping[str, int],
    settings: Mapping[str, Any],
    case: str,
    inputs: Mapping[str, NDArray[Any]],
    expected: Mapping[str, NDArray[Any]],
) -> Iterator[Check]:
    prompt = case_prompt(inputs, case, settings["image"])
    assert prompt.sam_pixels is not None
    embedding = model.sam.encode(prompt.sam_pixels[None]).numpy()
    stats = np.array([embedding.mean(), embedding.std(ddof=1), np.abs(embedding).max()])
    yield Check(f"{case}/image_embedding_stats", stats, atol=2e-5)
    (answer,) = model.answer(
        [prompt],
        seg_id=tokens["[SEG]"],
        stop_ids=[tokens["eos"]],
        max_new_tokens=settings["max_new_tokens"],
        forced=[settings["forced"]] if settings["forced"] else None,
        keep_logits=True,
    )
    generation = answer.generation
    assert generation.logits is not None
    tail = model.language.lm_head(generation.prompt_states[-4:]).detach()
    positions = np.array(answer.seg_positions, np.int64)
    # One image token becomes many; every [SEG] is taken to come after it, as the published code takes it.
    expanded = positions + len(generation.prompt_states) - len(prompt.token_ids)
    masks = (answer.mask_logits > 0).numpy()
    near_zero = (answer.mask_logits.abs() < 1e-4).sum((1, 2)).numpy()
    # As many pixels as the published logits leave open; where a set does not say, as many as ours do.
    flips = expected.get(f"{case}/near_zero_1e-4", near_zero).tolist()
    height, width = prompt.original

    def unpack_bits(bits: NDArray[Any]) -> NDArray[np.bool_]:
        return np.unpackbits(bits, axis=1)[:, : height * width].reshape(-1, height, width).astype(bool)

    def unpack_rle(text: NDArray[Any]) -> NDArray[np.bool_]:
        decoded = [coco.decode(rle) for rle in json.loads(str(text))]
        return np.array(decoded, bool).reshape(-1, height, width)

    yield Check(f"{case}/sequence", np.array([*prompt.token_ids, *generation.token_ids]))
    yield Check(f"{case}/n_prompt", np.array(len(prompt.token_ids)))
    yield Check(f"{case}/n_generated", np.array(len(generation.token_ids)))
    yield Check(f"{case}/gen_logits", generation.logits.numpy(), atol=3e-4)
    yield Check(f"{case}/gen_hidden", generation.states.numpy(), atol=1e-5)
    yield Check(f"{case}/prompt_tail_logits", tail.numpy(), atol=3e-4)
    yield Check(f"{case}/seg_index_expanded", expanded)
    yield Check(f"{case}/state_index_expanded", expanded - 1)
    yield Check(f"{case}/seg_hidden", answer.seg_states.numpy(), atol=1e-5)
    yield Check(f"{case}/seg_embed", answer.seg_embeds.detach().numpy(), atol=2e-5)
    yield Check(f"{case}/low_res_logits", answer.low_res.numpy(), atol=2e-4)
    yield Check(f"{case}/iou_pred", answer.iou.numpy(), atol=1.5e-6)
    yield Check(f"{case}/mask_shape", np.array(answer.mask_logits.shape))
    yield Check(f"{case}/mask_logits_s4", answer.mask_logits[:, ::4, ::4].numpy(), atol=2e-4)
    yield Check(f"{case}/mask_logits_br", answer.mask_logits[:, -24:, -24:].numpy(), atol=2e-4)
    yield Check(f"{case}/mask_bits", masks, flips=flips, unpack=unpack_bits)
    yield Check(f"{case}/mask_area", masks.sum((1, 2)).astype(np.float64), atol=max(flips, default=0))
    yield Check(f"{case}/rle_counts", masks, flips=flips, unpack=unpack_rle)
    first = masks[:1] if len(masks) else np.zeros((1, height, width), bool)
    yield Check(f"{case}/published_mask_bits", first, flips=flips[0] if flips else 0, unpack=unpack_bits)
