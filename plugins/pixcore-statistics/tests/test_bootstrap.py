"""The bootstrap against scipy's, and what it promises of its draws."""

from __future__ import annotations

import numpy as np
from pixcore_statistics.bootstrap import MOST_CLUSTERS, draws, interval, resampled_ratios
from pixcore_statistics.estimates import of_sums
from scipy import stats


def test_intervals_agree_with_scipys_bootstrap() -> None:
    rng = np.random.default_rng(4)
    values = rng.beta(2, 5, size=80)
    ours = interval(resampled_ratios(values[:, None], np.ones((80, 1)), resamples=20_000)[:, 0])
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=5).confidence_interval
    assert ours is not None
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), atol=2e-3)


def test_draws_take_whole_clusters_and_repeat_with_their_seed() -> None:
    first, again = (np.concatenate(list(draws(7, seed=3, resamples=50))) for _ in range(2))
    assert first.shape == (50, 7)
    assert (first.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(first, again)


def test_many_clusters_are_drawn_in_groups_of_the_same_spread() -> None:
    rng = np.random.default_rng(6)
    values = rng.beta(2, 5, size=4 * MOST_CLUSTERS)
    drawn = resampled_ratios(values[:, None], np.ones((len(values), 1)))[:, 0]
    np.testing.assert_allclose(np.std(drawn), values.std() / np.sqrt(len(values)), rtol=0.08)
    np.testing.assert_allclose(np.mean(drawn), values.mean(), atol=1e-3)


def test_a_mean_that_no_draw_changes_has_no_interval() -> None:
    """0 of 20 does not say that there is none anywhere."""
    sums = np.stack([np.zeros(20), np.full(20, 100 / 3), np.arange(20.0)], axis=1)
    nothing, alike, spread = of_sums(sums, np.ones((20, 3)), seed=0)
    assert (nothing.value, nothing.low, nothing.high) == (0, None, None)
    assert (alike.low, alike.high) == (None, None)
    assert spread.low is not None
    assert spread.high is not None
    assert spread.low < 9.5 < spread.high
