"""Intervals of means and of ratios of sums over clusters, from what leaving one cluster out changes (the jackknife).

A mean's is the t interval, which nearly holds what it says from ten clusters on, but for means near 0 or 1 that a few
values decide (docs/howto/report-numbers.md has how often). A ratio that a few large objects decide, such
as cIoU, is skewed: its t interval is made where it is less so, on the logit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.intervals import FEW, Sums, ratios
from pixcore_statistics.bootstrap import LEVEL
from pixcore_statistics.quantiles import student

Floats = NDArray[np.float64]


def left_out(numerators: Floats, denominators: Floats) -> Floats:
    """Give what a ratio is without each of its clusters, (clusters,); all of them must count."""
    return np.asarray((numerators.sum() - numerators) / (denominators.sum() - denominators))


def standard_error(without: Floats) -> float:
    """Give the jackknife's standard error of a figure from its values without each of its clusters, (clusters,)."""
    clusters = len(without)
    return float(np.sqrt((clusters - 1) / clusters * np.sum((without - without.mean()) ** 2)))


def t_interval(
    value: float, error: float, clusters: int, *, level: float = LEVEL, most: float = np.inf
) -> tuple[float, float]:
    """Give the t interval around a value with a standard error from so many clusters.

    Args:
        value: What it is around.
        error: The value's standard error.
        clusters: From how many clusters.
        level: What it is to cover.
        most: No value is further from 0: two means from 0 to 1 differ by 1 at most.
    """
    reach = student(clusters - 1, (1 + level) / 2) * error
    return max(value - reach, -most), min(value + reach, most)


def contrast(terms: Sequence[tuple[float, Sums]]) -> tuple[float, float, int]:
    """Give a weighted sum of ratios over the same clusters, its standard error, and how many clusters count in any.

    The error is NaN where fewer than ten count in one of the ratios, or leaving out any of them changes the sum alike:
    none says how they differ.

    Args:
        terms: Each weight with what its ratio is made of.
    """
    counts = np.array([sums.denominators > 0 for _, sums in terms])
    counted = counts.any(0)
    clusters = int(counted.sum())
    value = sum(weight * float(ratios(sums.numerators.sum(), sums.denominators.sum())) for weight, sums in terms)
    if counts.sum(1).min() < FEW:
        return value, float("nan"), clusters
    without = [weight * left_out(sums.numerators[counted], sums.denominators[counted]) for weight, sums in terms]
    error = standard_error(np.sum(without, axis=0))
    return value, error if error >= 1e-12 else float("nan"), clusters


def difference(left: Sums, right: Sums) -> tuple[float, float, int]:
    """Give right minus left, as `contrast` does."""
    return contrast([(1, right), (-1, left)])


def mean_interval(
    numerators: Floats, denominators: Floats, *, fewest: int, level: float = LEVEL
) -> tuple[float, float] | None:
    """Give the interval of a mean of values from 0 to 1.

    Args:
        numerators: (clusters,) sums of values.
        denominators: (clusters,) how many values; 0 where a cluster does not count.
        fewest: With fewer clusters, none would be honest.
        level: What it is to cover.

    Returns:
        None also where all clusters say the same, and so nothing about how they differ.
    """
    counted = denominators > 0
    if counted.sum() < max(fewest, 2):
        return None
    without = left_out(numerators[counted], denominators[counted])
    error = standard_error(without)
    if error < 1e-12:
        return None
    low, high = t_interval(float(numerators.sum() / denominators.sum()), error, len(without), level=level)
    return max(low, 0.0), min(high, 1.0)


def ratio_interval(
    numerators: Floats, denominators: Floats, *, fewest: int, level: float = LEVEL
) -> tuple[float, float] | None:
    """Give the interval of a ratio of sums that lies between 0 and 1: a t interval on its logit.

    Args:
        numerators: (clusters,) sums.
        denominators: (clusters,) sums; 0 where a cluster does not count.
        fewest: With fewer clusters, none would be honest.
        level: What it is to cover.

    Returns:
        None also where the ratio is 0 or 1, or all clusters say the same.
    """
    counted = denominators > 0
    if counted.sum() < max(fewest, 2) or not 0 < numerators.sum() < denominators.sum():
        return None
    without = left_out(numerators[counted], denominators[counted])
    if not ((without > 0) & (without < 1)).all():
        return None
    error = standard_error(np.log(without / (1 - without)))
    if error < 1e-12:
        return None
    value = float(numerators.sum() / denominators.sum())
    low, high = t_interval(float(np.log(value / (1 - value))), error, len(without), level=level)
    return float(1 / (1 + np.exp(-low))), float(1 / (1 + np.exp(-high)))
