"""Set answers beside masks: are they right together more often than if they had nothing to do with each other?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pixcore_statistics.bootstrap import summed
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.means import standard_error, t_interval
from pixcore_statistics.proportions import share_interval

from pixcore.figures.intervals import FEW, Cluster

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NAMES = ("both right", "only the answer", "only the grounding", "neither")

_WAYS = ((True, True), (True, False), (False, True), (False, False))


@dataclass(frozen=True)
class Association:
    """How answers and masks of samples go together.

    Attributes:
        samples: How many came out each way, in the order of `NAMES`.
        clusters: Over how many clusters.
        both: Share of samples with both right; Wilson's interval over clusters.
        independent: The share with both right if the two had nothing to do with each other.
        excess: `both` minus `independent`; t over clusters. No interval where a way never came out, or fewer than ten
            answers, or masks, were right, or wrong.
        odds_ratio: The odds of a found object where the answer is right, over those where it is wrong; one half is
            added to each count (Haldane and Anscombe), so that no zero makes it infinite. t on its logarithm, by the
            larger of the clusters' standard error and that of as many independent samples (Woolf). NaN where all
            answers, or all masks, came out alike; no interval where fewer than ten did otherwise.
    """

    samples: tuple[int, ...]
    clusters: int
    both: Estimate
    independent: float
    excess: Estimate
    odds_ratio: Estimate


def association(clusters: Sequence[Hashable] | Ints, right: Ints, found: Ints) -> Association | None:
    """Set answers beside masks.

    Args:
        clusters: What each sample is drawn together with.
        right: (samples,) whether the answer is right: 1 or 0; -1 where nobody can say.
        found: (samples,) whether the object was found, likewise.

    Returns:
        None where no sample has both.
    """
    ways = np.array([(right == way[0]) & (found == way[1]) for way in _WAYS], np.float64).T
    sums = summed(clusters, ways)
    sums = sums[sums.any(axis=1)]
    counts = sums.sum(0, keepdims=True)
    total = counts.sum()
    if not total:
        return None
    margins = [counts.reshape(2, 2).sum(axis) for axis in (0, 1)]
    enough = len(sums) >= FEW and np.min(margins) >= FEW
    ratio = Estimate(float("nan"))
    if np.min(margins):
        ratio = Estimate(*_odds_ratio(counts, sums, enough=enough))
    excess = float(_excess(counts)[0])
    both = float(counts[0, 0] / total)
    return Association(
        samples=tuple(int(count) for count in counts[0]),
        clusters=len(sums),
        both=Estimate(both, *(share_interval(sums[:, 0], sums.sum(1)) or (None, None))),
        independent=both - excess,
        excess=Estimate(excess, *_around(excess, _excess(counts - sums)))
        if enough and counts.all()
        else Estimate(excess),
        odds_ratio=ratio,
    )


def _odds_ratio(counts: Floats, sums: Floats, *, enough: bool) -> tuple[float, float | None, float | None]:
    value = float(_log_odds(counts)[0])
    if not enough:
        return float(np.exp(value)), None, None
    woolf = float(np.sqrt(np.sum(1 / (counts + 0.5))))
    low, high = _around(value, _log_odds(counts - sums), least=woolf)
    return float(np.exp(value)), float(np.exp(low)), float(np.exp(high))


def _around(value: float, without: Floats, *, least: float = 0.0) -> tuple[float, float]:
    return t_interval(value, max(standard_error(without), least), len(without))


def _log_odds(counts: Floats) -> Floats:
    both, answer, grounding, neither = (counts + 0.5).T
    return np.asarray(np.log(both * neither / (answer * grounding)))


def _excess(counts: Floats) -> Floats:
    both, answer, grounding, _ = counts.T / counts.sum(1)
    return np.asarray(both - (both + answer) * (both + grounding))


@dataclass(frozen=True)
class Outcomes:
    """How answers of one probing and masks of one row came out together.

    Attributes:
        answers: The probing whose answers count.
        units: How many pairs (samples, where there are no pairs) came out each way, in the order of `NAMES`; a pair
            is right if all of its samples are, and one of which a sample lacks an answer or a mask is none.
        of_samples: The same of samples, each for itself.
    """

    answers: str
    units: tuple[int, ...]
    of_samples: Association


class OutcomeTally:
    """Counts outcomes for each probing that has graded answers, until one of them is asked for."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[Cluster, bool, bool]]] = {}
        self._sizes: Counter[Cluster] = Counter()

    def add(self, cluster: Cluster, answered: Mapping[str, bool], grounded: bool | None) -> None:
        """Take in one sample.

        Args:
            cluster: What it is drawn together with.
            answered: For each probing that has a graded answer whether it is right.
            grounded: Whether the object was found; None where nobody can say.
        """
        if cluster.pair:
            self._sizes[cluster] += 1
        for probing, right in answered.items() if grounded is not None else ():
            self._found.setdefault(probing, []).append((cluster, right, bool(grounded)))

    def finish(self, answers: str | None) -> Outcomes | None:
        """Count the outcomes of one probing's answers: the named one's, else the first's; None without any."""
        probing = answers or next(iter(self._found), None)
        if probing is None or probing not in self._found:
            return None
        found = self._found[probing]
        units: dict[Cluster | int, tuple[bool, bool]] = {}
        for number, (cluster, right, grounded) in enumerate(found):
            unit = cluster if cluster.pair else number
            before = units.get(unit, (True, True))
            units[unit] = (before[0] and right, before[1] and grounded)
        sizes = Counter(cluster for cluster, *_ in found if cluster.pair)
        whole = [unit for unit in units if isinstance(unit, int) or sizes[unit] == self._sizes[unit] > 1]
        pairs = Counter(units[unit] for unit in whole)
        clusters, *sides = zip(*found, strict=True)
        of_samples = association(clusters, *(np.array(side, np.int64) for side in sides))
        return None if of_samples is None else Outcomes(probing, tuple(pairs[way] for way in _WAYS), of_samples)
