"""How far several judges, seeds or orders agree: kappa, alpha, and what varies with what.

A share of flips says little: it grows with the number of runs, and two judges that call nearly everything right agree
by chance. Cohen's kappa (two) and Krippendorff's alpha (any number) count what chance gives as nothing; their intervals
resample clusters. Fewer than ten clusters, and sides that agree alike in every draw, have none.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.intervals import FEW
from pixcore_statistics import bootstrap

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Agreement:
    """How far answers that several sides gave to the same samples agree.

    Attributes:
        samples: How many.
        sides: How many gave each an answer.
        alpha: Krippendorff's alpha: 1 where all agree, 0 as chance would have it; None where all answers are alike.
        low: Lower end of its 95 % interval; None where none would be honest.
        high: Upper end.
        kappa: Cohen's kappa, of two sides; None of more.
        kappa_low: Lower end of its 95 % interval.
        kappa_high: Upper end.
        gained: Of each side after the first, how many samples it has right and the first has wrong.
        lost: How many it has wrong and the first has right.
    """

    samples: int
    sides: int
    alpha: float | None
    low: float | None
    high: float | None
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None
    gained: tuple[int, ...]
    lost: tuple[int, ...]


def agreement(right: Bools, clusters: Sequence[Hashable], *, seed: int = 0) -> Agreement:
    """Measure how far sides agree.

    Args:
        right: (samples, sides) whether each answer is right.
        clusters: What each sample is drawn together with.
        seed: Of the bootstrap.
    """
    counts = right.sum(1)
    terms = [_disagreeing(counts, right.shape[1]), counts, np.full(len(right), right.shape[1])]
    sums = bootstrap.summed(clusters, np.stack(terms, 1))
    value = float(_alpha(sums.sum(0, keepdims=True))[0])
    drawn = np.concatenate([_alpha(block @ sums) for block in bootstrap.draws(len(sums), seed=seed)])
    ends = bootstrap.interval_of_width(drawn) if len(sums) >= FEW and not np.isnan(value) else None
    first, second = right[:, 0], right[:, -1]
    came = [first & second, first & ~second, ~first & second, ~first & ~second]
    ways = bootstrap.summed(clusters, np.stack(came, 1))
    known = kappa(first, second) if right.shape[1] == 2 else None
    spread = np.concatenate([_kappa(block @ ways) for block in bootstrap.draws(len(ways), seed=seed)])
    around = bootstrap.interval_of_width(spread) if len(ways) >= FEW and known is not None else None
    return Agreement(
        samples=len(right),
        sides=right.shape[1],
        alpha=None if np.isnan(value) else value,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        kappa=known,
        kappa_low=around[0] if around else None,
        kappa_high=around[1] if around else None,
        gained=tuple(int(np.sum(~first & other)) for other in right.T[1:]),
        lost=tuple(int(np.sum(first & ~other)) for other in right.T[1:]),
    )


def kappa(left: Bools, right: Bools) -> float | None:
    """Work out Cohen's kappa of two sides; None where chance alone would have them agree in everything."""
    ways = np.array([[np.sum(left & right), np.sum(left & ~right), np.sum(~left & right), np.sum(~left & ~right)]])
    value = float(_kappa(ways.astype(np.float64))[0])
    return None if np.isnan(value) else value


def _kappa(ways: Floats) -> Floats:
    """Kappa from how often both are right, the left alone, the right alone, and neither: (n, 4) gives (n,)."""
    undefined = (ways[:, [0, 3]] == ways.sum(1, keepdims=True)).any(1)  # all answers of both sides are alike
    both, left, right, neither = (ways / ways.sum(1, keepdims=True)).T
    chance = (both + left) * (both + right) + (right + neither) * (left + neither)
    return np.where(undefined, np.nan, (both + neither - chance) / np.where(undefined, 1, 1 - chance))


def _disagreeing(counts: NDArray[np.int64], sides: int) -> Floats:
    """Pairs of sides that disagree on each sample, for each value that could be paired with another."""
    return np.asarray(2 * counts * (sides - counts) / (sides - 1), np.float64)


def _alpha(sums: Floats) -> Floats:
    """Krippendorff's alpha of right and wrong, from disagreements, right answers and answers: (n, 3) gives (n,)."""
    observed, right, total = sums.T
    expected = 2 * right * (total - right)
    undefined = expected == 0
    ratio = observed * (total - 1) / np.where(undefined, 1, expected)
    return np.where(undefined, np.nan, 1 - ratio)


@dataclass(frozen=True)
class Components:
    """Where a figure's spread comes from, all in the figure's unit.

    Attributes:
        mean: Over all sides.
        of_samples: Standard deviation between samples, whichever side.
        of_sides: Standard deviation between sides (seeds, judges), the samples being the same.
        rest: What is left: one sample under one side.
        error: Standard error of the mean over sides, were samples and sides both drawn anew.
    """

    mean: float
    of_samples: float
    of_sides: float
    rest: float
    error: float


def components(values: Floats) -> Components:
    """Split the spread of values into that of samples, that of sides, and the rest, by analysis of variance.

    Args:
        values: (samples, sides); at least two of each.
    """
    samples, sides = values.shape
    mean = float(values.mean())
    by_sample, by_side = values.mean(1), values.mean(0)
    rest = float(np.sum((values - by_sample[:, None] - by_side + mean) ** 2) / ((samples - 1) * (sides - 1)))
    between_samples = sides * float(by_sample.var(ddof=1))
    between_sides = samples * float(by_side.var(ddof=1))
    of_samples = max(0.0, (between_samples - rest) / sides)
    of_sides = max(0.0, (between_sides - rest) / samples)
    error = of_samples / samples + of_sides / sides + rest / (samples * sides)
    return Components(mean, *(float(np.sqrt(one)) for one in (of_samples, of_sides, rest, error)))
