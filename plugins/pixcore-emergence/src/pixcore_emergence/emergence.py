"""Measure when and where grounding emerges (paper, section 3): place of the output, concept, row.

For every sample with an object that is there, the best candidate mask of a row is looked at: where its phrase begins in
the text (Fig. 3a), what the phrase is about (Fig. 3b), how well it fits. The same is done for the matched control,
whose points know nothing: what both show is no work of attention. Only samples whose object was found count, as a
best phrase that fits nothing says nothing; under `published` the released way stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pixcore_plots.outcomes import Outcomes, OutcomeTally
from pixcore_scoring.clusters import Clusters
from pixcore_scoring.evaluation import BINS, grounding_succeeds
from pixcore_statistics.best_of import distinct
from pixcore_statistics.estimates import Estimate, Floats
from pixcore_statistics.means import mean_interval
from pixcore_statistics.proportions import share_interval
from pixcore_statistics.rows_in_file import Ints, summed_blocks

from pixcore.figures.intervals import FEW, cluster_of, ratios
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import candidate_ious, is_correct
from pixcore.protocols import in_order
from pixcore.records import Fidelity, Protocol, ProtocolResult, Sample, SampleResult
from pixcore.shelf import Shelf, View
from pixcore_emergence.concepts import Concept, agreement
from pixcore_emergence.curves import CONTROL, OWN, Curve, Curves
from pixcore_emergence.looks import CONCEPTS, SUCCESS, Classifier, Looks, Phrase, by_rule, look, shares_word, tenth
from pixcore_emergence.regression import Effect, effects

Ends = Callable[[Floats, Floats], tuple[float, float] | None]
"""Gives a 95 % interval of what clusters add up to, (clusters,) above and below; None for fewer than ten clusters."""


@dataclass(frozen=True)
class Best:
    """The best phrase of one sample: the first of equals.

    Attributes:
        sample_id: The sample.
        phrase: The phrase.
        names_object: Whether it shares a word with the expression.
        masks: How many masks there were to choose from.
    """

    sample_id: str
    phrase: Phrase
    names_object: bool
    masks: int


@dataclass(frozen=True)
class Shares:
    """How a set of samples is spread over categories, in percent.

    Attributes:
        name: Whose best phrases, or that it is all phrases.
        values: One for each category.
        samples: How many samples stand behind them.
    """

    name: str
    values: tuple[Estimate, ...]
    samples: int


@dataclass
class Emergence:
    """What a run shows of when and where grounding emerges.

    Attributes:
        model: The model's name.
        protocol: The probing whose masks are looked at.
        released: Whether the run follows the released code, whose way of counting is shown as well.
        best: The best phrase of every sample.
        own: What each sample shows under the run's own candidates.
        control: What each shows under its matched control's.
        clusters: What samples are drawn together with, by the numbers that `own` and `control` have.
        curves: Best-of-N of own candidates and control.
        distinct: The same over distinct masks alone: random points hit the ground again and again.
        outcomes: Answers and masks together; None where there are no graded answers.
        left_out: Samples without a candidate whose phrase and its place in the text are known.
        agreement: How far the rules agree with the judge that classified, if one did.
        judged: The judge's categories of the best phrases that it could place, by sample id.
    """

    model: str
    protocol: str
    released: bool = False
    best: Sequence[Best] = ()
    own: Looks = field(default_factory=Looks)
    control: Looks = field(default_factory=Looks)
    clusters: Clusters = field(default_factory=Clusters)
    curves: tuple[Curve, ...] = ()
    distinct: tuple[Curve, ...] = ()
    outcomes: Outcomes | None = None
    left_out: int = 0
    agreement: dict[str, float | None] = field(default_factory=dict)
    judged: Mapping[str, frozenset[Concept]] = field(default_factory=dict)

    def places(self) -> list[Shares]:
        """Spread the samples whose object was found over the tenths of the text: own, control, all phrases."""
        return self._shares("places", "all_places")

    def concepts(self) -> list[Shares]:
        """Spread the samples whose object was found over `CONCEPTS`: own, control, all phrases."""
        return self._shares("concepts", "all_concepts")

    def judged_concepts(self) -> list[Shares]:
        """Spread the found samples whose best phrase a judge placed over `CONCEPTS`: by the judge, then by the rules.

        The judge knows the first of equals alone; its several categories share the sample.
        """
        clusters, (ious,) = self.own.read("iou")
        named = [self.judged.get(one.sample_id, frozenset()) for one in self.best]
        said = np.array([[concept in some for concept in CONCEPTS] for some in named], np.float64)
        ruled = np.array([[concept is one.phrase.concept for concept in CONCEPTS] for one in self.best], np.float64)
        there = np.flatnonzero((ious[:, 0] > SUCCESS) & np.array(list(map(bool, named)), bool))
        if not len(there):
            return []
        kinds = ((OWN, said[there]), (f"{OWN}, by the rules", ruled[there]))
        return [
            self._spread(name, [(clusters[there], one / one.sum(axis=1, keepdims=True), np.ones_like(one))], _of_share)
            for name, one in kinds
        ]

    def iou_by_place(self) -> list[Shares]:
        """Average the IoU of the best phrases in each tenth of the text, found or not; own and control."""
        return self._ious("places")

    def iou_by_concept(self) -> list[Shares]:
        """Average the IoU of the best phrases about each concept, found or not; own and control."""
        return self._ious("concepts")

    def tokens(self) -> Floats:
        """Count the first best phrases by tenth of the tokens (10,), over samples whose object was found."""
        _, (places,) = self.own.read("token", found=True)
        return _by_tenth(places[~np.isnan(places)])

    def effects(self) -> list[Effect]:
        """Say what place and concept go with when success, length and number of phrases are held fixed."""
        return effects(self.own, self.control)

    def published_places(self) -> Floats:
        """Count as released: the first of equals of every sample, found or not, by tenth of the text (10,)."""
        return _by_tenth(one.phrase.place for one in self.best)

    def published_concepts(self) -> Floats:
        """Count as released: the first of equals of every sample, found or not, in the order of `CONCEPTS`.

        Where a judge has placed phrases it is its letters that count, each of several, as in the paper.
        """
        if self.judged:
            found = [CONCEPTS.index(concept) for named in self.judged.values() for concept in named]
        else:
            found = [CONCEPTS.index(one.phrase.concept) for one in self.best]
        return np.bincount(found, minlength=len(CONCEPTS)).astype(np.float64)

    def unnamed(self) -> list[Best]:
        """List well-fitting phrases that do not name the object, the best first: what the paper points at."""
        found = (one for one in self.best if not one.names_object and one.phrase.iou > SUCCESS)
        return sorted(found, key=lambda one: -one.phrase.iou)

    def judged_by(self, letters: Mapping[str, frozenset[Concept]]) -> None:
        """Take in a judge's categories of the best phrases, by sample id, and how far the rules agree with them."""
        rules = [one.phrase.concept for one in self.best]
        self.judged = {one.sample_id: named for one in self.best if (named := letters.get(one.sample_id))}
        found = agreement(rules, [self.judged.get(one.sample_id, frozenset()) for one in self.best])
        self.agreement = dict(found) if found["n"] else {}

    def mean_iou(self) -> float | None:
        """Mean IoU of the best phrases, in percent."""
        return 100 * float(np.mean(self.own.read("iou")[1][0])) if len(self.own) else None

    def found(self) -> int:
        """Count the samples whose object the best mask has found."""
        return sum(len(clusters) for clusters, _ in self.own.blocks(found=True))

    def pairs_drawn(self) -> set[bool]:
        """Say whether what was drawn together is pairs, images or both."""
        return {kind == "pair" for kind, count in self.clusters.kinds().items() if count}

    def _sides(self) -> list[tuple[str, Looks]]:
        return [(name, looks) for name, looks in ((OWN, self.own), (CONTROL, self.control)) if len(looks)]

    def _shares(self, best: str, every: str) -> list[Shares]:
        sides = [(name, looks, best) for name, looks in self._sides()]
        sides += [(f"all phrases, {name}", looks, every) for name, looks, _ in sides[:1]]
        found = []
        for name, looks, kind in sides:
            ones = ((clusters, values, np.ones_like(values)) for clusters, (values,) in looks.blocks(kind, found=True))
            found.append(self._spread(name, ones, _of_share))
        return [one for one in found if one.samples]

    def _ious(self, kind: str) -> list[Shares]:
        found = []
        for name, looks in self._sides():
            blocks = ((clusters, iou, weights) for clusters, (iou, weights) in looks.blocks("iou", kind))
            found.append(self._spread(name, blocks, _of_mean))
        return found

    def _spread(self, name: str, blocks: Iterable[tuple[Ints, Floats, Floats]], ends: Ends) -> Shares:
        """Average over samples, some of which are given at once: clusters (n,), values and their weights (n, k)."""
        terms = (
            (clusters, np.concatenate([values * weights, weights, np.ones((len(clusters), 1))], axis=1))
            for clusters, values, weights in blocks
        )
        sums = summed_blocks(terms, len(self.clusters))
        if not len(sums):
            return Shares(name, (), 0)
        above, below = np.split(sums[:, :-1], 2, axis=1)
        values = (
            Estimate(float(ratios(total.sum(), weight.sum())), *(ends(total, weight) or (None, None))).times(100)
            for total, weight in zip(above.T, below.T, strict=True)
        )
        return Shares(name, tuple(values), int(sums[:, -1].sum()))


class EmergenceTally:
    """Finds the best phrase of each sample, one sample at a time, and counts.

    Args:
        model: The model's name.
        protocol: The probing whose masks are looked at; the paper looks at `segment`.
        row: The row whose outcome counts for the four outcomes; the oracle's in the paper.
        answers: The probing whose answers count for them; the first that has graded ones by default.
        fidelity: By which rule a mask counts as found.
        classifier: Says what a phrase is about.
        seed: Of the curves' bootstrap.
        control: The name of the control that stands beside; the first sample's first by default. A sample that lacks
            it has none, whichever others it has.
    """

    def __init__(
        self,
        model: str,
        protocol: str = Protocol.SEGMENT,
        *,
        row: RowSpec | None = None,
        answers: str | None = None,
        fidelity: Fidelity = Fidelity.CORRECTED,
        classifier: Classifier = by_rule,
        seed: int = 0,
        control: str | None = None,
    ) -> None:
        self._into = Emergence(model, protocol, fidelity.released)
        self._row, self._answers, self._fidelity, self._classify = row, answers, fidelity, classifier
        self._curves, self._distinct, self._outcomes = Curves(seed), Curves(seed), OutcomeTally()
        self._best: Shelf[Best] = Shelf()
        self._control = control

    def add(self, result: SampleResult) -> Best | None:
        """Take in one sample, and give its best phrase, if it has any."""
        self._outcome(result)
        into, sample = self._into, result.sample
        outcome = result.by_probing.get(into.protocol)
        if outcome is None or sample.mask is None or sample.expression is None or sample.absent:
            return None
        if outcome.error is not None or outcome.response is None:
            into.left_out += 1
            return None
        sides = {OWN: (outcome.candidates, measured_ious(sample, outcome))}
        if self._control is None:
            self._control = next(iter(outcome.controls), None)
        matched = outcome.pool(self._control) if self._control is not None else ()
        if matched:
            known = outcome.control_ious.get(self._control or "")
            sides[CONTROL] = (matched, candidate_ious(sample, matched) if known is None else known)
        cluster = cluster_of(sample)
        flat = {name: _flat(ious) for name, (_, ious) in sides.items()}
        self._curves.add(cluster, flat)
        self._distinct.add(cluster, {name: distinct(*side) for name, side in sides.items()})
        looks = {
            name: look(sample, outcome.response, those, ious, self._classify) for name, (those, ious) in sides.items()
        }
        own, control = looks[OWN], looks.get(CONTROL)
        if own is None:
            into.left_out += 1
            return None
        number = into.clusters.number(cluster)
        into.own.add(number, own)
        if control is not None:
            into.control.add(number, control)
        names = shares_word(own.first.text, sample.expression)
        best = Best(sample.id, own.first, names, len(flat[OWN]))
        self._best.put(best)
        return best

    def finish(self) -> Emergence:
        """Give what was found."""
        into = self._into
        into.best = View(self._best.thing, range(len(self._best)))
        into.curves, into.distinct = self._curves.finish(), self._distinct.finish()
        into.outcomes = self._outcomes.finish(self._answers)
        return into

    def _outcome(self, result: SampleResult) -> None:
        sample = result.sample
        outcome = result.by_probing.get(self._into.protocol)
        if self._row is None:
            return
        grounded = None if outcome is None else grounding_succeeds(sample, outcome, self._row.key, self._fidelity)
        answered = {
            name: right
            for name in in_order(result.by_probing)
            if (right := is_correct(sample, result.by_probing[name])) is not None
        }
        self._outcomes.add(cluster_of(sample), answered, grounded)


def matched_control(rows: Iterable[RowSpec]) -> str | None:
    """Name the control that strategies are matched with, the first of a run; None without any."""
    return next((row.pool for row in rows if row.control), None)


def measured_ious(sample: Sample, result: ProtocolResult) -> Sequence[NDArray[np.float64]]:
    """Give the IoUs of a result's candidates, as they were measured, or measured now."""
    return candidate_ious(sample, result.candidates) if result.ious is None else result.ious


def _of_share(above: Floats, below: Floats) -> tuple[float, float] | None:
    """Wilson's, as samples share themselves between phrases: percentiles of draws are too narrow where few fall."""
    return share_interval(above, below, in_part=True) if np.count_nonzero(below) >= FEW else None


def _of_mean(above: Floats, below: Floats) -> tuple[float, float] | None:
    return mean_interval(above, below, fewest=FEW)


def _by_tenth(places: Iterable[float]) -> Floats:
    """Count places (0 to 100) by tenth: (10,)."""
    return np.bincount([tenth(place) for place in places], minlength=BINS).astype(np.float64)


def _flat(ious: Sequence[Floats]) -> Floats:
    return np.concatenate([np.zeros(0), *ious])
