"""Models and golden sets of other sizes than the published one's: widths, query groups, samplers, arrays left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_cambrian.geometry import kept_cells
from pixcore_cambrian.sampler import Sampler
from pixcore_cambrian.testing import sampler_shapes
from pixcore_cambrian.weights import sampler_rules
from pixcore_segtoken.loading import load_weights
from pixcore_segtoken.testing import noise
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from pixcore.errors import DataError
from tests.goldens.cambrian import prepare
from tests.goldens.runner import Verdict, compare

Change = Callable[[dict[str, Any], dict[str, Tensor]], None]


def verdicts(folder: Path) -> list[Verdict]:
    golden = prepare(folder)
    return list(compare(golden, golden.expected or {}))


@pytest.fixture
def changed(goldens: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """Makes a golden set of cambrian_tiny's first case, with another model."""

    def make(change: Change) -> Path:
        folder = shutil.copytree(goldens / "cambrian_tiny", tmp_path / "set")
        config = json.loads((folder / "config.json").read_text())
        tensors = load_file(folder / "state.safetensors")
        change(config["config"], tensors)
        config["cases"] = config["cases"][:1]
        (folder / "config.json").write_text(json.dumps(config))
        save_file(tensors, folder / "state.safetensors")
        return folder

    return make


def of_first_case(found: Sequence[Verdict]) -> set[str]:
    return {verdict.status for verdict in found if verdict.name.startswith("square/")}


def test_a_sampler_beyond_the_last_layer_is_kept_and_never_called(changed: Callable[[Change], Path]) -> None:
    def change(config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        # After layers 0, 2 and 4, of layers 0 to 3.
        config["num_of_vision_sampler_layers"] = 3
        last = "model.vision_sampler_layers.1."
        tensors.update(
            {
                f"model.vision_sampler_layers.2.{name.removeprefix(last)}": tensor + 1
                for name, tensor in tensors.items()
                if name.startswith(last)
            }
        )

    assert of_first_case(verdicts(changed(change))) == {"ok"}


def test_a_second_query_group_that_the_projector_does_not_read(changed: Callable[[Change], Path]) -> None:
    """The first group is compared, and what comes after the projector is as without the second."""

    def change(config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        config.update(query_num_list=[36, 9], num_query_group=2)
        width = config["vision_hidden_size"]
        shapes = sampler_shapes("model.vision_sampler_1.", width, width, (2, 2, 2, 8), config["connector_depth"])
        tensors.update(noise(shapes, 3))
        tensors["model.vision_query"] = torch.cat([tensors["model.vision_query"], torch.ones(1, width)])
        read = tensors["model.mm_projector.0.weight"]
        tensors["model.mm_projector.0.weight"] = torch.cat([read, torch.zeros_like(read)], dim=1)

    assert of_first_case(verdicts(changed(change))) == {"ok"}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("cambrian_tiny", ("tall/logits", "strip/sequences", "wide/in_llm_0", "tall/connector_queries_every5")),
        ("cambrian_sva", ("layer_1",)),
        ("cambrian_preprocess", ("image_2/tower_1", "grid_siglip")),
    ],
)
def test_an_array_that_is_not_there_is_missed(goldens: Path, tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    folder = shutil.copytree(goldens / kind, tmp_path / kind)
    with np.load(folder / "outputs.npz") as stored:
        np.savez(folder / "outputs.npz", **{name: stored[name] for name in stored.files if name not in names})
    missed = {verdict.name.rstrip("*") for verdict in verdicts(folder) if verdict.status == "missing"}
    assert missed == {name.removesuffix("_every5") for name in names}


def test_features_without_convnext_stages_are_compared(goldens: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(goldens / "cambrian_preprocess", tmp_path / "set")
    for file in ("inputs.npz", "outputs.npz"):
        with np.load(folder / file) as stored:
            np.savez(folder / file, **{name: stored[name] for name in stored.files if "convnext" not in name})
    found = verdicts(folder)
    assert {verdict.status for verdict in found} == {"ok"}
    assert len(found) == 19


def test_context_and_features_have_widths_of_their_own(tmp_path: Path) -> None:
    """One layer against the architecture written out, head by head."""
    width, query, context, widths, cells = 32, 8, 24, (20, 32), (1, 4)
    shapes = sampler_shapes("sampler.0.", query, width, (1, 2), 1)
    layer = "sampler.0.layers.0."
    shapes[f"{layer}proj_context.weight"] = (width, context)
    for kind in "kv":
        shapes[f"{layer}cross_attn.{kind}_proj_0.0.weight"] = shapes[f"{layer}cross_attn.{kind}_proj_0.0.bias"] = (20,)
        shapes[f"{layer}cross_attn.{kind}_proj_0.1.weight"] = (width, 20)
    w = {name: tensor.double() for name, tensor in noise(shapes, 6).items()}
    save_file(w, tmp_path / "sampler.safetensors")
    sampler = Sampler(query, context, widths, (1, 2), width, depth=1)
    load_weights(sampler, tmp_path / "sampler.safetensors", sampler_rules(r"sampler\.(\d+)\.", ""))
    generator = torch.Generator().manual_seed(7)
    draw = {"generator": generator, "dtype": torch.float64}
    queries, given = torch.randn(5, 1, query, **draw), torch.randn(5, 1, context, **draw)  # type: ignore[call-overload]
    features = [torch.randn(5, count, size, **draw) for count, size in zip(cells, widths, strict=True)]  # type: ignore[call-overload]
    mask = torch.tensor([True, True, False, True, True]).expand(5, -1)

    def project(states: Tensor, name: str) -> Tensor:
        start = f"{layer}cross_attn.{name}."
        normed = layer_norm(states, states.shape[-1:], w[f"{start}0.weight"], w[f"{start}0.bias"])
        return linear(normed, w[f"{start}1.weight"])

    inner = torch.cat([queries, linear(given, w[f"{layer}proj_context.weight"])], dim=-1)
    inner = linear(inner, w[f"{layer}proj_in.weight"])
    placed = [features[0], features[1] + w[f"{layer}pos_embed_1"]]
    keys, values = (
        torch.cat([project(tower, f"{kind}_proj_{i}") for i, tower in enumerate(placed)], 1) for kind in "kv"
    )
    asked = project(inner, "q_proj")
    heads = []
    for head in torch.arange(width).chunk(16):
        scores = asked[..., head] @ keys[..., head].transpose(1, 2) / len(head) ** 0.5
        heads.append(scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1) @ values[..., head])
    inner = inner + linear(torch.cat(heads, -1), w[f"{layer}cross_attn.o_proj.weight"])
    inner = layer_norm(inner, (width,), w[f"{layer}norm.weight"], w[f"{layer}norm.bias"])
    made = linear(gelu(linear(inner, w[f"{layer}proj_out.linear_1.weight"])), w[f"{layer}proj_out.linear_2.weight"])
    with torch.no_grad():
        ours = sampler(queries, given, features, mask)
    torch.testing.assert_close(ours, queries + made, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(1200, 40), (40, 1200)])
def test_an_image_of_which_no_cell_is_left_is_named(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=f"{size[0]}x{size[1]} pixels is too long"):
        kept_cells(24, *size)
