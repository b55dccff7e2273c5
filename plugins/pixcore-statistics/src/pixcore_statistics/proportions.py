"""Intervals of shares: Wilson's, with as many independent answers as clusters are worth.

At shares near 0 and 1 a bootstrap of 20 pairs covers the truth in two cases of three, and one of nothing but right
answers has no width at all; Wilson's interval stays near what it says (Brown, Cai & DasGupta 2001). Answers that share
a cluster are worth fewer than there are: as many independent ones as have the variance that the clusters show (Korn &
Graubard 1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixcore_statistics.bootstrap import LEVEL
from pixcore_statistics.means import left_out, standard_error
from pixcore_statistics.quantiles import normal, student

Floats = NDArray[np.float64]


def wilson(right: float, n: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Give Wilson's score interval of a share.

    Args:
        right: How many were right; may be fractional, of an effective `n`.
        n: Of how many.
        level: What it is to cover.

    >>> [round(end, 3) for end in wilson(150, 150)]
    [0.975, 1.0]
    """
    z = normal((1 + level) / 2)
    share = right / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def effective_size(right: Floats, counts: Floats, *, level: float = LEVEL, in_part: bool = False) -> float:
    """Say how many independent answers the answers of clusters are worth, never more than there are.

    Args:
        right: (clusters,) right answers of each.
        counts: (clusters,) answers of each; 0 where it does not count.
        level: Of the interval that it is for: few clusters say little about their own variance.
        in_part: Whether an answer may be right in part. Such answers vary less, and may be worth more than there are.

    Where all answers are alike, clusters show no variance, and each is taken for one answer.
    """
    counted = counts > 0
    right, counts = right[counted], counts[counted]
    clusters, total = len(counts), float(counts.sum())
    if (counts == 1).all() and not in_part:
        return total
    share = float(right.sum()) / total
    if share in (0.0, 1.0):
        return float(clusters)
    variance = standard_error(left_out(right, counts)) ** 2  # one large cluster pulls the share, and so hides from it
    if variance < 1e-24:  # rounding leaves some of nothing
        return float(clusters)
    shrunk = (normal((1 + level) / 2) / student(clusters - 1, (1 + level) / 2)) ** 2
    return max(1.0, min(np.inf if in_part else total, share * (1 - share) / variance * shrunk))


def share_interval(
    right: Floats, counts: Floats, *, level: float = LEVEL, in_part: bool = False
) -> tuple[float, float] | None:
    """Give the interval of a share over clusters; None where fewer than two clusters count.

    Args:
        right: (clusters,) right answers of each.
        counts: (clusters,) answers of each; 0 where it does not count.
        level: What it is to cover.
        in_part: Whether an answer may be right in part.
    """
    if int((counts > 0).sum()) < 2:
        return None
    size = effective_size(right, counts, level=level, in_part=in_part)
    return wilson(float(right.sum() / counts.sum()) * size, size, level=level)
