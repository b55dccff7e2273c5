"""The extractors of research, against their formulas written out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_attention.config import (
    GradientConfig,
    LocalizationHeadsConfig,
    LogitLensConfig,
    MeanConfig,
    RawConfig,
    RelativeConfig,
)
from pixcore_attention.gradient import Gradient
from pixcore_attention.localization_heads import LocalizationHeads, elbow_of, spatial_entropy
from pixcore_attention.logit_lens import LogitLens
from pixcore_attention.raw import Raw, file_name
from pixcore_attention.relative import Relative
from pydantic import ValidationError
from scipy.special import softmax

from pixcore.components import Config, Context
from pixcore.errors import StoreError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Fidelity, Image, Protocol, Request


def requests(count: int) -> list[Request]:
    image = Image.from_pixels(np.zeros((4, 4, 3), np.uint8))
    return [Request(f"a/{index}", Protocol.SEGMENT, image, "?") for index in range(count)]


def square(side: int) -> VisualLayout:
    return VisualLayout.single(VisualGrid.stretched(side, side, (side, side)))


def feed(extractor: Any, rows: np.ndarray) -> list[np.ndarray]:
    """rows: (steps, layers, batch, heads, cells)."""
    extractor.begin(rows.shape[2], rows.shape[1], rows.shape[3], rows.shape[4])
    for step in rows:
        for layer, seen in enumerate(step):
            extractor.observe(layer, seen)
        extractor.end_step()
    return list(extractor.maps())


def test_raw_keeps_everything(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((3, 2, 2, 4, 9), np.float32)
    extractor = Raw(RawConfig(folder=tmp_path))
    extractor.prepare(requests(2), [square(3), VisualLayout.single(VisualGrid.stretched(2, 3, (3, 2)))])
    maps = feed(extractor, rows)
    np.testing.assert_allclose(maps[0], rows[:, :, 0].mean((1, 2)), atol=1e-3)
    np.testing.assert_allclose(extractor.rows[0], rows[:, :, 0], atol=1e-3)
    assert extractor.rows[1].shape == (3, 2, 4, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a%2F0-segment.npy", "a%2F1-segment.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "a%2F1-segment.npy", allow_pickle=False), extractor.rows[1])


def test_raw_names_a_file_for_an_id_of_any_length(tmp_path: Path) -> None:
    image = Image.from_pixels(np.zeros((4, 4, 3), np.uint8))
    ids = ["photos/" + "猫" * 80 + end for end in ("1.jpg", "2.jpg")]
    extractor = Raw(RawConfig(folder=tmp_path))
    extractor.prepare([Request(one, Protocol.SEGMENT, image, "?") for one in ids], [square(2)] * 2)
    feed(extractor, np.ones((1, 1, 2, 1, 4), np.float32))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file_name(one, "segment") for one in ids)
    assert len({file_name(one, "segment") for one in ids}) == 2
    assert all(len(path.name) <= 255 and path.name.endswith("-segment.npy") for path in tmp_path.iterdir())


def test_raw_says_before_the_run_that_its_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.*choose another folder:"):
        RawConfig(folder=tmp_path / "file").check_ready()


def test_raw_keeps_one_map_a_layer(rng: np.random.Generator) -> None:
    rows = rng.random((3, 2, 2, 4, 9), np.float32)
    extractor = Raw(RawConfig(reduce="heads"))
    maps = feed(extractor, rows)
    assert extractor.rows[1].shape == (3, 2, 1, 9)
    np.testing.assert_allclose(extractor.rows[1][:, :, 0], rows[:, :, 1].mean(2), atol=1e-3)
    np.testing.assert_allclose(maps[1], rows[:, :, 1].mean((1, 2)), atol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor.begin(4, 32, 32, 576)


def test_raw_warns_before_it_starts() -> None:
    extractor = Raw(RawConfig())
    with pytest.warns(UserWarning, match=r"1\.1 GiB for 256 tokens of a batch of 4"):
        extractor.begin(4, 32, 32, 576)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor.begin(4, 32, 32, 577)  # once, whatever the next batches' sizes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Raw(RawConfig()).begin(1, 32, 32, 576)


def test_relative_asks_for_a_reference() -> None:
    needs = Relative(RelativeConfig(layers=(22,)), Context(fidelity=Fidelity.PUBLISHED)).needs
    assert needs.layers == (22,)
    assert needs.reference_prompt == "Write a general description of the image."
    assert needs.prefill_row == -1  # the quirk is PixFoundation's, not this method's


def test_gradient_weights_rows(rng: np.random.Generator) -> None:
    rows = rng.random((2, 3, 1, 4, 6), np.float32)
    gradients = rng.normal(size=rows.shape).astype(np.float32)
    extractor = Gradient(GradientConfig())
    extractor.begin(1, 3, 4, 6)
    for step in range(2):
        for layer in range(3):
            extractor.observe(layer, rows[step, layer])
        for layer in range(3):
            extractor.observe_gradients(layer, gradients[step, layer])
        extractor.end_step()
    [maps] = extractor.maps()
    np.testing.assert_allclose(maps, (rows * gradients.clip(0))[:, :, 0].mean((1, 2)), atol=1e-6)


def test_logit_lens_is_the_best_layers_probability(rng: np.random.Generator) -> None:
    states = rng.normal(size=(3, 2, 7, 5)).astype(np.float32)  # layers, batch, cells, width
    head = rng.normal(size=(5, 11)).astype(np.float32)
    tokens = [[4, 1, 4], [10]]
    extractor = LogitLens(LogitLensConfig(cells_at_once=3))
    extractor.begin(2, 0, 4, 7)
    extractor.observe_tokens(tokens, lambda own: own @ head)
    for layer in range(3):
        extractor.observe_hidden(layer, states[layer])
    read = softmax(states @ head, axis=-1).max(axis=0)
    for sample, own in enumerate(extractor.maps()):
        np.testing.assert_allclose(own, read[sample][:, tokens[sample]].T, atol=1e-6)


def blob(side: int, *cells: tuple[int, int]) -> np.ndarray:
    grid = np.zeros((side, side), np.float32)
    for row, col in cells:
        grid[row, col] = 1 / len(cells)
    return grid


def test_spatial_entropy_of_known_maps() -> None:
    assert spatial_entropy([blob(4, (1, 1), (2, 2))], 0.001) == pytest.approx(0)  # corners touch: one blob
    assert spatial_entropy([blob(4, (0, 0), (3, 3))], 0.001) == pytest.approx(np.log(2))
    assert spatial_entropy([blob(6, (0, 0), (0, 2), (5, 5), (3, 0))], 0.001) == pytest.approx(np.log(4))
    assert spatial_entropy([np.full((3, 3), 0.5, np.float32)], 0.001) == np.inf
    faint = blob(4, (1, 1)) / 2000  # a blob whose every cell is below the threshold is none
    assert spatial_entropy([faint], 0.001) == np.inf
    two = [blob(4, (1, 1)), blob(4, (2, 2))]  # tiles of one image
    assert spatial_entropy(two, 0.001) == pytest.approx(np.log(2))


def test_the_elbow_is_farthest_from_the_chord() -> None:
    values = np.array([0.9, 0.01, 0.0, 0.02, 1.0, 0.03])
    assert elbow_of(values) == 5  # sorted: 0 .01 .02 .03 | .9 1
    assert elbow_of(np.ones(4)) == 0


def heads_case() -> np.ndarray:
    """One layer of five heads: their sums, and their blobs."""
    one, two, four = blob(6, (2, 2)), blob(6, (0, 0), (5, 5)), blob(6, (0, 0), (0, 2), (5, 5), (3, 0))
    heads = [0.9 * two, 0.01 * one, 0.03 * four, 0.02 * one, 0.7 * one]
    return np.stack(heads).reshape(1, 1, 1, 5, 36).astype(np.float32)


def test_localization_heads_are_strong_and_compact() -> None:
    extractor = LocalizationHeads(LocalizationHeadsConfig(count=2, sigma=0))
    extractor.prepare(requests(1), [square(6)])
    [maps] = feed(extractor, heads_case())
    assert list(extractor.votes) == [(0, 4), (0, 0)]
    np.testing.assert_allclose(maps[0], heads_case()[0, 0, 0, [4, 0]].sum(0), atol=1e-6)


def test_the_published_finder_compares_numbers_of_heads() -> None:
    """The elbow's head is number 2, so that 0 and 1 fall out and 2 stays, whatever they look at."""
    case = heads_case()
    assert elbow_of(case[0, 0, 0].sum(-1)) == 2
    extractor = LocalizationHeads(LocalizationHeadsConfig(count=3), Context(fidelity=Fidelity.PUBLISHED))
    extractor.prepare(requests(1), [square(6)])
    feed(extractor, case)
    assert set(extractor.votes) == {(0, 2), (0, 3), (0, 4)}


@pytest.mark.parametrize(("fidelity", "chosen"), [(Fidelity.CORRECTED, (0, 1)), (Fidelity.PUBLISHED, (0, 0))])
def test_a_head_that_looks_everywhere_alike_is_no_compact_one(fidelity: Fidelity, chosen: tuple[int, int]) -> None:
    """Of 36 cells half have 0.0001 more than the others; of the second head two blobs have all."""
    even = np.full(36, 1 / 36, np.float32) + np.arange(36, dtype=np.float32) % 2 * 1e-4
    rows = np.stack([even, blob(6, (0, 0), (5, 5)).reshape(-1)]).reshape(1, 1, 1, 2, 36)
    extractor = LocalizationHeads(LocalizationHeadsConfig(count=1), Context(fidelity=fidelity))
    extractor.prepare(requests(1), [square(6)])
    rows[..., 1, :] *= even.sum() / rows[..., 1, :].sum()  # the elbow lets both pass
    feed(extractor, rows)
    assert list(extractor.votes) == [chosen]


def test_heads_are_chosen_by_the_first_row_and_smoothed(rng: np.random.Generator) -> None:
    later = rng.random((2, 1, 1, 5, 36), np.float32)
    rows = np.concatenate([heads_case(), later])
    plain = LocalizationHeads(LocalizationHeadsConfig(count=1, sigma=0))
    smooth = LocalizationHeads(LocalizationHeadsConfig(chosen=((0, 4),), sigma=1))
    for extractor in (plain, smooth):
        extractor.prepare(requests(1), [square(6)])
    [maps] = feed(plain, rows)
    np.testing.assert_allclose(maps[1:], later[:, 0, 0, 4])
    [smoothed] = feed(smooth, rows[:, :, :, [4]])
    assert smoothed[0].reshape(6, 6).argmax() == 14
    assert smoothed[0].max() < maps[0].max()
    assert (smooth.needs.layers, smooth.needs.heads) == ((0,), (4,))


def test_chosen_heads_are_counted_from_either_end() -> None:
    assert LocalizationHeadsConfig(chosen=((-1, 3), (-2, -1))).chosen == ((-1, 3), (-2, -1))
    with pytest.raises(ValidationError, match=r"count all layers from the start .* or all from the end"):
        LocalizationHeadsConfig(chosen=((0, 3), (-1, 3)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (MeanConfig, {"heads": [0, 0, 1]}),
        (MeanConfig, {"layers": [-1, -1]}),
        (RawConfig, {"heads": [2, 2]}),
        (RelativeConfig, {"layers": [14, 14]}),
        (GradientConfig, {"layers": [1, 2, 1]}),
        (LogitLensConfig, {"layers": [3, 3]}),
        (LocalizationHeadsConfig, {"chosen": [[0, 0], [0, 0], [1, 1]]}),
    ],
)
def test_what_is_named_twice_is_refused_as_it_would_count_twice(kind: type[Config], options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="twice: name each once"):
        kind.model_validate(options)


def test_grids_must_be_known() -> None:
    with pytest.raises(ValueError, match="layouts"):
        LocalizationHeads(LocalizationHeadsConfig()).begin(1, 1, 1, 7)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (MeanConfig, {"heads": [-1, 3]}),
        (RawConfig, {"heads": [0, -1]}),
        (LocalizationHeadsConfig, {"chosen": [[0, -1], [1, 3], [0, 3]]}),
    ],
)
def test_heads_that_may_be_one_are_refused(kind: type[Config], options: dict[str, Any]) -> None:
    """How many there are the model alone knows, and one that is named from both ends would count twice."""
    with pytest.raises(ValidationError, match="all from the end"):
        kind.model_validate(options)
