"""Draw the best of N, and set two pools of masks side by side at as many distinct masks.

Random points hit the ground again and again: a pool of as many masks holds fewer that differ, and so has fewer chances.
What attention adds is read where both sides have as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.intervals import Cluster, Sums, cluster_of
from pixcore.figures.scores import measured
from pixcore.records import Candidate, ProtocolResult, Sample
from pixcore_statistics.bootstrap import summed
from pixcore_statistics.means import difference, t_interval

Floats = NDArray[np.float64]


def expected_best(values: Floats, sizes: Sequence[int]) -> Floats:
    """Give the expected maximum of n values drawn without replacement, in closed form.

    With the values sorted ascending, the i-th (from 1) is the maximum of C(i-1, n-1) of the C(N, n) draws.

    Args:
        values: (N,).
        sizes: The n.

    Returns:
        One value a size; NaN where there are fewer than n values.

    The best of two draws out of 0, 0.5 and 1 is 1 twice in three times:

    >>> expected_best(np.array([0.5, 1.0, 0.0]), (1, 2, 3)).round(3).tolist()
    [0.5, 0.833, 1.0]
    """
    total = len(values)
    ordered = np.sort(values)
    result = np.full(len(sizes), np.nan)
    for place, size in enumerate(sizes):
        if not 0 < size <= total:
            continue
        # P(max is the i-th) = C(i-1, n-1) / C(N, n), by recurrence from the largest down
        weights = np.zeros(total)
        weight = size / total
        for index in range(total - 1, size - 2, -1):
            weights[index] = weight
            if index > 0:
                weight *= (index - size + 1) / index
        result[place] = float(weights @ ordered)
    return result


def distinct(candidates: Sequence[Candidate], ious: Sequence[Floats]) -> Floats:
    """Give the IoUs of candidates' masks, those of equal masks once."""
    counts = [mask["counts"] for candidate in candidates for mask in candidate.masks]
    firsts = {mask: place for place, mask in reversed(list(enumerate(counts)))}
    return np.concatenate([np.zeros(0), *ious])[list(firsts.values())]


class EqualMasks:
    """The best of as many distinct masks as a run's own candidates and a control's both have, sample by sample.

    Samples whose object is there count, and on which both sides have any mask.
    """

    def __init__(self) -> None:
        self._clusters: list[Cluster] = []
        self._found: list[tuple[float, float, float]] = []
        self._left_out = 0

    def add(self, sample: Sample, outcome: ProtocolResult, control: str) -> None:
        """Take in one sample, measured or not."""
        outcome = outcome if outcome.ious is not None else measured(sample, outcome)
        sides = (outcome.candidates, outcome.ious or ()), (outcome.pool(control), outcome.control_ious.get(control, ()))
        masks = [distinct(*side) for side in sides]
        size = min(map(len, masks))
        if size == 0:
            self._left_out += 1
            return
        own, lent = (float(expected_best(values, (size,))[0]) for values in masks)
        self._clusters.append(cluster_of(sample))
        self._found.append((own, lent, size))

    def account(self) -> dict[str, Any]:
        """Give both sides' means in percent, how they differ with its 95 % interval, and of how many samples."""
        if not self._found:
            return {}
        own, control, masks = 100 * np.mean(self._found, axis=0)
        sums = summed(self._clusters, np.array([(*values, 1.0) for values in self._found])).T
        less, error, clusters = difference(Sums("mean", sums[1], sums[3]), Sums("mean", sums[0], sums[3]))
        low, high = (None, None) if np.isnan(error) else t_interval(100 * less, 100 * error, clusters, most=100)
        values = {"own": own, "control": control, "less": 100 * less, "low": low, "high": high, "masks": masks / 100}
        known = {name: None if value is None else float(value) for name, value in values.items()}
        return {**known, "n": len(self._found), "left_out": self._left_out}
