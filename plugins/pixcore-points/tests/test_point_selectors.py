from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pixcore_points.config import (
    BoxOfRegionConfig,
    CentreConfig,
    PeakConfig,
    PeakRegionConfig,
    PeaksConfig,
    PositiveNegativeConfig,
    RandomPointsConfig,
)
from pixcore_points.nulls import Centre, OtherImages
from pixcore_points.peaks import Peak, Peaks, PositiveNegative
from pixcore_points.random_points import RandomPoints
from pixcore_points.regions import BoxOfRegion, WeightedCentre, peak_region
from pydantic import ValidationError

from pixcore.components import Context, NoConfig
from pixcore.errors import SampleError
from pixcore.records import PointPrompt

maps = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24),
    elements=st.floats(-4, 4, width=16),
)
SELECTORS = [
    Peak(PeakConfig()),
    Peaks(PeaksConfig(k=4)),
    PositiveNegative(PositiveNegativeConfig()),
    RandomPoints(RandomPointsConfig(k=3)),
    WeightedCentre(PeakRegionConfig()),
    BoxOfRegion(BoxOfRegionConfig(with_peak=True)),
]


def hills(*tops: tuple[int, int, float], size: tuple[int, int] = (60, 40), spread: float = 3.0) -> np.ndarray:
    """A map with Gaussian hills at (x, y) of given heights."""
    width, height = size
    ys, xs = np.mgrid[:height, :width]
    total = sum(h * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * spread**2)) for x, y, h in tops)
    return np.asarray(total, np.float32)


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: type(s).__name__)
@settings(max_examples=60, deadline=None)
@given(relevance=maps)
def test_every_selector_stays_inside_any_map(selector, relevance):
    before = relevance.copy()
    prompt = selector.select(relevance)
    height, width = relevance.shape
    assert np.array_equal(relevance, before)
    assert len(prompt.points) or prompt.box is not None
    assert ((prompt.points >= 0) & (prompt.points <= [width - 1, height - 1])).all()
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height


@given(relevance=maps)
@settings(max_examples=60, deadline=None)
def test_peak_is_the_first_highest_pixel_in_reading_order(relevance):
    (x, y) = Peak(PeakConfig()).select(relevance).points[0].astype(int)
    flat = relevance.reshape(-1)
    assert y * relevance.shape[1] + x == min(np.flatnonzero(flat == flat.max()))


def test_a_later_rank_is_the_next_highest_pixel():
    relevance = np.array([[3, 9, 1], [9, 4, 0]], np.float32)
    ranks = [Peak(PeakConfig(rank=rank)).select(relevance).points[0].tolist() for rank in (1, 2, 3, 6, 99)]
    assert ranks == [[1, 0], [0, 1], [1, 1], [2, 1], [2, 1]]


def test_peaks_are_local_maxima_and_not_slopes():
    # a wide hill whose slope is higher than the second hill's top
    relevance = hills((15, 20, 10.0), spread=6) + hills((48, 20, 1.0), spread=2)
    assert Peaks(PeaksConfig(k=3, min_distance=0.1)).select(relevance).points.tolist() == [[15, 20], [48, 20]]


def test_peaks_come_highest_first_and_k_limits_them():
    relevance = hills((10, 10, 1.0), (30, 30, 3.0), (50, 10, 2.0))
    selected = Peaks(PeaksConfig(k=2)).select(relevance)
    assert selected.points.tolist() == [[30, 30], [50, 10]]
    assert selected.labels.tolist() == [1, 1]


@given(relevance=maps, share=st.floats(0, 0.9), k=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_peaks_keep_their_distance_and_hold_the_peak(relevance, share, k):
    points = Peaks(PeaksConfig(k=k, min_distance=share)).select(relevance).points
    assert 1 <= len(points) <= k
    assert points[0].tolist() == Peak(PeakConfig()).select(relevance).points[0].tolist()
    gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    others = gaps[~np.eye(len(points), dtype=bool)]
    assert (others >= max(share * max(relevance.shape), 1) - 1e-4).all()


def test_a_flat_map_has_one_peak():
    assert Peaks(PeaksConfig(k=3)).select(np.ones((8, 9), np.float32)).points.tolist() == [[0, 0]]


def test_random_depends_on_the_seed_and_the_sample_alone():
    relevance = np.zeros((30, 50), np.float32)

    def draw(seed: int, *entropy: int) -> list[list[float]]:
        selector = RandomPoints(RandomPointsConfig(k=5), Context(seed=seed))
        selector.select(relevance)  # what was drawn before must not matter
        selector.reseed(*entropy)
        return selector.select(relevance).points.tolist()

    assert draw(0, 7) == draw(0, 7)
    assert draw(0, 7) != draw(0, 8)
    assert draw(0, 7) != draw(1, 7)


def test_random_points_that_fill_the_memory_are_refused_with_the_config():
    with pytest.raises(ValidationError, match="less than or equal to 10000"):
        RandomPointsConfig(k=10**30)
    assert RandomPointsConfig(k=10_000).k == 10_000


def test_random_is_uniform_over_the_pixels():
    selector = RandomPoints(RandomPointsConfig(k=6000))
    points = selector.select(np.zeros((2, 3), np.float32)).points
    counts = np.bincount((points[:, 1] * 3 + points[:, 0]).astype(int), minlength=6)
    assert (abs(counts - 1000) < 150).all()  # five standard deviations


@pytest.mark.parametrize("selector", [RandomPoints(RandomPointsConfig()), Centre(CentreConfig())])
def test_a_control_has_a_point_in_place_of_words_alone(selector):
    words = PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), text="the red cat")
    also = PointPrompt(np.array([[1, 2]], np.float32), np.ones(1, np.int8), also=(words,))
    alone, beside = selector.control((20, 10), [words, also], [])
    for one in (alone, *beside.also):
        assert (one.text, one.box, one.labels.tolist()) == (None, None, [1])
        assert ((one.points >= 0) & (one.points < (20, 10))).all()


@pytest.mark.parametrize("others", [[], [((20, 10), [])]])
def test_a_run_whose_other_images_lend_nothing_is_told_what_to_do(others):
    with pytest.raises(SampleError, match="no other image of the run has prompts") as error:
        OtherImages(NoConfig()).control((20, 10), [PointPrompt.at((1, 2))], others)
    assert "points: random" in str(error.value.hint)


def test_negative_points_lie_where_the_map_is_low_and_apart():
    relevance = hills((30, 20, 4.0), (5, 5, -2.0), (55, 35, -1.0))
    prompt = PositiveNegative(PositiveNegativeConfig(negatives=2)).select(relevance)
    assert prompt.points.tolist() == [[30, 20], [5, 5], [55, 35]]
    assert prompt.labels.tolist() == [1, 0, 0]


def test_a_map_without_a_distant_minimum_gives_the_peak_alone():
    assert len(PositiveNegative(PositiveNegativeConfig()).select(np.ones((3, 3), np.float32)).points) == 1


def test_the_region_holds_the_peak_and_no_other_hill():
    relevance = hills((15, 20, 2.0), (45, 20, 1.9))
    region = peak_region(relevance, 0.5)
    assert region[20, 15]
    assert not region[20, 45]
    assert (relevance[region] >= 0.5 * relevance.max() - 1e-6).all()


def test_weighted_centre_of_a_symmetric_hill_is_its_top():
    assert WeightedCentre(PeakRegionConfig()).select(hills((22, 17, 1.0))).points[0] == pytest.approx(
        [22, 17], abs=0.01
    )


def test_weighted_centre_moves_back_into_a_ring():
    ys, xs = np.mgrid[:41, :41]
    radius = np.hypot(xs - 20, ys - 20)
    ring = np.where(abs(radius - 12) < 2, 1.0, 0.0).astype(np.float32)
    x, y = WeightedCentre(PeakRegionConfig()).select(ring).points[0].astype(int)
    assert ring[y, x] == 1


def test_the_box_is_the_regions_extent_in_edges():
    relevance = np.zeros((20, 30), np.float32)
    relevance[4:9, 11:17] = 1
    prompt = BoxOfRegion(BoxOfRegionConfig()).select(relevance)
    assert prompt.box == (11, 4, 17, 9)
    assert len(prompt.points) == 0


def test_the_box_can_come_with_the_peak():
    prompt = BoxOfRegion(BoxOfRegionConfig(with_peak=True)).select(hills((22, 17, 1.0)))
    assert prompt.points.tolist() == [[22, 17]]


def test_a_minimum_near_the_peak_hides_none_further_away():
    relevance = np.ones((100, 100), np.float32)
    relevance[50, 50], relevance[50, 58], relevance[50, 72] = 5, -3, -2  # 8 and 22 from the peak, 14 apart
    prompt = PositiveNegative(PositiveNegativeConfig(negatives=1)).select(relevance)
    assert prompt.points.tolist() == [[50, 50], [72, 50]]
