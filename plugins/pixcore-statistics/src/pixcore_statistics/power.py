"""The least difference that so many clusters can show: with 80 % power, at the level of 5 %, on two sides.

Of two accuracies over the same pairs only the pairs that differ speak, so the answer depends on their share, the
discordance. Of two means it depends on how much the differences spread.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special, stats

LEVEL, POWER = 0.05, 0.80


def power_of_mcnemar(n: int, discordance: float, difference: float, *, level: float = LEVEL) -> float:
    """Say how often McNemar's exact test finds a difference.

    Args:
        n: Pairs.
        discordance: Share of the pairs that one side alone has right.
        difference: Between both sides' shares, at most the discordance.
        level: Of the test.
    """
    lean = (1 + difference / discordance) / 2
    fewest, largest = stats.binom.ppf([1e-13, 1 - 1e-13], n, discordance)  # how many differ, but for the rarest cases
    differing = np.arange(max(1, int(fewest)), int(largest) + 1)
    most = stats.binom.ppf(level / 2, differing, 0.5)
    most -= 2 * stats.binom.cdf(most, differing, 0.5) > level  # so many at most on one side, and the test finds it
    tails = stats.binom.cdf(most, differing, lean) + stats.binom.sf(differing - most - 1, differing, lean)
    return float(stats.binom.pmf(differing, n, discordance) @ np.where(most >= 0, tails, 0.0))


def least_share_difference(n: int, discordance: float, *, level: float = LEVEL, power: float = POWER) -> float | None:
    """Give the least difference of two shares over the same pairs that McNemar's exact test finds.

    Args:
        n: Pairs.
        discordance: Share of the pairs that one side alone has right.
        level: Of the test.
        power: How often it is to be found.

    Returns:
        From 0 to 1; None where even the largest, the discordance itself, would be missed too often.

    >>> [round(100 * least_share_difference(150, share), 1) for share in (0.1, 0.2, 0.3)]
    [7.3, 10.6, 12.8]
    """
    if discordance <= 0 or power_of_mcnemar(n, discordance, discordance, level=level) < power:
        return None

    def missing(difference: float) -> float:
        return power_of_mcnemar(n, discordance, difference, level=level) - power

    return float(optimize.brentq(missing, 0.0, discordance, xtol=1e-5))


def least_mean_difference(error: float, clusters: int, *, level: float = LEVEL, power: float = POWER) -> float:
    """Give the least difference of two means that a t test over clusters finds, given its standard error."""
    if clusters < 2:
        return float("nan")
    found = stats.t.ppf(1 - level / 2, clusters - 1)  # beyond it the test finds a difference
    reach = special.nctdtrinc(clusters - 1, 1 - power, found)
    return float(reach * error) if np.isfinite(error) else float("nan")
