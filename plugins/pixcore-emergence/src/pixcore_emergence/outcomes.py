"""Set answers beside masks: are they right together more often than chance would have it?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from pixcore_statistics.bootstrap import summed

from pixcore.figures.intervals import Cluster
from pixcore_emergence.estimates import Estimate, Floats, resampled

NAMES = ("both right", "only the answer", "only the grounding", "neither")

_WAYS = ((True, True), (True, False), (False, True), (False, False))


@dataclass(frozen=True)
class Outcomes:
    """How answers of one probing and masks of one row came out together.

    Attributes:
        answers: The probing whose answers count.
        units: How many pairs (samples, where there are no pairs) came out each way, in the order of `NAMES`; a pair
            is right if both of its samples are.
        samples: How many samples did.
        by_chance: How many samples would be right in both if the two had nothing to do with each other.
        odds_ratio: Of the samples: the odds of a found object where the answer is right, over those where it is wrong;
            one half is added to each count (Haldane and Anscombe), so that no zero makes it infinite.
    """

    answers: str
    units: tuple[int, ...]
    samples: tuple[int, ...]
    by_chance: float
    odds_ratio: Estimate


class OutcomeTally:
    """Counts outcomes for each probing that has graded answers, until one of them is asked for.

    Args:
        seed: Of the bootstrap.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._found: dict[str, list[tuple[Cluster, bool, bool]]] = {}

    def add(self, cluster: Cluster, answered: dict[str, bool], grounded: bool) -> None:
        """Take in one sample: for each probing whether its answer is right, and whether the object was found."""
        for probing, right in answered.items():
            self._found.setdefault(probing, []).append((cluster, right, grounded))

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
        pairs = Counter(units.values())
        ways = np.array([[(right, grounded) == way for way in _WAYS] for _, right, grounded in found], dtype=np.float64)
        both, answer, grounding, _ = counts = ways.sum(0)
        return Outcomes(
            answers=probing,
            units=tuple(pairs[way] for way in _WAYS),
            samples=tuple(int(count) for count in counts),
            by_chance=float((both + answer) * (both + grounding) / len(found)),
            odds_ratio=resampled(summed([cluster for cluster, _, _ in found], ways), _odds_ratio, seed=self._seed),
        )


def _odds_ratio(counts: Floats) -> Floats:
    both, answer, grounding, neither = (counts + 0.5).T
    return np.asarray(both * neither / (answer * grounding))
