"""Right and wrong on both sides of a comparison: McNemar's exact test, and its clustered form.

The exact test takes units to be independent: pairs, or samples that share nothing. Where samples share a cluster, such
as both questions of a pair, it calls 7 to 11 % of equal sides different at a level of 5 %; Durkalski's statistic
counts clusters (Durkalski, Palesch, Lipsitz & Rust 2003).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pixcore_statistics.bootstrap import LEVEL

Floats = NDArray[np.float64]


def exact(only_left: int, only_right: int) -> float:
    """Work out the two-sided p-value that as many differing units fall to each side by chance.

    >>> round(exact(3, 12), 4)
    0.0352
    """
    if only_left + only_right == 0:
        return 1.0
    return float(stats.binomtest(only_left, only_left + only_right, 0.5).pvalue)


def clustered(left: Floats, right: Floats, counts: Floats) -> float:
    """Work out Durkalski's two-sided p-value for answers that share clusters.

    Args:
        left: (clusters,) right answers of the left side.
        right: (clusters,) right answers of the right side.
        counts: (clusters,) answers of each; 0 where it does not count.
    """
    counted = counts > 0
    differing = (left - right)[counted] / counts[counted]
    spread = float(np.sum(differing**2))
    return 1.0 if spread == 0 else float(stats.chi2.sf(float(np.sum(differing)) ** 2 / spread, 1))


def difference_interval(only_left: int, only_right: int, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of the difference of two shares over the same units, right minus left (Bonett & Price 2012).

    Args:
        only_left: Units that the left side alone has right.
        only_right: Units that the right side alone has right.
        n: All units.
        level: What it is to cover.
    """
    left, right = (only_left + 1) / (n + 2), (only_right + 1) / (n + 2)
    reach = float(stats.norm.ppf((1 + level) / 2)) * float(np.sqrt((left + right - (right - left) ** 2) / (n + 2)))
    return max(-1.0, right - left - reach), min(1.0, right - left + reach)
