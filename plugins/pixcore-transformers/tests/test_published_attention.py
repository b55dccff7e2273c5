"""attend-and-segment as released: reductions and the two alignments of rows and tokens, against its own numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_attention.transforms import SubtractMean
from pixcore_transformers.slow_decoder import SlowDecoder
from pixcore_transformers.spans import prefix_tokens
from transformers import PreTrainedTokenizerFast

from pixcore.components import Context, NoConfig
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Fidelity, Token

GOLDENS = Path(__file__).resolve().parents[3] / "../shared/data/goldens/attend-and-segment"
PUBLISHED = Context(fidelity=Fidelity.PUBLISHED)
EXACT = {"atol": 1e-6, "rtol": 0}


def load(name: str) -> Any:
    path = GOLDENS / name
    if not path.exists():
        pytest.skip("goldens of attend-and-segment absent")
    return np.load(path) if path.suffix == ".npz" else json.loads(path.read_text(encoding="utf-8"))


def cases(kind: str) -> list[Any]:
    path = GOLDENS / "attention_cases.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [pytest.param(case, id=case["case"]) for case in rows if case["kind"] == kind]


@pytest.fixture(scope="module")
def inputs() -> Any:
    return load("attention_inputs.npz")


@pytest.fixture(scope="module")
def outputs() -> Any:
    return load("attention_outputs.npz")


def test_the_goldens_have_all_kinds() -> None:
    load("attention_cases.json")
    assert {kind: len(cases(kind)) for kind in ("full", "llava", "cambrian")} == {"full": 5, "llava": 8, "cambrian": 5}


@pytest.mark.parametrize("case", cases("full"))
@pytest.mark.parametrize(
    ("config", "golden"),
    [(MeanConfig(), "pixfoundation"), (MeanConfig(heads=(-2,), prefill_row=-1), "groundlmm")],
    ids=["PixFoundation", "groundLMM"],
)
def test_reductions_of_whole_attention(
    case: dict[str, Any], config: MeanConfig, golden: str, inputs: Any, outputs: Any
) -> None:
    name, image = case["case"], slice(case["image_token_start"], case["image_token_end"])
    rows, cols = case["feature_height"], case["feature_width"]
    extractor = Mean(config, PUBLISHED)
    needs = extractor.needs
    heads = list(range(case["heads"])) if needs.heads is None else list(needs.heads)
    steps = [inputs[f"{name}/prefill"][:, :, needs.prefill_row], *inputs[f"{name}/decode"]]
    layout = VisualLayout.single(VisualGrid.stretched(rows, cols, (cols, rows)), newline=case["newline"])
    extractor.begin(1, case["layers"], len(heads), layout.tokens)
    for step in steps:
        for layer in range(case["layers"]):
            extractor.observe(layer, step[layer][None, heads, image])
        extractor.end_step()
    [maps] = extractor.maps()
    for prefix, found in (("stack", maps), ("subtracted", SubtractMean(NoConfig()).transform(maps, layout, None))):
        if f"{name}/{prefix}_{golden}" in outputs:
            grids = np.stack([layout.cell_values(own)[0] for own in found])
            np.testing.assert_allclose(grids, outputs[f"{name}/{prefix}_{golden}"], **EXACT)


def layout_of(case: dict[str, Any], aspect: str) -> VisualLayout:
    """`pad` takes the grid for the padded square, `original` for the image; Cambrian's rows end in a newline."""
    size = case["image_width"], case["image_height"]
    if case["kind"] == "llava":
        grid = VisualGrid.padded_to_square(24, 24, size) if aspect == "pad" else VisualGrid.stretched(24, 24, size)
        return VisualLayout.single(grid)
    rows, cols = case["feature_height"], case["feature_width"]
    make = VisualGrid.padded_to_square if aspect == "pad" else VisualGrid.stretched
    return VisualLayout.single(make(rows, cols, size), newline=True)


@pytest.mark.parametrize("case", cases("llava") + cases("cambrian"))
@pytest.mark.parametrize("alignment", ["predict", "query"])
def test_group_maps_and_points(case: dict[str, Any], alignment: str, inputs: Any, outputs: Any) -> None:
    name, size = case["case"], (case["image_width"], case["image_height"])
    if case[f"error_{alignment}"] is not None:
        pytest.skip(f"the released code fails here: {case[f'error_{alignment}']}")
    source = inputs[f"{name}/stack"] if case["kind"] == "llava" else inputs[f"{name}/rows"]
    maps = source.astype(np.float32).reshape(len(source), -1)
    groups = [case[f"groups_{alignment}"][index]["tokens"] for index in case[f"kept_{alignment}"]]
    for aspect in case["aspects"]:
        layout = layout_of(case, aspect)
        np.testing.assert_allclose(layout.cell_values(maps.mean(0))[0], outputs[f"{name}/token_mean"], **EXACT)
        subtracted = SubtractMean(NoConfig(), PUBLISHED).transform(maps, layout, None)
        for index, group in enumerate(groups):
            merged = subtracted[group].mean(axis=0)
            golden = f"{name}/{alignment}"
            np.testing.assert_allclose(layout.cell_values(merged)[0], outputs[f"{golden}/group_maps"][index], **EXACT)
            image = layout.to_image(merged, size)
            row, col = np.unravel_index(int(image.argmax()), image.shape)
            assert [col, row] == outputs[f"{golden}/{aspect}/points"][index].tolist()
            np.testing.assert_allclose(image.max(), outputs[f"{golden}/{aspect}/top_value"][index], **EXACT)
            corners = [image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]]
            np.testing.assert_allclose(corners, outputs[f"{golden}/{aspect}/up_corners"][index], **EXACT)


@pytest.fixture(scope="module")
def decoders() -> dict[str, Any]:
    load("texts.json")
    return {
        "bytelevel": PreTrainedTokenizerFast(tokenizer_file=str(GOLDENS / "bytelevel_tokenizer.json")),
        "metaspace": PreTrainedTokenizerFast(tokenizer_file=str(GOLDENS / "metaspace_tokenizer.json")),
        "spm_slow": SlowDecoder(GOLDENS / "spm_tokenizer.model", (0, 1, 2)),
    }


def inside(tokens: tuple[Token, ...], start: int, end: int) -> list[int]:
    return [index for index, token in enumerate(tokens) if token.start < end and token.end > start]


@pytest.mark.parametrize("case", cases("llava") + cases("cambrian"))
def test_the_two_alignments(case: dict[str, Any], decoders: dict[str, Any]) -> None:
    """`sequences` is a start token and T new ones, for T rows.

    `predict` leaves the start token out. `query` counts it in, so that the last token has no row; the adapter leaves
    that token out of the response, where the released Cambrian script drops the groups that it belongs to.
    """
    tokenizer, sequence = decoders[case["variant"]], case["sequences"]
    root = case["groups_field"] == "groups_root"
    for alignment, ids, count in (("predict", sequence[1:], case["steps"]), ("query", sequence, case["steps"])):
        text, tokens = prefix_tokens(tokenizer, ids)
        tokens = tokens[:count]
        position = 0
        for index, group in enumerate(case[f"groups_{alignment}"]):
            word = group["core_word"] if root else group["phrase"]
            phrase = text.index(group["phrase"], position)
            position = phrase + 1
            start = phrase + group["phrase"].rindex(word)
            expected = [token for token in group["tokens"] if token < count]
            assert inside(tokens, start, start + len(word)) == expected
            if alignment == "query" and case["kind"] == "cambrian":
                assert (index in case["kept_query"]) == (expected == group["tokens"])
