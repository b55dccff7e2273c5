"""Average what clusters of samples show, with 95 % intervals over the clusters.

There is none for fewer than ten clusters, nor where every draw says the same: none says how they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.intervals import FEW, Cluster
from pixcore_statistics.bootstrap import interval, resampled_ratios, summed

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A figure and the ends of its 95 % interval; None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> Estimate:
        """Give it in another unit: a share in percent is 100 times itself."""
        return Estimate(*(None if end is None else factor * end for end in self))  # type: ignore[arg-type]


def means(clusters: Sequence[Cluster], values: Floats, weights: Floats | None = None, *, seed: int) -> list[Estimate]:
    """Average columns over samples.

    Args:
        clusters: What each sample is drawn together with.
        values: (samples, k).
        weights: (samples, k), of the values; each counts once if left out. A column without weight is NaN.
        seed: Of the bootstrap.
    """
    if not len(values):
        return []
    weights = np.ones_like(values) if weights is None else weights
    return of_sums(summed(clusters, values * weights), summed(clusters, weights), seed=seed)


def of_sums(above: Floats, below: Floats, *, seed: int) -> list[Estimate]:
    """Divide what clusters add up to, column by column.

    Args:
        above: (clusters, k) sums of weighted values.
        below: (clusters, k) sums of weights. A column without any is NaN.
        seed: Of the bootstrap.
    """
    drawn = resampled_ratios(above, below, seed=seed)
    return [
        Estimate(
            float(total / count) if count else float("nan"),
            *(_ends(drawn[:, column]) if (below[:, column] > 0).sum() >= FEW else (None, None)),
        )
        for column, (total, count) in enumerate(zip(above.sum(0), below.sum(0), strict=True))
    ]


def _ends(drawn: Floats) -> tuple[float, float] | tuple[None, None]:
    ends = interval(drawn)
    # rounding leaves some width of none: values may be in percent
    return (None, None) if ends is None or ends[1] - ends[0] < 1e-9 else ends
