"""Bootstrap over clusters, one matrix product for all figures: those that depend on each other stay together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.intervals import ratios
from pixcore_statistics.rows_in_file import summed_blocks

Floats = NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95
MOST_CLUSTERS = 2000
"""More clusters are drawn in as many random groups: the work has a bound, the spread is that of single ones."""

_CELLS = 250_000  # of one block of draws: bounds memory


def summed(clusters: Sequence[Hashable] | NDArray[np.int64], values: NDArray[Any]) -> Floats:
    """Add up the rows (samples, k) of each cluster: (clusters, k), in the order in which clusters first come."""
    if isinstance(clusters, np.ndarray):  # numbers from 0
        return summed_blocks([(clusters, values)], clusters.max(initial=-1) + 1)
    order: dict[Hashable, int] = {}
    rows = [order.setdefault(cluster, len(order)) for cluster in clusters]
    sums = np.zeros((len(order), values.shape[1]))
    np.add.at(sums, rows, values)
    return sums


def draws(clusters: int, *, seed: int = 0, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Draw clusters with replacement.

    Args:
        clusters: How many there are.
        seed: Same seed, same draws.
        resamples: How often to draw.

    Yields:
        Blocks of shape (n, clusters): how often each cluster was drawn; the blocks' n sum to `resamples`.
    """
    rng = np.random.default_rng(seed)
    shares = np.full(clusters, 1.0 / clusters)
    block = max(1, _CELLS // clusters)
    for first in range(0, resamples, block):
        yield rng.multinomial(clusters, shares, size=min(block, resamples - first)).astype(np.float64)


def resampled_ratios(numerators: Floats, denominators: Floats, *, seed: int = 0, resamples: int = RESAMPLES) -> Floats:
    """Bootstrap ratios of sums over clusters.

    Args:
        numerators: (clusters, figures).
        denominators: (clusters, figures).
        seed: Same seed, same draws: figures computed from one set of clusters in several calls stay paired.
        resamples: How often to draw.

    Returns:
        (resamples, figures); NaN where a draw measured nothing.
    """
    if len(numerators) == 0:
        return np.full((resamples, numerators.shape[1]), np.nan)
    both = np.concatenate([numerators, denominators], axis=1)
    if len(both) > MOST_CLUSTERS:
        both = np.stack([grouped(column, seed) for column in both.T], axis=1)
    blocks = []
    for drawn in draws(len(both), seed=seed, resamples=resamples):
        blocks.append(drawn @ both)
        del drawn  # a block is large, and the next one is about to be drawn
    return ratios(*np.split(np.concatenate(blocks), 2, axis=1))


def grouped(sums: Floats, seed: int) -> Floats:
    """Add up sums (clusters,) over random groups of one size where there are many; they are left as they are if not."""
    if len(sums) <= MOST_CLUSTERS:
        return sums
    group = np.random.default_rng(seed).permutation(np.arange(len(sums)) % MOST_CLUSTERS)
    return np.asarray(np.bincount(group, sums, MOST_CLUSTERS), np.float64)


def interval(samples: Floats, *, level: float = LEVEL) -> tuple[float, float] | None:
    """Take the percentile interval of a bootstrap distribution (resamples,); None where it is not defined."""
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def interval_of_width(samples: Floats) -> tuple[float, float] | None:
    """Take the interval as `interval` does; None too where it has no width but what rounding leaves."""
    ends = interval(samples)
    return None if ends is None or ends[1] - ends[0] < 1e-12 else ends
