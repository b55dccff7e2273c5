"""Compare two runs on the same samples: what differs, by how much, and whether it could be chance.

Differences are right minus left in percent points. Their intervals resample pairs of samples
(`pixcore.figures.intervals`) with the same draws on both sides, so that what is hard for both cancels. Right and wrong
answers are compared by McNemar's exact test on the samples (pairs) that only one side has right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pixcore_scoring.streaming import accumulate
from scipy import stats

from pixcore.figures import columns as table
from pixcore.figures.intervals import RESAMPLES, Cluster, cluster_of, draws, interval, ratios
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import is_correct
from pixcore.figures.summary import Tally
from pixcore.protocols import in_order
from pixcore.records import Fidelity, SampleResult

Floats = NDArray[np.float64]

FOUND = 0.5
"""Above this IoU a mask counts as found: crossing it is a flip."""


@dataclass(frozen=True)
class Difference:
    """How one figure differs between both sides.

    Attributes:
        name: The figure.
        left: In percent; None where it was not measured.
        right: Likewise.
        difference: Right minus left, in percent points.
        low: Lower end of its 95 % interval.
        high: Upper end.
        clusters: How many pairs (samples, where there are no pairs) both sides measured.
    """

    name: str
    left: float | None
    right: float | None
    difference: float | None
    low: float | None
    high: float | None
    clusters: int


@dataclass(frozen=True)
class McNemar:
    """How often each side alone is right: McNemar's test.

    Attributes:
        protocol: The probing.
        unit: What is counted: "sample" or "pair".
        both: Right on both sides.
        only_left: Right on the left alone.
        only_right: Right on the right alone.
        neither: Wrong on both sides.
        p: Two-sided exact p-value of the hypothesis that both sides are right equally often.
    """

    protocol: str
    unit: str
    both: int
    only_left: int
    only_right: int
    neither: int
    p: float

    @property
    def flip_rate(self) -> float:
        """Share of units that are right on one side alone."""
        total = self.both + self.only_left + self.only_right + self.neither
        return (self.only_left + self.only_right) / total if total else 0.0


@dataclass(frozen=True)
class Flip:
    """One sample that came out otherwise.

    Attributes:
        sample_id: The sample.
        protocol: The probing.
        kind: "answer", or "mask" where the IoU crossed one half.
        left: Right or wrong, or the IoU.
        right: Likewise.
    """

    sample_id: str
    protocol: str
    kind: str
    left: float
    right: float


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        left: Name of the left side.
        right: Name of the right side.
        differences: Figure by figure.
        tests: Right and wrong.
        flips: Which samples came out otherwise, the largest change first.
        notes: What a reader has to know.
    """

    left: str
    right: str
    differences: tuple[Difference, ...]
    tests: tuple[McNemar, ...]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()


@dataclass
class Side:
    """One run of two, taken in sample by sample.

    Args:
        name: What it is called.
        row: The row of its table that is compared.
        fidelity: Whose rules.
    """

    name: str
    row: RowSpec
    fidelity: Fidelity
    correct: dict[str, dict[str, bool]] = field(default_factory=dict)
    ious: dict[str, dict[str, float]] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tally = Tally([self.row], self.fidelity)

    def take(self, results: Iterable[SampleResult]) -> Side:
        """Take in a run's results; only numbers are kept."""
        accumulate(results, self)
        return self

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
        self.tally.add(result)
        sample = result.sample
        self.clusters[sample.id] = cluster_of(sample)
        for protocol, outcome in result.by_probing.items():
            right = is_correct(sample, outcome)
            if right is not None:
                self.correct.setdefault(protocol, {})[sample.id] = right
            score = outcome.scores.get(self.row.key)
            if score is not None and score.iou is not None:
                self.ious.setdefault(protocol, {})[sample.id] = score.iou


def compare(left: Side, right: Side, *, seed: int = 0, resamples: int = RESAMPLES) -> Comparison:
    """Compare two runs on the samples that both have.

    Args:
        left: One side.
        right: The other; differences are right minus left.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
    """
    notes = []
    alone = left.clusters.keys() ^ right.clusters.keys()
    if alone:
        notes.append(f"{len(alone)} sample(s) are on one side alone and left out")
    if left.fidelity is not right.fidelity:
        notes.append(f"the sides have different fidelities: {left.fidelity} and {right.fidelity}")
    return Comparison(
        left=left.name,
        right=right.name,
        differences=tuple(_differences(left, right, seed, resamples)),
        tests=tuple(_tests(left, right)),
        flips=tuple(sorted(_flips(left, right), key=lambda flip: (flip.kind, -abs(flip.right - flip.left)))),
        notes=tuple(notes),
    )


def mcnemar(only_left: int, only_right: int) -> float:
    """Work out the two-sided exact p-value that as many differing samples fall to each side by chance."""
    if only_left + only_right == 0:
        return 1.0
    return float(stats.binomtest(only_left, only_left + only_right, 0.5).pvalue)


def flip_rates(sides: Sequence[Side]) -> dict[str, tuple[float, int]]:
    """Measure how far several judges or seeds agree.

    Returns:
        For each protocol the share of samples that are not right (or not wrong) on all sides, and of how many samples.
    """
    rates = {}
    for protocol in in_order(name for side in sides for name in side.correct):
        tables = [side.correct.get(protocol, {}) for side in sides]
        shared = set.intersection(*(set(table) for table in tables)) if tables else set()
        if shared:
            flipped = sum(len({table[name] for table in tables}) > 1 for name in shared)
            rates[protocol] = (flipped / len(shared), len(shared))
    return rates


def _differences(left: Side, right: Side, seed: int, resamples: int) -> Iterator[Difference]:
    clusters_left, sums_left = left.tally.sums(left.row.key)
    clusters_right, sums_right = right.tally.sums(right.row.key)
    places_left = {cluster: place for place, cluster in enumerate(clusters_left)}
    places_right = {cluster: place for place, cluster in enumerate(clusters_right)}
    shared = [cluster for cluster in clusters_left if cluster in places_right]
    at_left = [places_left[cluster] for cluster in shared]
    at_right = [places_right[cluster] for cluster in shared]
    figures = [name for name in sums_left if name in sums_right]
    if not shared or not figures:
        return
    columns = []
    for sums, at in ((sums_left, at_left), (sums_right, at_right)):
        counts = np.stack([sums[name][1][at] for name in figures], axis=1)
        columns.append((np.stack([sums[name][0][at] for name in figures], axis=1), counts))
    # a cluster counts in a figure where both sides measured it
    measured = (columns[0][1] > 0) & (columns[1][1] > 0)
    columns = [(sums * measured, counts * measured) for sums, counts in columns]
    values = [ratios(sums.sum(0), counts.sum(0)) for sums, counts in columns]
    blocks = list(draws(len(shared), seed=seed, resamples=resamples))
    drawn = [np.concatenate([ratios(block @ sums, block @ counts) for block in blocks]) for sums, counts in columns]
    by_name = [{name: np.asarray(side[at]) for at, name in enumerate(figures)} for side in values]
    spreads = [{name: side[:, at] for at, name in enumerate(figures)} for side in drawn]
    clusters = {name: int(measured[:, at].sum()) for at, name in enumerate(figures)}
    for whole, spread in zip(by_name, spreads, strict=True):
        whole |= {entry.name: value for entry, value in table.made(whole)}
        spread |= {entry.name: value for entry, value in table.made(spread)}
    for name in table.in_order(list(by_name[0])):
        ends = spreads[1][name] - spreads[0][name]
        yield _difference(name, float(by_name[0][name]), float(by_name[1][name]), ends, clusters.get(name, len(shared)))


def _difference(name: str, left: float, right: float, spread: Floats, clusters: int) -> Difference:
    scale = table.scale(name)
    ends = interval(spread) if clusters > 1 else None
    return Difference(
        name=name,
        left=None if np.isnan(left) else scale * left,
        right=None if np.isnan(right) else scale * right,
        difference=None if np.isnan(right - left) else scale * (right - left),
        low=scale * ends[0] if ends else None,
        high=scale * ends[1] if ends else None,
        clusters=clusters,
    )


def _tests(left: Side, right: Side) -> Iterator[McNemar]:
    for protocol in in_order(left.correct):
        answers = left.correct.get(protocol, {}), right.correct.get(protocol, {})
        shared = [name for name in answers[0] if name in answers[1]]
        if not shared:
            continue
        yield _test(protocol, "sample", [(answers[0][name], answers[1][name]) for name in shared])
        members: dict[Cluster, list[str]] = {}
        for name in shared:
            cluster = left.clusters[name]
            if cluster.pair:
                members.setdefault(cluster, []).append(name)
        whole = [names for names in members.values() if len(names) > 1]
        if whole:
            both = [tuple(all(side[name] for name in names) for side in answers) for names in whole]
            yield _test(protocol, "pair", [(one, other) for one, other in both])


def _test(protocol: str, unit: str, outcomes: Sequence[tuple[bool, bool]]) -> McNemar:
    ways: Mapping[tuple[bool, bool], int] = {
        way: outcomes.count(way) for way in ((True, True), (True, False), (False, True), (False, False))
    }
    only_left, only_right = ways[True, False], ways[False, True]
    return McNemar(
        protocol, unit, ways[True, True], only_left, only_right, ways[False, False], mcnemar(only_left, only_right)
    )


def _flips(left: Side, right: Side) -> Iterator[Flip]:
    for protocol in in_order((*left.correct, *left.ious)):
        answers = left.correct.get(protocol, {}), right.correct.get(protocol, {})
        for name, before in answers[0].items():
            if name in answers[1] and answers[1][name] != before:
                yield Flip(name, protocol, "answer", float(before), float(answers[1][name]))
        found = left.ious.get(protocol, {}), right.ious.get(protocol, {})
        for name, iou in found[0].items():
            if name in found[1] and (iou > FOUND) != (found[1][name] > FOUND):
                yield Flip(name, protocol, "mask", iou, found[1][name])
