"""Intervals of 95 % by resampling clusters: two samples of a pair are drawn together or not at all.

Every figure of a table is a ratio of sums over clusters (pairs right / pairs, IoU / images, intersection / union), so
one matrix product resamples all figures of a table at once, and figures that depend on each other stay together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixcore.records import Sample

Floats = NDArray[np.float64]

RESAMPLES = 2000
LEVEL = 0.95
_CELLS = 1_000_000  # of one block of draws: bounds memory whatever the number of clusters


class Cluster(NamedTuple):
    """What is drawn together: a pair of samples, or one sample that has no other.

    Attributes:
        name: The pair's name, or the sample's id.
        pair: Whether it is a pair; a pair and a sample may share a name.
    """

    name: str
    pair: bool


def cluster_of(sample: Sample) -> Cluster:
    """Give the cluster that a sample belongs to.

    >>> from pixcore.records import Image
    >>> cluster_of(Sample("7", Image.from_path("7.png"), pair="a"))
    Cluster(name='a', pair=True)
    """
    return Cluster(sample.id, pair=False) if sample.pair is None else Cluster(sample.pair, pair=True)


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


def ratios(numerators: Floats, denominators: Floats) -> Floats:
    """Divide sums by counts, with NaN where nothing was measured."""
    undefined = denominators == 0
    return np.where(undefined, np.nan, numerators / np.where(undefined, 1.0, denominators))


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
    blocks = []
    for drawn in draws(len(both), seed=seed, resamples=resamples):
        blocks.append(drawn @ both)
        del drawn  # a block is large, and the next one is about to be drawn
    return ratios(*np.split(np.concatenate(blocks), 2, axis=1))


def interval(samples: Floats, *, level: float = LEVEL) -> tuple[float, float] | None:
    """Take the percentile interval of a bootstrap distribution (resamples,); None where it is not defined."""
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
