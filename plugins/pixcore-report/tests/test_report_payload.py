"""What the report's page carries of a sample."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage
from pixcore_datasets.polygons import from_polygons
from pixcore_report.page import packed, packed_json, page_json
from pixcore_report.payload import Display, answer_state, quantise, sample_index, sample_payload, text_pieces
from pixcore_report.report import LEVELS, coarse

from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import (
    Candidate,
    Image,
    Protocol,
    ProtocolResult,
    Response,
    Sample,
    SampleResult,
    Score,
    Token,
    TokenGroup,
    Verdict,
)

Make = Callable[..., SampleResult]
CONTROL = "random points, oracle pick"


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(-3, 40), st.integers(-3, 40)), max_size=8))
def test_pieces_are_the_whole_text_whatever_the_spans(text: str, spans: list[tuple[int, int]]) -> None:
    tokens = [Token(0, "", start, end) for start, end in spans]
    groups = [TokenGroup((i,), "", 0, 0) for i in range(len(spans))]
    pieces = text_pieces(text, tokens, groups)
    assert "".join(piece for piece, _ in pieces) == text
    assert all(0 <= index < len(groups) for _, owners in pieces for index in owners)


def test_a_token_belongs_to_all_its_groups() -> None:
    tokens = [Token(1, "a", 0, 1), Token(2, " red", 1, 5), Token(3, " door", 5, 10), Token(4, "", 10, 10)]
    groups = [TokenGroup((0, 1, 2), "a red door", 0, 10), TokenGroup((2,), "door", 6, 10), None]
    assert text_pieces("a red door!", tokens, groups) == [("a", [0]), (" red", [0]), (" door", [0, 1]), ("!", [])]


def test_without_tokens_spans_decide() -> None:
    groups = [TokenGroup((), "red", 2, 5), None]
    assert text_pieces("a red!", [], groups) == [("a ", []), ("red", [0]), ("!", [])]


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40))
def test_relevance_keeps_its_order_in_a_byte(values: list[float]) -> None:
    array = np.asarray(values, np.float32)
    kept = np.frombuffer(base64.b64decode(quantise(array)), np.uint8)
    assert kept.shape == array.shape
    assert np.all(np.diff(kept[np.argsort(array, kind="stable")].astype(int)) >= 0)
    if array.min() < array.max():
        assert (kept.min(), kept.max()) == (0, 255)


def test_damaged_relevance_is_still_drawn() -> None:
    assert base64.b64decode(quantise(np.array([np.nan, 1.0, np.inf], np.float32))) == bytes([0, 255, 0])


@given(st.recursive(st.none() | st.text() | st.floats() | st.booleans(), lambda inner: st.lists(inner, max_size=3)))
def test_json_in_a_script_holds_nothing_that_ends_it(data: object) -> None:
    text = packed_json(data)
    assert not set(text) - set(LEVELS + "=")
    json.loads(zlib.decompress(base64.b64decode(text, validate=True)))


@given(st.lists(st.text("abc<", max_size=400), max_size=30))
def test_what_is_packed_in_pieces_is_one_block(pieces: list[str]) -> None:
    assert zlib.decompress(base64.b64decode("".join(packed(pieces)), validate=True)).decode() == "".join(pieces)


def test_packed_json_brings_back_what_went_in() -> None:
    data = {"a": "</script>", "b": [0.1, None]}
    assert json.loads(zlib.decompress(base64.b64decode(packed_json(data)))) == data


def test_a_map_in_the_page_is_within_half_a_level() -> None:
    values = np.arange(256, dtype=np.float32)
    levels = np.array([LEVELS.index(one) for one in coarse(quantise(values))])
    assert (levels[0], levels[-1]) == (0, 63)
    np.testing.assert_allclose(levels * 255 / 63, values, atol=255 / 126 + 0.01)


def test_json_brings_back_what_went_in() -> None:
    data = {"a": "</script><!-- \u2028 é 😀 \ud800", "b": [0.1, None, float("nan")]}
    assert json.loads(page_json(data)) == data | {"b": [0.1, None, None]}


def test_a_sample_carries_its_masks_once_and_its_true_ious(make_result: Make) -> None:
    result = make_result(1)
    payload = sample_payload(result, controls={CONTROL: "random points"})
    assert json.loads(page_json(payload)) == json.loads(json.dumps(payload))
    assert len(set(payload["masks"])) == len(payload["masks"])
    for protocol, one in result.by_probing.items():
        shown = payload["protocols"][str(protocol)]
        assert len(shown["candidates"]) == len(one.candidates)
        for entry, candidate in zip(shown["candidates"], one.candidates, strict=True):
            assert [payload["masks"][i] for i in entry["masks"]] == [rle["counts"] for rle in candidate.masks]
            expected = masks.iou(candidate.masks, [result.sample.mask or masks.empty((1, 1))])[:, 0]
            np.testing.assert_allclose(entry["ious"], expected, atol=5e-5)
        picks = shown["picks"]
        assert payload["masks"][picks["mask-score"]["mask"]] == one.candidates[0].masks[1]["counts"]
        assert payload["masks"][picks[CONTROL]["mask"]] == one.controls["random points"][0].masks[2]["counts"]
        assert picks[CONTROL]["candidate"] is None
        assert (picks["phrase-overlap"]["outcome"], picks["phrase-overlap"]["mask"]) == ("absent", None)


def test_a_candidates_map_is_shown_on_its_own_grid(make_result: Make) -> None:
    result = make_result(2)
    shown = sample_payload(result)["protocols"]["segment"]
    candidate = result.by_probing[Protocol.SEGMENT].candidates[1]
    assert candidate.map is not None
    assert shown["grid"] == [4, 6, 0.0, 0.0, 48.0, 32.0]
    assert shown["candidates"][1]["map"] == quantise(candidate.map)


def test_tiles_are_shown_on_one_grid_over_the_image(make_result: Make) -> None:
    result = make_result(2)
    one = result.by_probing[Protocol.SEGMENT]
    response = one.response
    assert response is not None
    size = result.sample.image.size
    whole = VisualGrid.stretched(4, 4, size)
    left, right = VisualGrid(4, 3, (0, 0, 24, 32)), VisualGrid(4, 3, (24, 0, 48, 32))
    layout = VisualLayout.joined([VisualLayout.single(grid) for grid in (whole, left, right)])
    maps = np.random.default_rng(0).random((len(response.tokens), layout.tokens)).astype(np.float32)
    candidates = tuple(replace(candidate, map=maps[index]) for index, candidate in enumerate(one.candidates))
    tiled = replace(one, response=Response(response.text, response.tokens, maps, layout), candidates=candidates)
    payload = sample_payload(SampleResult(result.sample, {Protocol.SEGMENT: tiled}), display=Display(map=48))
    shown = payload["protocols"]["segment"]
    assert shown["grid"] == [32, 48, 0.0, 0.0, 48.0, 32.0]
    kept = np.frombuffer(base64.b64decode(shown["candidates"][0]["map"]), np.uint8).reshape(32, 48)
    expected = layout.to_image(maps[0], size)
    span = expected.max() - expected.min()
    np.testing.assert_allclose(kept / 255, (expected - expected.min()) / span, atol=0.003)


def test_large_images_and_masks_are_scaled_down(make_result: Make) -> None:
    pixels = np.zeros((900, 1200, 3), np.uint8)
    big = np.zeros((900, 1200), bool)
    big[300:600, 400:800] = True
    sample = Sample("big", Image.from_pixels(pixels), mask=masks.encode(big))
    response = Response("x", mask=masks.encode(big))
    score = {"own masks": Score("big", Protocol.SEGMENT, iou=1.0)}
    one = ProtocolResult(Protocol.SEGMENT, "segment x", response, scores=score)
    payload = sample_payload(SampleResult(sample, {Protocol.SEGMENT: one}), display=Display(image=300, mask=120))
    assert (payload["width"], payload["height"], payload["mask_size"]) == (1200, 900, (120, 90))
    shown = PILImage.open(io.BytesIO(base64.b64decode(payload["image"].split(",")[1])))
    assert shown.size == (300, 225)
    kept = masks.decode(masks.RLE(size=[90, 120], counts=payload["masks"][payload["truth"]]))
    assert kept[30:60, 40:80].all()
    assert kept.sum() == 30 * 40
    pick = payload["protocols"]["segment"]["picks"]["own masks"]
    assert (pick["mask"], pick["iou"]) == (payload["truth"], 1.0)


def test_an_object_that_is_small_in_a_large_image_has_its_outline() -> None:
    truth = np.zeros((2000, 3000), bool)
    truth[1001:1005, 1501:1505] = True
    sample = Sample("far", Image.from_pixels(np.zeros((2000, 3000, 3), np.uint8)), mask=masks.encode(truth))
    payload = sample_payload(SampleResult(sample, {}))
    width, height = payload["mask_size"]
    kept = masks.decode(masks.RLE(size=[height, width], counts=payload["masks"][payload["truth"]]))
    assert np.argwhere(kept).tolist() == [[1003 * height // 2000, 1502 * width // 3000]]


def test_a_pixel_level_models_masks_belong_to_their_text() -> None:
    size = (8, 8)
    drawn = from_polygons([[1, 1, 6, 1, 6, 6, 1, 6]], size)
    response = Response("Sure, the dog.", mask=drawn, masks=(drawn,), mask_spans=((6, 13),))
    one = ProtocolResult(Protocol.QUESTION, "?", response, scores={"own masks": Score("s", Protocol.QUESTION, iou=0.5)})
    sample = Sample("s", Image.from_pixels(np.zeros((8, 8, 3), np.uint8)), mask=drawn)
    shown = sample_payload(SampleResult(sample, {Protocol.QUESTION: one}))["protocols"]["question"]
    assert shown["pieces"] == [("Sure, ", []), ("the dog", [0]), (".", [])]
    assert shown["candidates"][0]["phrase"] == "the dog"
    assert shown["grid"] is None


def test_an_unreadable_image_costs_the_picture_alone() -> None:
    sample = Sample("s", Image(lambda: b"\x89PNG broken", "broken.png"), question="what?")
    payload = sample_payload(SampleResult(sample, {}))
    assert payload["image"] is None
    assert "broken.png" in payload["image_error"]
    assert payload["question"] == "what?"


@pytest.mark.parametrize(("correct", "state"), [(True, "right"), (False, "wrong"), (None, "undecided")])
def test_a_judge_that_cannot_tell_is_no_right_answer(correct: bool | None, state: str) -> None:
    assert answer_state(ProtocolResult(Protocol.QUESTION, "?", verdict=Verdict(correct))) == state


def test_the_index_finds_answers_errors_and_figures(make_result: Make) -> None:
    entry = sample_index(make_result(7, error="the server is gone"), ["oracle", "unknown"])
    assert "house 7 is open" in entry["text"]
    assert "the server is gone" in entry["text"]
    assert entry["protocols"]["question"]["failed"]
    assert entry["protocols"]["segment"] == {"answer": None, "failed": False, "iou": [0.7, None]}


def test_masks_on_an_unreadable_image_keep_their_shape(tmp_path: Path) -> None:
    """Where there is no ground truth either, the candidates say how large the image is."""
    mask = np.zeros((30, 60), np.bool_)
    mask[5:10, 40:50] = True
    sample = Sample(id="gone", image=Image.from_path(tmp_path / "gone.png"), expression="the roof")
    candidate = Candidate(TokenGroup((), "roof", 0, 4), None, (masks.encode(mask),), (0.5,))
    outcome = ProtocolResult(Protocol.SEGMENT, "asked", Response("roof", ()), (candidate,))
    data = sample_payload(SampleResult(sample, {Protocol.SEGMENT: outcome}))
    assert (data["width"], data["height"]) == (60, 30)
    assert data["masks"] == [masks.encode(mask)["counts"]]
