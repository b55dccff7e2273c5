"""What a score's order is worth: to tell two kinds of samples apart (ROC), or to know which to trust (risk, coverage).

Both areas have a t interval over what leaving one cluster out changes, as means have; curves have bands, point by
point, from draws of clusters. Equal scores are in no order: curves run straight between the scores that there are,
which is what all orders of equals give on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.intervals import FEW
from pixcore_statistics.bootstrap import LEVEL, draws
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.means import standard_error, t_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BAND_DRAWS = 1000
"""A band is drawn, not read: its ends need fewer draws than a number's."""

FEWEST_GROUPS = 100
"""Many clusters of many samples are left out in random groups, never fewer than these: the work has a bound."""

_CELLS = 4_000_000  # samples looked at for one interval or band, all in all: bounds work and memory


@dataclass(frozen=True)
class Ordered:
    """What orders samples, the highest score first, and what they are worth.

    Attributes:
        scores: (n,), may be infinite.
        clusters: (n,) which cluster each sample is of, from 0.
    """

    scores: Floats
    clusters: Ints

    def __post_init__(self) -> None:
        if self.scores.shape != self.clusters.shape or self.scores.ndim != 1:
            raise ValueError(f"scores {self.scores.shape} and clusters {self.clusters.shape} must both be (n,)")
        if np.isnan(self.scores).any():
            raise ValueError("a score is not a number")

    @property
    def order(self) -> Ints:
        """The samples from the highest score to the lowest."""
        return np.argsort(-self.scores, kind="stable")

    def ends(self) -> Ints:
        """Where in the order the last of each run of equals stands, (groups,)."""
        ordered = self.scores[self.order]
        return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))

    def without(self) -> Iterator[Bools]:
        """Leave out one cluster after the other, or a random group of them where there are many: (n,) what is left."""
        codes = np.unique(self.clusters, return_inverse=True)[1]
        count = int(codes.max(initial=-1)) + 1
        most = max(FEWEST_GROUPS, _CELLS // max(len(codes), 1))
        if count > most:
            codes = (np.random.default_rng(0).permutation(count) % most)[codes]
            count = most
        return (codes != left for left in range(count))


def roc(ordered: Ordered, positive: Bools) -> tuple[Floats, Floats]:
    """Give the points of a ROC curve, from (0, 0) to (1, 1): what is called positive is what scores high.

    Args:
        ordered: The samples.
        positive: (n,) which of them are.

    Returns:
        Shares of the negatives and of the positives that score as high as each score, (groups + 1,).
    """
    truth = positive[ordered.order]
    ends = ordered.ends()
    hits, alarms = (np.append(0.0, np.cumsum(kind)[ends]) for kind in (truth, ~truth))
    return alarms / alarms[-1], hits / hits[-1]


def roc_area(ordered: Ordered, positive: Bools) -> Estimate:
    """Give the area under a ROC curve: how often a positive scores higher than a negative, equals counting half.

    Its interval is a t interval on the logit, with as many degrees of freedom as the rarer kind has clusters; none
    where either kind has fewer than ten samples or clusters, or the area is 0 or 1.
    """
    value = _area(ordered.scores, positive)
    kinds = (positive, ~positive)
    clusters = min(len(np.unique(ordered.clusters[kind])) for kind in kinds)
    if clusters < FEW or not 0 < value < 1:
        return Estimate(value)
    without = np.array([_area(ordered.scores[kept], positive[kept]) for kept in ordered.without()])
    if not ((without > 0) & (without < 1)).all():
        return Estimate(value)
    error = standard_error(np.log(without / (1 - without)))
    if error < 1e-12:
        return Estimate(value)
    low, high = t_interval(float(np.log(value / (1 - value))), error, min(clusters, len(without)))
    return Estimate(value, float(1 / (1 + np.exp(-low))), float(1 / (1 + np.exp(-high))))


def roc_band(ordered: Ordered, positive: Bools, grid: Floats, *, seed: int = 0) -> list[Estimate]:
    """Give a ROC curve at shares of negatives, with a band of 95 %.

    Args:
        ordered: The samples.
        positive: (n,) which of them are.
        grid: (k,) shares of the negatives.
        seed: Of the draws.
    """
    truth, ends = positive[ordered.order], ordered.ends()

    def curves(weights: Floats) -> Iterator[Floats]:
        for hits, alarms in zip(_sums(weights * truth, ends), _sums(weights * ~truth, ends), strict=True):
            if hits[-1] and alarms[-1]:  # a draw without one of the kinds has no curve
                yield np.interp(grid, alarms / alarms[-1], hits / hits[-1])

    few = min(len(np.unique(ordered.clusters[kind])) for kind in (positive, ~positive)) < FEW
    return _band(ordered, curves, seed, few=few)


def risk_area(ordered: Ordered, losses: Floats) -> Estimate:
    """Give the area under the curve of risk over coverage (AURC): the mean risk over all numbers of samples kept.

    Args:
        ordered: The samples; those with the highest scores are kept first.
        losses: (n,) from 0 to 1.

    Returns:
        With a t interval over clusters; none where there are fewer than ten.
    """
    value = _risk_area(ordered.scores, losses)
    clusters = len(np.unique(ordered.clusters))
    if clusters < FEW:
        return Estimate(value)
    without = np.array([_risk_area(ordered.scores[kept], losses[kept]) for kept in ordered.without()])
    error = standard_error(without)
    if error < 1e-12:
        return Estimate(value)
    low, high = t_interval(value, error, len(without))
    return Estimate(value, max(low, 0.0), min(high, 1.0))


def best_risk_area(losses: Floats) -> float:
    """Give the least area that any order of these losses could have."""
    return _risk_area(-losses, losses)


def risk_band(ordered: Ordered, losses: Floats, grid: Floats, *, seed: int = 0) -> list[Estimate]:
    """Give the risk at shares of samples kept, with a band of 95 %.

    Args:
        ordered: The samples; those with the highest scores are kept first.
        losses: (n,) from 0 to 1.
        grid: (k,) shares of the samples, above 0.
        seed: Of the draws.
    """
    lost, ends = losses[ordered.order], ordered.ends()

    def curves(weights: Floats) -> Iterator[Floats]:
        for kept, loss in zip(_sums(weights, ends), _sums(weights * lost, ends), strict=True):
            yield np.interp(grid * kept[-1], kept, loss) / (grid * kept[-1])

    return _band(ordered, curves, seed, few=len(np.unique(ordered.clusters)) < FEW)


def _area(scores: Floats, positive: Bools) -> float:
    """The area under the ROC curve by ranks: the statistic of Mann and Whitney."""
    alike, counts = np.unique(scores, return_inverse=True, return_counts=True)[1:]
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[alike]  # equals share the mean of their places
    hits = int(positive.sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits)))


def _risk_area(scores: Floats, losses: Floats) -> float:
    """The mean over k of the mean loss of the k highest, equals in all orders."""
    alike, counts = np.unique(-scores, return_inverse=True, return_counts=True)[1:]
    shared = np.bincount(alike, losses) / counts
    lost = np.cumsum(np.repeat(shared, counts))
    return float(np.mean(lost / np.arange(1, len(lost) + 1)))


def _sums(values: Floats, ends: Ints) -> Floats:
    """Add up along the order, and read where equals end: (draws, groups + 1), from 0."""
    return np.pad(np.cumsum(values, axis=1)[:, ends], ((0, 0), (1, 0)))


def _band(ordered: Ordered, curves: Callable[[Floats], Iterator[Floats]], seed: int, *, few: bool) -> list[Estimate]:
    """Read a curve where every sample counts once, and its band from draws of clusters; no band of few."""
    codes = np.unique(ordered.clusters, return_inverse=True)[1]
    (values,) = curves(np.ones((1, len(codes))))
    if few:
        return [Estimate(float(value)) for value in values]
    placed = codes[ordered.order]
    resamples = int(np.clip(_CELLS // len(codes), 200, BAND_DRAWS))
    drawn = [
        curve
        for block in draws(int(codes.max()) + 1, seed=seed, resamples=resamples)
        for some in np.array_split(block, max(1, block.shape[0] * len(codes) // _CELLS))
        for curve in curves(some[:, placed])
    ]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Estimate(*map(float, ends)) for ends in zip(values, low, high, strict=True)]
