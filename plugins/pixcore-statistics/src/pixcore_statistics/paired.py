"""Two sides of a comparison over the same clusters: a figure's difference, its interval, its p-value.

What is hard for both sides cancels. Accuracies over pairs: McNemar's exact test and the interval of Bonett & Price;
answers that share clusters: Durkalski's test; means and ratios: t over what leaving out one cluster on both sides
changes; what is made of figures: bootstrap with the same draws on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pixcore.figures.columns import NO_OWN, Own
from pixcore.figures.intervals import FEW, Sums
from pixcore_statistics import bootstrap, mcnemar
from pixcore_statistics.intervals import made_draws, told_apart
from pixcore_statistics.means import contrast, difference, t_interval
from pixcore_statistics.power import least_mean_difference, least_share_difference

Floats = NDArray[np.float64]

NINETY = 0.90
"""Equivalence within a margin at the level of 5 % is this interval inside of it (two one-sided tests)."""


@dataclass(frozen=True)
class Paired:
    """How one figure differs, right minus left, as its terms give it.

    Attributes:
        low: Lower end of the 95 % interval; None where none would be honest.
        high: Upper end.
        margin: The least margin within which both sides are shown to be alike: there is no larger difference.
        p: Two-sided; None where there is no test.
        detectable: The least difference that would be found four times in five; None where not even the largest would.
        clusters: How many count on either side; of a figure that is made of others, in its rarest part.
        method: Of interval and test.
    """

    low: float | None = None
    high: float | None = None
    margin: float | None = None
    p: float | None = None
    detectable: float | None = None
    clusters: int = 0
    method: str = ""


def paired(left: Sums, right: Sums) -> Paired:
    """Compare one figure's terms over the same clusters."""
    counted = left.denominators > 0
    same = np.array_equal(left.denominators, right.denominators)
    if left.kind == "proportion" and same and (left.denominators[counted] == 1).all() and counted.any():
        return _shares(left.numerators[counted], right.numerators[counted])
    found = _of_t(*difference(left, right), "t")
    if found.p is None or left.kind != "proportion" or not same:
        return found
    p = mcnemar.clustered(left.numerators, right.numerators, left.denominators)
    return replace(found, p=p, method="t, Durkalski")


def paired_less(left: tuple[Sums, Sums], right: tuple[Sums, Sums]) -> Paired:
    """Compare what a strategy has less what its control has, each side's (strategy, control) over the same clusters."""
    return _of_t(*contrast([(1, right[0]), (-1, right[1]), (-1, left[0]), (1, left[1])]), "t", most=2.0)


def paired_made(
    left: Mapping[str, Sums], right: Mapping[str, Sums], own: Own = NO_OWN, *, seed: int = 0
) -> dict[str, Paired]:
    """Compare the figures that are made of others, with the same draws on both sides."""
    rows = [left, right]
    first, second = made_draws(rows, [told_apart(row) for row in rows], own, seed=seed)
    found = {}
    for name in first.keys() & second.keys():
        clusters = min(first[name][1], second[name][1])
        spread = second[name][0] - first[name][0]
        spread = spread[~np.isnan(spread)]
        ends = [bootstrap.interval(spread, level=level) for level in (bootstrap.LEVEL, NINETY)]
        if clusters < FEW or None in ends or float(np.ptp(spread)) < 1e-12:
            found[name] = Paired(clusters=clusters)
            continue
        below = min(np.sum(spread <= 0), np.sum(spread >= 0))
        p = min(1.0, 2 * (float(below) + 1) / (len(spread) + 1))
        least = _possible(least_mean_difference(float(spread.std()), clusters))
        found[name] = _found([end for end in ends if end is not None], p, least, clusters, "bootstrap")
    return found


def _shares(left: Floats, right: Floats) -> Paired:
    n, only_left, only_right = len(left), int(np.sum(left > right)), int(np.sum(right > left))
    ends = [mcnemar.difference_interval(only_left, only_right, n, level=level) for level in (bootstrap.LEVEL, NINETY)]
    least = least_share_difference(n, (only_left + only_right) / n)
    return _found(ends, mcnemar.exact(only_left, only_right), least, n, "Bonett-Price, McNemar")


def _of_t(value: float, error: float, clusters: int, method: str, *, most: float = 1.0) -> Paired:
    if not np.isfinite(error):
        return Paired(clusters=clusters)
    ends = [t_interval(value, error, clusters, level=level, most=most) for level in (bootstrap.LEVEL, NINETY)]
    p = float(2 * stats.t.sf(abs(value) / error, clusters - 1))
    return _found(ends, p, _possible(least_mean_difference(error, clusters), most), clusters, method)


def _possible(least: float, most: float = 1.0) -> float | None:
    """The least difference that would be found; None where not even the largest that there can be would."""
    return least if least <= most else None


def _found(ends: list[tuple[float, float]], p: float, detectable: float | None, clusters: int, method: str) -> Paired:
    (low, high), inner = ends
    margin = max(abs(float(end)) for end in inner)
    return Paired(float(low), float(high), margin, p, detectable, clusters, method)
