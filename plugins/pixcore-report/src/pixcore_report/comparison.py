"""Compare two runs on the same samples: what differs, by how much, and whether it could be chance.

Both sides are built over the samples that both were asked, so that what is hard for both cancels. One figure may be
named beforehand as the primary one; all others are corrected for their number (Holm), so that of two equal runs one
comparison in twenty shows anything. What is not different is told as well: within which margin both are shown alike,
and the least difference that so many clusters would have found four times in five.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from pixcore_scoring.streaming import accumulate
from pixcore_statistics import holm, mcnemar
from pixcore_statistics.agreement import Agreement, Components, agreement, components
from pixcore_statistics.means import left_out
from pixcore_statistics.paired import Paired, paired, paired_less, paired_made
from pixcore_statistics.wording import joined, plural

from pixcore.errors import ConfigError, DataError, nearest
from pixcore.figures import columns as table
from pixcore.figures.columns import FigureColumn, Own
from pixcore.figures.intervals import FEW, Cluster, Sums, cluster_of, ratios
from pixcore.figures.kept import Group
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import is_correct
from pixcore.figures.summary import Tally
from pixcore.predictions.format import NO_PREDICTION
from pixcore.protocols import in_order
from pixcore.records import Fidelity, ProtocolResult, SampleResult

Floats = NDArray[np.float64]

LEVEL = 0.05

FOUND = 0.5
"""Above this IoU a mask counts as found: crossing it is a flip."""


@dataclass(frozen=True)
class Difference:
    """How one figure differs between both sides; all but the counts and p-values in the figure's unit.

    Attributes:
        name: The figure.
        left: Its value; None where it was not measured.
        right: Likewise.
        difference: Right minus left.
        low: Lower end of its 95 % interval; None where none would be honest.
        high: Upper end.
        clusters: How many clusters count on either side.
        p: Two-sided p-value.
        adjusted: The primary figure's own p-value; every other's after Holm's correction.
        primary: Whether it was named beforehand.
        margin: The least margin within which both sides are shown to be alike, at a level of 5 %.
        detectable: The least difference that would be found four times in five.
        method: Of interval and test.
    """

    name: str
    left: float | None
    right: float | None
    difference: float | None
    low: float | None = None
    high: float | None = None
    clusters: int = 0
    p: float | None = None
    adjusted: float | None = None
    primary: bool = False
    margin: float | None = None
    detectable: float | None = None
    method: str = ""

    @property
    def clear(self) -> bool:
        """Whether it is no chance, at a level of 5 %, with all other figures looked at."""
        return self.adjusted is not None and self.adjusted <= LEVEL


@dataclass(frozen=True)
class McNemar:
    """How often each side alone is right: McNemar's test, exact for pairs, Durkalski's for samples that share clusters.

    Attributes:
        protocol: The probing.
        unit: What is counted: "sample" or "pair".
        both: Right on both sides.
        only_left: Right on the left alone.
        only_right: Right on the right alone.
        neither: Wrong on both sides.
        p: Two-sided p-value of the hypothesis that both sides are right equally often; None where fewer than ten
            clusters are shared: Durkalski's test would call four that lean one way a find.
    """

    protocol: str
    unit: str
    both: int
    only_left: int
    only_right: int
    neither: int
    p: float | None

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
        primary: The figure that was named beforehand.
        delta: The difference that was named as of no matter.
        agreements: How far the answers of both sides agree, by probing.
    """

    left: str
    right: str
    differences: tuple[Difference, ...]
    tests: tuple[McNemar, ...]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()
    primary: str | None = None
    delta: float | None = None
    agreements: Mapping[str, Agreement] = field(default_factory=dict)


@dataclass
class Side:
    """One run of two, taken in sample by sample.

    Args:
        name: What it is called.
        row: The row of its table that is compared.
        fidelity: Whose rules.
        s_of: The accuracy and the mean IoU that its S is made of; empty: the better of each.
        control: The row of its matched control, if it has one.
    """

    name: str
    row: RowSpec
    fidelity: Fidelity
    s_of: tuple[str, ...] = ()
    control: RowSpec | None = None
    correct: dict[str, dict[str, bool]] = field(default_factory=dict)
    ious: dict[str, dict[str, float]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    truths: dict[str, int] = field(default_factory=dict)
    lacking: dict[str, set[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rows = (self.row,) if self.control is None else (self.row, self.control)
        self.tally = Tally(self.rows, self.fidelity, s_of=self.s_of)

    def take(self, results: Iterable[SampleResult]) -> Side:
        """Take in a run's results; only numbers are kept."""
        accumulate(results, self)
        return self

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
        self.tally.add(result)
        sample = result.sample
        self.numbers[sample.id] = len(self.numbers)
        self.clusters[sample.id] = cluster_of(sample)
        self.asked[sample.id] = hash((sample.question, sample.options, sample.expression))
        self.truths[sample.id] = hash((sample.answer, repr(sample.mask)))
        lacking = [protocol for protocol, outcome in result.by_probing.items() if _is_lacking(outcome)]
        for protocol in lacking:
            self.lacking.setdefault(protocol, set()).add(sample.id)
        if lacking and len(lacking) == len(result.by_probing):
            self.silent.add(sample.id)
        for protocol, outcome in result.by_probing.items():
            right = is_correct(sample, outcome)
            if right is not None:
                self.correct.setdefault(protocol, {})[sample.id] = right
            score = outcome.scores.get(self.row.key)
            if score is not None and score.iou is not None:
                self.ious.setdefault(protocol, {})[sample.id] = score.iou


def _is_lacking(outcome: ProtocolResult) -> bool:
    """Whether a predictions file has no line for it."""
    return NO_PREDICTION in (outcome.error, outcome.verdict.reason if outcome.verdict is not None else None)


def compare(
    left: Side, right: Side, *, seed: int = 0, primary: str | None = None, delta: float | None = None
) -> Comparison:
    """Compare two runs on the samples that both have.

    Args:
        left: One side.
        right: The other; differences are right minus left.
        seed: Of the bootstrap.
        primary: The figure that was named before anybody looked; it needs no correction.
        delta: A difference that is of no matter, in the figures' unit.

    Raises:
        ConfigError: The sides have no such primary figure.
        DataError: They share no sample, or were asked different things about samples of one id.
    """
    notes = comparable((left, right))
    differences = tuple(_corrected(list(_differences(left, right, seed)), primary))
    if all(one.difference is None for one in differences):
        notes.append("the sides share no figure: nothing was asked of both in the same way")
    return Comparison(
        left=left.name,
        right=right.name,
        differences=differences,
        tests=tuple(_tests(left, right)),
        flips=tuple(sorted(_flips(left, right), key=lambda flip: (flip.kind, -abs(flip.right - flip.left)))),
        notes=tuple(notes),
        primary=primary,
        delta=delta,
        agreements=agreements((left, right), seed=seed),
    )


@dataclass(frozen=True)
class Spread:
    """How one figure spreads over several runs, in its unit.

    Attributes:
        name: The figure.
        values: Of each run.
        components: Where its spread over samples and runs comes from; None where fewer than ten clusters count or all
            are the same in every run, which tells nothing of others, and of what is made of other figures.
        clusters: How many clusters count in every run.
    """

    name: str
    values: tuple[float, ...]
    components: Components | None
    clusters: int


SPREADS = (
    "spread: standard deviations, of samples whichever run, of runs on the same samples, and what is left",
    "standard error: of the mean over runs, were both samples and runs (seeds, judges) drawn anew",
)
"""What the columns of a table of spreads say."""


def comparable(sides: Sequence[Side]) -> list[str]:
    """Make sure that the sides can be compared, and note what a reader has to know of it.

    Raises:
        DataError: They share no sample, or were asked different things about samples of one id.
    """
    shared, notes = shared_by(sides), []
    if not shared:
        raise DataError("the sides share no sample", hint="compare runs of the same samples")
    if nowhere := len(silent_everywhere(sides)):
        notes.append(f"{nowhere} sample(s) have a prediction on no side and are left out")
    for probing in in_order(sides[0].lacking):
        if some := len(predicted_nowhere(sides, probing).intersection(shared)):
            notes.append(f"{some} sample(s) have none under {probing} on any side and are left out of its figures")
    if left_out := len({name for side in sides for name in side.numbers}) - len(shared) - nowhere:
        where = "on one side alone" if len(sides) == 2 else "not on every side"
        notes.append(f"{left_out} sample(s) are {where} and left out")
    notes += asked_alike(sides)
    if len(fidelities := dict.fromkeys(side.fidelity for side in sides)) > 1:
        notes.append(f"the sides have different fidelities: {joined(fidelities)}")
    if any(side.s_of != sides[0].s_of for side in sides):
        notes.append("the sides' S are not made of the same figures: here all are of the better of each")
    return notes


def asked_alike(sides: Sequence[Side]) -> list[str]:
    """Make sure that the sides were asked the same of the samples they share, and note where the truth differs.

    Raises:
        DataError: They were asked different things about samples of one id.
    """
    shared = shared_by(sides)
    others = [name for name in shared if len({side.asked[name] for side in sides}) > 1]
    if others:
        problem = (
            f"{len(others)} of {len(shared)} shared samples are asked something else on each side, first {others[0]!r}"
        )
        raise DataError(problem, hint="compare runs of the same questions, options and expressions")
    differing = sum(len({side.truths[name] for side in sides}) > 1 for name in shared)
    return [f"{differing} shared sample(s) have another truth (answer or mask) on each side"] if differing else []


def agreements(sides: Sequence[Side], *, seed: int = 0) -> dict[str, Agreement]:
    """Measure how far the answers of several judges or seeds agree, for each probing that all have."""
    found = {}
    for protocol in in_order(name for side in sides for name in side.correct):
        tables, nowhere = [side.correct.get(protocol, {}) for side in sides], predicted_nowhere(sides, protocol)
        shared = [name for name in tables[0] if name not in nowhere and all(name in table for table in tables)]
        if shared:
            right = np.array([[table[name] for table in tables] for name in shared])
            found[protocol] = agreement(right, [sides[0].clusters[name] for name in shared], seed=seed)
    return found


def spreads(sides: Sequence[Side]) -> Iterator[Spread]:
    """Tell how each figure spreads over several runs of the same samples; of made ones, what each run has."""
    shared = shared_by(sides)
    groups = _groups(sides, shared, _places(sides[0], shared))
    tables = [side.tally.sums(side.row.key, group) for side, group in zip(sides, groups, strict=True)]
    for name, first in tables[0].items():
        if first.kind == "ratio" or not all(name in sums for sums in tables):
            continue
        above, below = (
            np.stack([getattr(sums[name], term) for sums in tables], axis=1) for term in ("numerators", "denominators")
        )
        counted = (below > 0).all(1)
        if counted.any():
            scale = table.scale(name)
            values = tuple(float(one) for one in scale * above.sum(0) / below.sum(0))
            split = None
            if counted.sum() >= FEW and np.ptp(of_each := scale * _by_cluster(above, below)) > 1e-9:
                split = components(of_each)
            yield Spread(name, values, split, int(counted.sum()))
    own = _own(sides)
    known = {
        name: np.array([ratios(sums[name].numerators.sum(), sums[name].denominators.sum()) for sums in tables])
        for name in tables[0]
        if all(name in sums for sums in tables)
    }
    for entry, made in table.made(known, own):
        if not np.isnan(made).any():
            yield Spread(entry.name, tuple(float(one) for one in table.scale(entry.name) * made), None, 0)


def _by_cluster(above: Floats, below: Floats) -> Floats:
    """What each cluster says of each side's figure, (clusters, sides), by what leaving it out changes (pseudo-values).

    Of clusters of one size it is their own ratios; one with many samples says as much as it weighs in the figure.
    """
    asked = below.any(1)
    figures, count = above.sum(0) / below.sum(0), asked.sum()
    without = [left_out(*terms) for terms in zip(above[asked].T, below[asked].T, strict=True)]
    return np.asarray(count * figures - (count - 1) * np.stack(without, axis=1))


def told(found: Comparison) -> Iterator[str]:
    """Say how the differences are to be read, a line each."""
    tested = [one for one in found.differences if one.adjusted is not None]
    others = sum(not one.primary for one in tested)
    if found.primary is None:
        yield (
            f"bold: p of at most 0.05, corrected for {plural(others, 'figure')} (Holm); "
            "--primary FIGURE, named before you look, needs no correction"
        )
    else:
        yield (
            f"bold: p of at most 0.05; {found.primary} is primary (*) and needs no correction, "
            f"all others ({others}) are corrected (Holm)"
        )
    yield "alike within: no difference is larger than that, at a level of 5 % (two one-sided tests)"
    yield "detects: the least difference that would have been found four times in five"
    if found.delta is not None:
        alike = [one.name for one in found.differences if one.margin is not None and one.margin <= found.delta]
        yield f"no difference larger than {found.delta:g}: {', '.join(alike) or 'shown of no figure'}"


def _corrected(differences: Sequence[Difference], primary: str | None) -> Iterator[Difference]:
    """Correct every p-value for the number of figures, but for the primary one's."""
    names = [one.name for one in differences]
    if primary is not None and primary not in names:
        raise ConfigError(f"the sides share no figure {primary!r}", hint=nearest(primary, names))
    family = {one.name: one.p for one in differences if one.p is not None and one.name != primary}
    adjusted = holm.adjusted(family)
    for one in differences:
        yield replace(one, adjusted=adjusted.get(one.name, one.p), primary=one.name == primary)


def _own(sides: Sequence[Side]) -> Own:
    """What is the runs' own: every side's probings, and what S is made of where all sides say the same."""
    masks = dict.fromkeys(name for side in sides for name in side.tally.own.masks)
    graded = dict.fromkeys(name for side in sides for name in side.tally.own.graded)
    alike = all(side.s_of == sides[0].s_of for side in sides)
    return Own(tuple(masks), tuple(graded), sides[0].s_of if alike else ())


def _differences(left: Side, right: Side, seed: int) -> Iterator[Difference]:
    own = _own((left, right))
    sides = _shared_sums(left, right, own)
    values = [
        {name: ratios(sums.numerators.sum(), sums.denominators.sum()) for name, sums in side.items()} for side in sides
    ]
    found = {name: paired(sides[0][name], sides[1][name]) for name in sides[0]}
    found |= paired_made(*sides, own, seed=seed)
    for side in values:
        side |= {entry.name: value for entry, value in table.made(side, own)}
    for name, of in ((one.name, one.less_control or "") for one in table.with_own(own).values()):
        if of in found and found[of].clusters and left.control is not None and right.control is not None:
            less = _with_control(left, right, own, of)
            found[name] = paired_less(*less)
            for side, terms in zip(values, less, strict=True):
                strategy, control = (ratios(one.numerators.sum(), one.denominators.sum()) for one in terms)
                side[name] = strategy - control
    for name in table.in_order(found, own):
        yield _difference(name, float(values[0][name]), float(values[1][name]), found[name])


def _shared_sums(left: Side, right: Side, own: Own) -> tuple[dict[str, Sums], dict[str, Sums]]:
    """The terms of each figure on both sides, over the samples that both were asked and the same clusters."""
    found: tuple[dict[str, Sums], dict[str, Sums]] = ({}, {})
    fed = list(_fed_alike(left, right, own))
    places = _places(left, (name for _, shared in fed for name in shared))
    for entries, shared in fed:
        groups = _groups((left, right), shared, places)
        for side, sums, group in zip((left, right), found, groups, strict=True):
            columns = side.tally.sums(side.row.key, group)
            sums.update((entry.name, columns[entry.name]) for entry in entries if entry.name in columns)
    both = [name for name in found[0] if name in found[1]]
    return {name: found[0][name] for name in both}, {name: found[1][name] for name in both}


def _with_control(left: Side, right: Side, own: Own, of: str) -> tuple[tuple[Sums, Sums], tuple[Sums, Sums]]:
    """The terms of a figure of each side's strategy and of its control, over the samples that both sides have.

    A cluster with a sample that counts in a strategy's row alone, or in its control's, feeds nothing.
    """
    (shared,) = [names for entries, names in _fed_alike(left, right, own) if of in {entry.name for entry in entries}]
    probing = table.with_own(own)[of].probing or ""
    groups = list(_groups((left, right), shared, _places(left, shared)))
    alike = np.ones(len(groups[0].clusters))
    for side, group in zip((left, right), groups, strict=True):
        one, other = (side.tally.kept.masks[row.key, probing].counted(group) for row in side.rows)
        alike[group.cluster_of[np.setxor1d(one, other)]] = 0
    first, second = (
        [
            Sums(one.kind, one.numerators * alike, one.denominators * alike)
            for one in (side.tally.sums(row.key, group)[of] for row in side.rows)
        ]
        for side, group in zip((left, right), groups, strict=True)
    )
    return (first[0], first[1]), (second[0], second[1])


def shared_by(sides: Sequence[Side]) -> list[str]:
    """List the samples that all sides have, as they came on the first, and of which one has a prediction."""
    nowhere = silent_everywhere(sides)
    return [name for name in sides[0].numbers if name not in nowhere and all(name in side.numbers for side in sides)]


def predicted_nowhere(sides: Sequence[Side], probing: str) -> set[str]:
    """Find the samples that no side has a prediction of under a probing: they would make any two sides look alike."""
    return set[str].intersection(*(side.lacking.get(probing, set()) for side in sides))


def silent_everywhere(sides: Sequence[Side]) -> set[str]:
    """Find the samples that no side has any prediction of."""
    return set[str].intersection(*(side.silent for side in sides))


def counted_as_wrong(side: Side, sides: Sequence[Side]) -> int:
    """Count the samples of which a side lacks a prediction that another side has."""
    return len(set().union(*(names - predicted_nowhere(sides, probing) for probing, names in side.lacking.items())))


def _places(side: Side, names: Iterable[str]) -> dict[Cluster, int]:
    """Number the clusters that one side has samples in."""
    places: dict[Cluster, int] = {}
    for name in names:
        places.setdefault(side.clusters[name], len(places))
    return places


def _sizes(sides: Sequence[Side]) -> Counter[Cluster]:
    """Count the samples of each cluster that all sides have: of a pair all count, or none."""
    return Counter(sides[0].clusters[name] for name in shared_by(sides))


def _groups(sides: Sequence[Side], shared: Sequence[str], places: Mapping[Cluster, int]) -> Iterator[Group]:
    """The shared samples on each side, in the first side's clusters: another side's files may tell images otherwise."""
    at = np.array([places[sides[0].clusters[name]] for name in shared], np.int64)
    sizes = _sizes(sides)
    for side in sides:
        numbers = np.array([side.numbers[name] for name in shared], np.int64)
        cluster_of = np.full(len(side.numbers), -1)
        cluster_of[numbers] = at
        yield Group(np.sort(numbers), list(places), cluster_of, np.array([sizes[one] for one in places], np.int64))


def _fed_alike(left: Side, right: Side, own: Own) -> Iterator[tuple[list[FigureColumn], list[str]]]:
    """Figures that the same samples feed on both sides: those whose answers, or whose masks, both sides have."""
    for probing in dict.fromkeys(entry.probing for entry in table.with_own(own).values() if entry.probing):
        fed = [entry for entry in table.with_own(own).values() if entry.probing == probing]
        nowhere = predicted_nowhere((left, right), probing)
        for known, entries in (
            ("correct", [one for one in fed if one.answer]),
            ("ious", [one for one in fed if one.mask]),
        ):
            first, second = (getattr(side, known).get(probing, {}) for side in (left, right))
            if entries:
                yield entries, [name for name in first if name in second and name not in nowhere]


def _difference(name: str, left: float, right: float, found: Paired) -> Difference:
    scale = table.scale(name)

    def told(value: float | None) -> float | None:
        return None if value is None or np.isnan(value) else scale * value

    return Difference(
        name=name,
        left=told(left),
        right=told(right),
        difference=told(right - left),
        low=told(found.low),
        high=told(found.high),
        clusters=found.clusters,
        p=found.p,
        margin=told(found.margin),
        detectable=told(found.detectable),
        method=found.method,
    )


def _tests(left: Side, right: Side) -> Iterator[McNemar]:
    sizes = _sizes((left, right))
    for protocol in in_order(left.correct):
        nowhere = predicted_nowhere((left, right), protocol)
        answers = left.correct.get(protocol, {}), right.correct.get(protocol, {})
        members: dict[Cluster, list[str]] = {}
        for name in answers[0]:
            if name in answers[1] and name not in nowhere:
                members.setdefault(left.clusters[name], []).append(name)
        whole = [names for cluster, names in members.items() if cluster.pair and len(names) == sizes[cluster] > 1]
        if whole:
            yield _test(protocol, "pair", [[_all_right(names, answers)] for names in whole])
        if members:
            yield _test(protocol, "sample", [[_all_right([name], answers) for name in of] for of in members.values()])


def _all_right(names: Sequence[str], answers: tuple[Mapping[str, bool], Mapping[str, bool]]) -> tuple[bool, bool]:
    return all(answers[0][name] for name in names), all(answers[1][name] for name in names)


def _test(protocol: str, unit: str, outcomes: Sequence[Sequence[tuple[bool, bool]]]) -> McNemar:
    """Test outcomes, cluster by cluster."""
    ways = Counter(way for cluster in outcomes for way in cluster)
    only_left, only_right = ways[True, False], ways[False, True]
    p = None
    if all(len(cluster) == 1 for cluster in outcomes):
        p = mcnemar.exact(only_left, only_right)
    elif len(outcomes) >= FEW:
        right = np.array([np.sum(cluster, axis=0) for cluster in outcomes], np.float64)
        p = mcnemar.clustered(right[:, 0], right[:, 1], np.array([len(cluster) for cluster in outcomes], np.float64))
    return McNemar(protocol, unit, ways[True, True], only_left, only_right, ways[False, False], p)


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
