"""ROC, risk and coverage: values against scikit-learn and against all orders, intervals against leaving out by hand."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_statistics.orderings import Ordered, best_risk_area, risk_area, risk_band, roc, roc_area, roc_band
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

GRID = np.linspace(0, 1, 11)


def drawn(seed: int, n: int = 120) -> tuple[Ordered, np.ndarray, np.ndarray]:
    """Scores with ties, in pairs, with positives that score higher, and losses that fall with the score."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    scores = np.round(rng.normal(size=n) + positive, 1)
    return Ordered(scores, np.arange(n) // 2), positive, np.clip(rng.random(n) - scores / 10, 0, 1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_the_roc_curve_and_its_area_are_scikit_learns(seed: int) -> None:
    ordered, positive, _ = drawn(seed)
    alarms, hits, _ = roc_curve(positive, ordered.scores, drop_intermediate=False)
    for found, known in zip(roc(ordered, positive), (alarms, hits), strict=True):
        assert found == pytest.approx(known)
    assert roc_area(ordered, positive).value == pytest.approx(roc_auc_score(positive, ordered.scores))
    band = roc_band(ordered, positive, np.array([0.5]))
    assert band[0].value == pytest.approx(np.interp(0.5, alarms, hits))


def test_the_areas_intervals_are_those_of_leaving_out_one_cluster() -> None:
    ordered, positive, losses = drawn(3)
    kept = [ordered.clusters != cluster for cluster in range(60)]
    areas = np.array([roc_auc_score(positive[one], ordered.scores[one]) for one in kept])
    logits = np.log(areas / (1 - areas))
    error = np.sqrt(59 / 60 * np.sum((logits - logits.mean()) ** 2))
    rarer = min(len(set(ordered.clusters[kind])) for kind in (positive, ~positive))
    value = roc_auc_score(positive, ordered.scores)
    ends = stats.t.interval(0.95, rarer - 1, np.log(value / (1 - value)), error)
    assert roc_area(ordered, positive)[1:] == pytest.approx(tuple(1 / (1 + np.exp(-np.array(ends)))))
    risks = np.array(
        [risk_area(Ordered(ordered.scores[one], ordered.clusters[one]), losses[one]).value for one in kept]
    )
    error = np.sqrt(59 / 60 * np.sum((risks - risks.mean()) ** 2))
    found = risk_area(ordered, losses)
    assert found[1:] == pytest.approx(stats.t.interval(0.95, 59, found.value, error))


def test_the_areas_interval_is_near_delongs_where_samples_are_independent() -> None:
    ordered, positive, _ = drawn(5, 400)
    ordered = Ordered(ordered.scores, np.arange(400))
    high, low = ordered.scores[positive], ordered.scores[~positive]
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    error = np.sqrt(wins.mean(1).var(ddof=1) / len(high) + wins.mean(0).var(ddof=1) / len(low))
    found = roc_area(ordered, positive)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.03)


@settings(deadline=None, max_examples=30)
@given(
    scores=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    losses=st.lists(st.floats(0, 1), min_size=6, max_size=6),
)
def test_the_area_of_risk_is_the_mean_over_all_orders_of_equals(scores: list[int], losses: list[float]) -> None:
    n = len(scores)
    areas = [
        np.mean([np.mean([losses[i] for i in order[: k + 1]]) for k in range(n)])
        for order in permutations(range(n))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    ordered = Ordered(np.array(scores, float), np.arange(n))
    kept = np.array(losses[:n])
    assert risk_area(ordered, kept).value == pytest.approx(np.mean(areas))
    assert best_risk_area(kept) <= risk_area(ordered, kept).value + 1e-12
    assert risk_band(ordered, kept, np.array([1.0]))[0].value == pytest.approx(kept.mean())


def test_a_perfect_score_and_one_that_says_nothing() -> None:
    positive = np.arange(40) < 20
    perfect = Ordered(positive.astype(float), np.arange(40))
    assert roc_area(perfect, positive) == (1.0, None, None)
    assert [one.value for one in roc_band(perfect, positive, GRID)] == [1.0] * 11
    alike = Ordered(np.zeros(40), np.arange(40))
    assert roc_area(alike, positive) == (0.5, None, None)
    assert [one.value for one in roc_band(alike, positive, GRID)] == pytest.approx(GRID.tolist())
    losses = np.linspace(0, 1, 40)
    assert risk_area(alike, losses).value == pytest.approx(0.5)


def test_few_clusters_have_no_interval_and_infinite_scores_are_an_order() -> None:
    ordered, positive, losses = drawn(1, 18)
    assert roc_area(ordered, positive)[1:] == (None, None)
    assert {one[1:] for one in roc_band(ordered, positive, GRID)} == {(None, None)}
    assert risk_area(ordered, losses)[1:] == (None, None)
    unknown = Ordered(np.array([-np.inf, 1.0, np.inf]), np.arange(3))
    assert roc_area(unknown, np.array([False, False, True])).value == 1.0
    with pytest.raises(ValueError, match="not a number"):
        Ordered(np.array([np.nan]), np.arange(1))


def test_bands_hold_the_curve_and_are_wider_over_pairs_that_say_the_same() -> None:
    ordered, positive, losses = drawn(7, 200)
    for band in (roc_band(ordered, positive, GRID), risk_band(ordered, losses, GRID[1:])):
        assert all(one.low <= one.value + 1e-9 and one.value <= one.high + 1e-9 for one in band)  # type: ignore[operator]
    trebled = Ordered(np.repeat(ordered.scores, 3), np.repeat(np.arange(200), 3))
    once = Ordered(ordered.scores, np.arange(200))
    assert risk_area(trebled, np.repeat(losses, 3))[1:] == pytest.approx(risk_area(once, losses)[1:], abs=0.01)
