"""Transforms of finished maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pixcore_attention.config import BorderMaskConfig, DivideConfig, SinkFilterConfig, SmoothConfig
from pixcore_attention.transforms import BorderMask, DivideByReference, SinkFilter, Smooth, SubtractMean
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from pixcore.components import MapTransform, NoConfig
from pixcore.errors import ConfigError
from pixcore.geometry import VisualGrid, VisualLayout

TILES = VisualLayout.joined(
    [
        VisualLayout.single(VisualGrid.stretched(3, 4, (8, 6)), newline=True),
        VisualLayout.separators(2),
        VisualLayout.single(VisualGrid.stretched(5, 5, (8, 6))),
    ]
)
EVERY: list[MapTransform] = [
    SubtractMean(NoConfig()),
    DivideByReference(DivideConfig()),
    SinkFilter(SinkFilterConfig()),
    Smooth(SmoothConfig()),
    BorderMask(BorderMaskConfig()),
]
maps_of = st.integers(0, 5).flatmap(
    lambda tokens: arrays(np.float32, (tokens, TILES.tokens), elements=st.floats(0, 1, width=32))
)


@pytest.mark.parametrize("transform", EVERY, ids=lambda one: type(one).__name__)
@given(maps=maps_of)
def test_the_shape_stays_and_the_input_too(transform: MapTransform, maps: np.ndarray) -> None:
    before = maps.copy()
    found = transform.transform(maps, TILES, np.ones(TILES.tokens, np.float32))
    assert found.shape == maps.shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found is not maps
    np.testing.assert_array_equal(maps, before)


@given(maps=maps_of)
def test_after_subtraction_the_mean_is_nothing(maps: np.ndarray) -> None:
    found = SubtractMean(NoConfig()).transform(maps, TILES, None)
    if len(found):
        np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)


def test_division_by_the_reference(rng: np.random.Generator) -> None:
    maps, reference = rng.random((3, TILES.tokens), np.float32), rng.random(TILES.tokens, np.float32) + 0.1
    found = DivideByReference(DivideConfig(epsilon=1e-9)).transform(maps, TILES, reference)
    np.testing.assert_allclose(found, maps / reference, rtol=1e-5)
    with pytest.raises(ConfigError, match="extractor: relative"):
        DivideByReference(DivideConfig()).transform(maps, TILES, None)


@given(maps=maps_of)
def test_a_sink_filter_keeps_the_mass(maps: np.ndarray) -> None:
    sunk = maps + np.float32(0.01)
    sunk[:, 6] += 3
    found = SinkFilter(SinkFilterConfig(ratio=2, keep=0.25)).transform(sunk, TILES, None)
    np.testing.assert_allclose(found.sum(1), sunk.sum(1), rtol=1e-4)
    if len(sunk):
        np.testing.assert_allclose(found[:, 6], sunk[:, 6] / 4, rtol=1e-5)


def test_a_map_whose_mass_is_all_in_sinks_stays_as_it_is() -> None:
    """There is nothing by whose proportions it could be spread; the other maps of the answer are filtered."""
    maps = np.full((2, TILES.tokens), 0.01, np.float32)
    maps[:, 6] = 3
    maps[1, np.arange(TILES.tokens) != 6] = 0
    found = SinkFilter(SinkFilterConfig(ratio=2)).transform(maps, TILES, None)
    np.testing.assert_array_equal(found[1], maps[1])
    assert found[0, 6] == 0
    np.testing.assert_allclose(found.sum(1), maps.sum(1), rtol=1e-5)


def test_without_sinks_nothing_changes(rng: np.random.Generator) -> None:
    maps = 0.5 + rng.random((4, TILES.tokens), np.float32) / 2
    np.testing.assert_array_equal(SinkFilter(SinkFilterConfig()).transform(maps, TILES, None), maps)


def test_smoothing_stays_in_its_grid(rng: np.random.Generator) -> None:
    maps = rng.random((2, TILES.tokens), np.float32)
    found = Smooth(SmoothConfig(sigma=0.8)).transform(maps, TILES, None)
    for own, smoothed in zip(maps, found, strict=True):
        for cells, result in zip(TILES.cell_values(own), TILES.cell_values(smoothed), strict=True):
            np.testing.assert_allclose(result, gaussian_filter(cells, 0.8, mode="nearest"), atol=1e-6)
    none = TILES.grid_of < 0
    np.testing.assert_array_equal(found[:, none], maps[:, none])


def test_a_smoothing_that_no_memory_holds_is_refused_with_the_config() -> None:
    with pytest.raises(ValidationError):
        SmoothConfig(sigma=1e308)


def test_the_border_holds_no_peak(rng: np.random.Generator) -> None:
    maps = rng.random((2, TILES.tokens), np.float32)
    found = BorderMask(BorderMaskConfig()).transform(maps, TILES, None)
    for own, masked in zip(maps, found, strict=True):
        for cells, result in zip(TILES.cell_values(own), TILES.cell_values(masked), strict=True):
            np.testing.assert_array_equal(result[1:-1, 1:-1], cells[1:-1, 1:-1])
            border = np.ones(cells.shape, bool)
            border[1:-1, 1:-1] = False
            assert set(result[border].tolist()) == {float(cells.min())}
    wide = BorderMask(BorderMaskConfig(width=2)).transform(maps, TILES, None)
    np.testing.assert_array_equal(TILES.cell_values(wide[0])[0], TILES.cell_values(maps[0])[0])
