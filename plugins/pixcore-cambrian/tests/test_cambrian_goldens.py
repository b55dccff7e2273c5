"""Cambrian against what the published code gave, and its towers against independent sources."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pixcore_cambrian.prompt import llama_3
from pixcore_cambrian.towers import ConvNext, Dinov2, Siglip, Tower, build_tower, hub_name, resize_positions
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import conv2d, gelu, interpolate, layer_norm, linear, scaled_dot_product_attention, silu

from pixcore.errors import ModelError
from tests.goldens.cambrian import prepare
from tests.goldens.runner import compare

KINDS = {"cambrian_tiny": 150, "cambrian_real_grid": 26, "cambrian_sva": 4, "cambrian_preprocess": 20}


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_numbers(goldens: Path, kind: str) -> None:
    golden = prepare(goldens / kind)
    verdicts = list(compare(golden, golden.expected or {}))
    assert {verdict.status for verdict in verdicts} == {"ok"}
    assert len(verdicts) == KINDS[kind]


def filled(tower: Tower, folder: Path) -> Tower:
    """A tower with its weights."""
    tower.fill(folder)
    return tower


def test_the_published_prompts(goldens: Path) -> None:
    rows = json.loads((goldens / "attend-and-segment/prompts.json").read_text())["rows"]
    whole = [row for row in rows if row["full"] is not None]
    assert whole
    for row in whole:
        for protocol, question in row["prompts"].items():
            assert llama_3(question) == row["full"][f"cambrian_llama_3_{protocol}"]


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(1, 3, 84, 84, generator=torch.Generator().manual_seed(1))


def tower_folder(options: dict[str, Any], name: str) -> Path:
    return next(Path(folder) for folder in options["towers"] if Path(folder).name == name)


def attention(states: Tensor, weights: dict[str, Tensor], names: tuple[str, str, str, str], heads: int) -> Tensor:
    query, key, value = (
        linear(states, weights[f"{name}.weight"], weights[f"{name}.bias"]).unflatten(-1, (heads, -1)).transpose(1, 2)
        for name in names[:3]
    )
    mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    return linear(mixed, weights[f"{names[3]}.weight"], weights[f"{names[3]}.bias"])


def norm(states: Tensor, weights: dict[str, Tensor], name: str, eps: float = 1e-6) -> Tensor:
    return layer_norm(states, states.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def test_siglip_is_timms_with_exact_gelu(cambrian_options: dict[str, Any], pixels: Tensor) -> None:
    folder = tower_folder(cambrian_options, "siglip")
    w = {name.removeprefix("vision_model."): value for name, value in load_file(folder / "model.safetensors").items()}
    states = conv2d(pixels, w["embeddings.patch_embedding.weight"], w["embeddings.patch_embedding.bias"], stride=14)
    states = states.flatten(2).transpose(1, 2) + w["embeddings.position_embedding.weight"]
    layer = "encoder.layers.0."
    names = tuple(f"{layer}self_attn.{name}_proj" for name in ("q", "k", "v", "out"))
    states = states + attention(norm(states, w, f"{layer}layer_norm1"), w, names, heads=2)  # type: ignore[arg-type]
    inner = norm(states, w, f"{layer}layer_norm2")
    inner = gelu(linear(inner, w[f"{layer}mlp.fc1.weight"], w[f"{layer}mlp.fc1.bias"]))
    states = states + linear(inner, w[f"{layer}mlp.fc2.weight"], w[f"{layer}mlp.fc2.bias"])
    with torch.no_grad():
        ours = filled(Siglip(folder, None, 36), folder)(pixels)
    torch.testing.assert_close(ours, norm(states, w, "post_layernorm"), rtol=0, atol=1e-5)


def test_dinov2_gates_and_positions(cambrian_options: dict[str, Any], pixels: Tensor) -> None:
    folder = tower_folder(cambrian_options, "dinov2")
    w = load_file(folder / "model.safetensors")
    patch = "embeddings.patch_embeddings.projection"
    states = conv2d(pixels, w[f"{patch}.weight"], w[f"{patch}.bias"], stride=14).flatten(2).transpose(1, 2)
    states = torch.cat([w["embeddings.cls_token"], states], dim=1)
    states = states + resize_positions(w["embeddings.position_embeddings"], 6)
    layer = "encoder.layer.0."
    inside = f"{layer}attention.attention."
    names = (f"{inside}query", f"{inside}key", f"{inside}value", f"{layer}attention.output.dense")
    mixed = attention(norm(states, w, f"{layer}norm1"), w, names, heads=2)
    states = states + w[f"{layer}layer_scale1.lambda1"] * mixed
    inner = norm(states, w, f"{layer}norm2")
    gate, up = linear(inner, w[f"{layer}mlp.weights_in.weight"], w[f"{layer}mlp.weights_in.bias"]).chunk(2, dim=-1)
    inner = linear(silu(gate) * up, w[f"{layer}mlp.weights_out.weight"], w[f"{layer}mlp.weights_out.bias"])
    states = states + w[f"{layer}layer_scale2.lambda1"] * inner
    with torch.no_grad():
        ours = filled(Dinov2(folder, 84, 36), folder)(pixels)
    torch.testing.assert_close(ours, norm(states, w, "layernorm")[:, 1:], rtol=0, atol=1e-5)


def test_positions_are_sampled_at_the_published_scale() -> None:
    """At 378 pixels: not where asking for 27 x 27 would sample, and the corner shows it."""
    positions = torch.randn(1, 1 + 37 * 37, 3, generator=torch.Generator().manual_seed(2))
    resized = resize_positions(positions, 27)
    assert resized.shape == (1, 1 + 27 * 27, 3)
    grid = positions[:, 1:].transpose(1, 2).reshape(1, 3, 37, 37)
    by_size = interpolate(grid, (27, 27), mode="bicubic").flatten(2).transpose(1, 2)
    assert (resized[:, 1:] - by_size).abs().max() > 0.01
    assert torch.equal(resize_positions(positions, 37), positions)


def test_convnext_stages(cambrian_options: dict[str, Any], pixels: Tensor) -> None:
    folder = tower_folder(cambrian_options, "convnext")
    w = {
        name.removeprefix("visual.trunk."): value
        for name, value in load_file(folder / "open_clip_model.safetensors").items()
    }
    pixels = interpolate(pixels, (128, 128))

    def channel_norm(states: Tensor, name: str) -> Tensor:
        return norm(states.permute(0, 2, 3, 1), w, name, 1e-5).permute(0, 3, 1, 2)

    states = channel_norm(conv2d(pixels, w["stem.0.weight"], w["stem.0.bias"], stride=4), "stem.1")
    stages = []
    for stage, depth in enumerate((1, 1, 2, 1)):
        start = f"stages.{stage}."
        if stage:
            states = channel_norm(states, f"{start}downsample.0")
            states = conv2d(states, w[f"{start}downsample.1.weight"], w[f"{start}downsample.1.bias"], stride=2)
        for block in range(depth):
            name = f"{start}blocks.{block}."
            channels = states.shape[1]
            inner = conv2d(states, w[f"{name}conv_dw.weight"], w[f"{name}conv_dw.bias"], padding=3, groups=channels)
            inner = norm(inner.permute(0, 2, 3, 1), w, f"{name}norm", 1e-5)
            inner = gelu(linear(inner, w[f"{name}mlp.fc1.weight"], w[f"{name}mlp.fc1.bias"]))
            inner = linear(inner, w[f"{name}mlp.fc2.weight"], w[f"{name}mlp.fc2.bias"]) * w[f"{name}gamma"]
            states = states + inner.permute(0, 3, 1, 2)
        stages.append(interpolate(states, (24, 24), mode="bilinear").flatten(2).transpose(1, 2))
    with torch.no_grad():
        ours = filled(ConvNext(folder, 128, 576), folder)(pixels)
    torch.testing.assert_close(ours, torch.cat(stages, dim=-1), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("siglip/CLIP-ViT-SO400M-14-384-interp576", "google/siglip-so400m-patch14-384"),
        ("openai/clip-vit-large-patch14-336", "openai/clip-vit-large-patch14-336"),
        ("facebook/dinov2-giant-res378-interp576", "facebook/dinov2-giant"),
        (
            "clip-convnext-XXL-multi-stage-interp9216",
            "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup",
        ),
    ],
)
def test_published_tower_names(published: str, expected: str) -> None:
    assert hub_name(published) == expected


def test_an_unknown_tower_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape("'eva/clip-plus' is not one of Cambrian-1's")):
        build_tower("eva/clip-plus", tmp_path, 36)


def test_towers_normalise_with_their_own_and_pad_with_the_published_colour(cambrian_options: dict[str, Any]) -> None:
    image = Image.fromarray(np.full((20, 60, 3), 255, np.uint8))
    siglip = build_tower("siglip-84", tower_folder(cambrian_options, "siglip"), 36).prepare(image)
    dinov2 = build_tower("facebook/dinov2-x-res84", tower_folder(cambrian_options, "dinov2"), 36).prepare(image)
    assert siglip.shape == dinov2.shape == (3, 84, 84)
    # The border is CLIP's mean colour in SigLIP's units, and (nearly) zero in DINOv2's own.
    np.testing.assert_allclose(siglip[:, 0, 0], np.array([122, 116, 104]) / 127.5 - 1, atol=1e-5)
    np.testing.assert_allclose(dinov2[:, 0, 0], 0, atol=0.02)
    np.testing.assert_allclose(siglip[:, 42, 42], 1, atol=1e-5)
