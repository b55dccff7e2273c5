"""Agreement against scikit-learn, brute force and the analysis of variance of statsmodels."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from pixcore_statistics.agreement import agreement, components, kappa
from sklearn.metrics import cohen_kappa_score
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm


def test_kappa_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.random(200) < 0.7, rng.random(200) < 0.6
    assert kappa(left, right) == pytest.approx(cohen_kappa_score(left, right))
    assert kappa(np.ones(5, bool), np.ones(5, bool)) is None
    one_wrong = np.arange(200_000) > 0  # of many: agreement no better than chance, and not "none"
    assert kappa(np.ones(200_000, bool), one_wrong) == pytest.approx(0)


def test_the_interval_of_kappa_is_a_plain_bootstraps() -> None:
    rng = np.random.default_rng(4)
    left = rng.random(120) < 0.6
    right = np.where(rng.random(120) < 0.8, left, ~left)
    found = agreement(np.stack([left, right], 1), list(range(120)))
    drawn = [rng.integers(0, 120, 120) for _ in range(3000)]
    plain = np.quantile([cohen_kappa_score(left[one], right[one]) for one in drawn], [0.025, 0.975])
    np.testing.assert_allclose((found.kappa_low, found.kappa_high), plain, atol=0.025)


def brute_alpha(right: np.ndarray) -> float:
    """Krippendorff's alpha, pair by pair of answers: within samples, and of all answers whatever the sample."""
    within = [sum(one != other for one, other in permutations(row, 2)) / (len(row) - 1) for row in right.tolist()]
    flat = right.ravel().tolist()
    between = sum(one != other for one, other in permutations(flat, 2)) / (len(flat) - 1)
    return 1 - sum(within) / between


@pytest.mark.parametrize("sides", [2, 3, 5])
def test_alpha_is_brute_force(sides: int) -> None:
    rng = np.random.default_rng(sides)
    truth = rng.random((40, 1)) < 0.6
    right = np.where(rng.random((40, sides)) < 0.8, truth, ~truth)
    found = agreement(right, list(range(40)))
    assert found.alpha == pytest.approx(brute_alpha(right))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.alpha < found.high


@pytest.mark.long
def test_answers_that_agree_by_chance_agree_in_nothing() -> None:
    right = np.random.default_rng(1).random((4000, 3)) < 0.9
    found = agreement(right, list(range(4000)))
    assert found.alpha == pytest.approx(0, abs=0.03)
    assert agreement(np.ones((10, 3), bool), list(range(10))).alpha is None


def test_agreement_has_no_interval_where_none_is_honest() -> None:
    rng = np.random.default_rng(5)
    right = rng.random((20, 2)) < 0.6
    few = agreement(right, [number // 3 for number in range(20)])  # of seven images
    assert (few.low, few.high, few.kappa_low, few.kappa_high) == (None, None, None, None)
    enough = agreement(right, [number // 2 for number in range(20)])
    assert enough.low is not None
    assert enough.kappa_low is not None
    alike = agreement(np.repeat(right[:, :1], 2, axis=1), list(range(20)))
    assert (alike.alpha, alike.kappa) == (1, 1)
    assert (alike.low, alike.kappa_low) == (None, None)


def test_components_are_those_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 2, (50, 1)) + rng.normal(0, 1, (1, 4)) + rng.normal(0, 0.5, (50, 4))
    frame = pd.DataFrame([(s, r, values[s, r]) for s in range(50) for r in range(4)], columns=["sample", "run", "y"])
    table = anova_lm(ols("y ~ C(sample) + C(run)", data=frame).fit())
    mean_squares = table["sum_sq"] / table["df"]
    rest = mean_squares["Residual"]
    found = components(values)
    assert found.rest == pytest.approx(np.sqrt(rest))
    assert found.of_samples == pytest.approx(np.sqrt((mean_squares["C(sample)"] - rest) / 4))
    assert found.of_sides == pytest.approx(np.sqrt((mean_squares["C(run)"] - rest) / 50))
    assert found.error**2 == pytest.approx(found.of_samples**2 / 50 + found.of_sides**2 / 4 + rest / 200)
