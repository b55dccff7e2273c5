"""Intervals hold the truth as often as they say: small simulations; `python -m tests.coverage` draws an hour's."""

from __future__ import annotations

import pytest

from tests.coverage import (
    PlotWorld,
    World,
    coverage,
    cumulative,
    detection,
    harmonic,
    ious,
    mostly_alike,
    pairs,
    samples,
    together,
    trusted,
)

DRAWS = 400


@pytest.mark.parametrize(
    ("world", "clusters"),
    [
        (pairs(0.82), 50),
        (samples(0.82, 0.6), 50),
        (samples(0.5, 0.8, each=3), 100),
        (ious(), 20),
        (ious(each=3, alike=0.9), 100),
    ],
    ids=lambda value: value.name if isinstance(value, World) else str(value),
)
def test_an_interval_holds_the_truth(world: World, clusters: int) -> None:
    found = coverage(world, clusters, DRAWS)
    assert found.held > 0.95 - 2.6 * 0.0109  # 400 draws of a share of .95
    assert found.none == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("world", [detection(1 / 3, 0.0), trusted(), together(4)], ids=lambda world: world.name)
def test_what_sums_up_a_plot_holds_the_truth(world: PlotWorld) -> None:
    found = coverage(world, 50, DRAWS // 2)
    assert found.held > 0.95 - 2.6 * 0.0154  # 200 draws
    assert found.none < 0.02


def test_a_mean_that_a_few_masks_decide_is_held_by_many_clusters_alone() -> None:
    assert coverage(mostly_alike(0.95), 10, DRAWS).held < 0.8
    assert coverage(mostly_alike(0.95), 150, DRAWS).held > 0.95 - 2.6 * 0.0109


def test_a_ratio_that_a_few_objects_decide_is_nearly_held() -> None:
    """A percentile bootstrap misses on one side: 7 of 100 truths lay above."""
    found = coverage(cumulative(), 50, DRAWS)
    assert found.held > 0.89
    assert found.above < 0.07


def test_s_is_held_where_probings_differ_and_not_where_they_are_alike() -> None:
    """The second is what tables say where S stands: the better of two equals is too good."""
    apart = coverage(harmonic("apart", (0.5, 0.8), (0.2, 0.4)), 50, 80)
    assert apart.held > 0.87
    alike = coverage(harmonic("alike", (0.6, 0.6), (0.3, 0.3)), 50, 80)
    assert alike.held < 0.93
    assert alike.below > alike.above
