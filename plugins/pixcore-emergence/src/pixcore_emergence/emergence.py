"""Measure when and where grounding emerges (paper, section 3): place of the output, concept, row.

For every sample with an object that is there, the best candidate mask of a row is looked at: where its phrase begins in
the text (Fig. 3a), what the phrase is about (Fig. 3b), how well it fits. Best-of-N grows with N by itself, so the curve
over N stands beside the matched control's at the same N. Many phrases are often as good as the best, so places are also
reported tie-aware: over all phrases within `TIE` of the best IoU, each with its share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pixcore_scoring.evaluation import BINS, grounding_succeeds

from pixcore.figures.intervals import Cluster, cluster_of, interval, resampled_ratios
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import candidate_ious, is_correct
from pixcore.records import Candidate, Fidelity, Protocol, ProtocolResult, Response, Sample, SampleResult
from pixcore_emergence.concepts import Concept, agreement, classify

Floats = NDArray[np.float64]
Classifier = Callable[[str, str, Sample], Concept]

TIE = 0.02
"""IoU within which a phrase counts as good as the best."""

CURVE = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90)
"""Numbers of candidate masks at which best-of-N is evaluated."""

OUTCOMES = ("both right", "only the answer", "only the grounding", "neither")


def by_rule(phrase: str, text: str, sample: Sample) -> Concept:
    """Classify a phrase offline; see `pixcore_emergence.concepts`."""
    return classify(phrase, expression=sample.expression)


@dataclass(frozen=True)
class Best:
    """The best phrase of one sample.

    Attributes:
        sample_id: The sample.
        protocol: The probing.
        phrase: What it says.
        place: Where it begins, in percent of the text's characters.
        token: Where it begins, in percent of the tokens that add text; None where tokens are not known.
        concept: What it is about.
        names_object: Whether it shares a word with the expression.
        iou: Of its best mask.
        tied: Places and shares of all phrases within `TIE` of it, in percent.
        candidates: How many masks there were to choose from.
    """

    sample_id: str
    protocol: str
    phrase: str
    place: float
    token: float | None
    concept: Concept
    names_object: bool
    iou: float
    tied: tuple[tuple[float, Concept], ...]
    candidates: int


@dataclass(frozen=True)
class Curve:
    """The best of N candidates, as N grows.

    Attributes:
        name: Whose candidates.
        n: Numbers of masks, drawn without replacement.
        value: Mean over samples of the expected best IoU, in percent.
        low: Lower end of the 95 % interval over samples.
        high: Upper end.
        samples: How many samples have at least that many masks.
    """

    name: str
    n: tuple[int, ...]
    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    samples: tuple[int, ...]


@dataclass
class Emergence:
    """What a run shows of when and where grounding emerges.

    Attributes:
        model: The model's name.
        protocol: The probing whose masks are looked at.
        best: The best phrase of every sample.
        curves: Best-of-N of the run's own candidates and of the control's.
        outcomes: How many pairs (samples, where there are no pairs) came out each way, in the order of `OUTCOMES`.
        left_out: Samples without a candidate whose phrase is known.
        agreement: How far the rules agree with the judge that classified, if one did.
    """

    model: str
    protocol: str
    best: list[Best] = field(default_factory=list)
    curves: tuple[Curve, ...] = ()
    outcomes: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    agreement: dict[str, float] = field(default_factory=dict)

    def places(self, *, tied: bool = False) -> Floats:
        """Count the best phrases by tenth of the text (10,); tie-aware, each sample counts 1 in all."""
        return self._binned([[place for place, _ in one.tied] if tied else [one.place] for one in self.best])

    def tokens(self) -> Floats:
        """Count the best phrases by tenth of the tokens (10,)."""
        return self._binned([[one.token] for one in self.best if one.token is not None])

    def concepts(self, *, tied: bool = False) -> dict[Concept, float]:
        """Count the best phrases by concept; tie-aware, each sample counts 1 in all."""
        counts = dict.fromkeys(Concept, 0.0)
        for one in self.best:
            named = [concept for _, concept in one.tied] if tied else [one.concept]
            for concept in named:
                counts[concept] += 1 / len(named)
        return counts

    def iou_by_place(self) -> list[float | None]:
        """Average the IoU, in percent, of the best phrases in each tenth of the text."""
        groups: dict[int, list[float]] = {}
        for one in self.best:
            groups.setdefault(_bin(one.place), []).append(one.iou)
        return [100 * float(np.mean(groups[index])) if index in groups else None for index in range(BINS)]

    def iou_by_concept(self) -> dict[Concept, float | None]:
        """Average the IoU, in percent, of the best phrases of each concept."""
        groups: dict[Concept, list[float]] = {}
        for one in self.best:
            groups.setdefault(one.concept, []).append(one.iou)
        return {concept: 100 * float(np.mean(groups[concept])) if concept in groups else None for concept in Concept}

    def unnamed(self) -> list[Best]:
        """List well-fitting phrases that do not name the object, the best first: what the paper points at."""
        return sorted((one for one in self.best if not one.names_object and one.iou > 0.5), key=lambda one: -one.iou)

    def judged_by(self, letters: Mapping[str, frozenset[Concept]]) -> None:
        """Note how far the classifier agrees with a judge's categories of the best phrases, by sample id."""
        rules = [one.concept for one in self.best]
        self.agreement = dict(agreement(rules, [letters.get(one.sample_id, frozenset()) for one in self.best]))

    def mean_iou(self) -> float | None:
        """Mean IoU of the best phrases, in percent."""
        return 100 * float(np.mean([one.iou for one in self.best])) if self.best else None

    def _binned(self, places: Iterable[Sequence[float]]) -> Floats:
        counts = np.zeros(BINS)
        for several in places:
            for place in several:
                counts[_bin(place)] += 1 / len(several)
        return counts


class EmergenceTally:
    """Finds the best phrase of each sample, one sample at a time, and counts.

    Args:
        model: The model's name.
        protocol: The probing whose masks are looked at; the paper looks at `segment`.
        row: The row whose outcome counts for the four outcomes; the oracle's in the paper.
        classifier: Says what a phrase is about.
        seed: Of the bootstrap.
    """

    def __init__(
        self,
        model: str,
        protocol: str = Protocol.SEGMENT,
        *,
        row: RowSpec | None = None,
        fidelity: Fidelity = Fidelity.CORRECTED,
        classifier: Classifier = by_rule,
        seed: int = 0,
    ) -> None:
        self.found = Emergence(model, protocol)
        self._row, self._fidelity, self._classify, self._seed = row, fidelity, classifier, seed
        self._curves: dict[str, list[Floats]] = {}
        self._right: dict[Cluster, bool] = {}
        self._grounded: dict[Cluster, bool] = {}

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
        self._outcome(result)
        sample, outcome = result.sample, result.by_probing.get(self.found.protocol)
        if outcome is None or sample.mask is None or sample.expression is None or sample.absent:
            return
        if outcome.error is not None or outcome.response is None:
            self.found.left_out += 1
            return
        ious = measured_ious(sample, outcome)
        self._draw("own candidates", ious)
        if outcome.controls:
            self._draw("matched random control", candidate_ious(sample, outcome.controls))
        best = self._best(sample, outcome, outcome.response, ious)
        if best is None:
            self.found.left_out += 1
        else:
            self.found.best.append(best)

    def finish(self) -> Emergence:
        """Give what was found."""
        found = self.found
        found.curves = tuple(self._curve(name, drawn) for name, drawn in self._curves.items())
        units = [(self._right[unit], self._grounded[unit]) for unit in self._right if unit in self._grounded]
        ways = ((True, True), (True, False), (False, True), (False, False))
        counts = Counter(units)
        found.outcomes = {name: counts[way] for name, way in zip(OUTCOMES, ways, strict=True)} if units else {}
        return found

    def _outcome(self, result: SampleResult) -> None:
        """The four outcomes: a unit is right if any probing's answers are right throughout, as S takes the better."""
        sample = result.sample
        unit = cluster_of(sample)
        answered = [
            right for outcome in result.by_probing.values() if (right := is_correct(sample, outcome)) is not None
        ]
        if answered:
            self._right[unit] = self._right.get(unit, True) and any(answered)
        outcome = result.by_probing.get(self.found.protocol)
        if outcome is not None and self._row is not None:
            success = grounding_succeeds(sample, outcome, self._row.key, self._fidelity)
            if success is not None:
                self._grounded[unit] = self._grounded.get(unit, True) and success

    def _best(self, sample: Sample, outcome: ProtocolResult, response: Response, ious: Sequence[Floats]) -> Best | None:
        text = response.text
        fits = [
            (float(values.max()), candidate)
            for values, candidate in zip(ious, outcome.candidates, strict=True)
            if len(values) and candidate.group is not None
        ]
        if not fits or not text:
            return None
        top = max(iou for iou, _ in fits)
        tied = [candidate for iou, candidate in fits if iou >= top - TIE]
        first = next(candidate for iou, candidate in fits if iou == top)
        assert first.group is not None
        described = [
            (_place(candidate, text), self._classify(candidate.group.phrase, text, sample))
            for candidate in tied
            if candidate.group is not None
        ]
        return Best(
            sample_id=sample.id,
            protocol=outcome.protocol,
            phrase=first.group.phrase,
            place=_place(first, text),
            token=_token_place(first, response),
            concept=self._classify(first.group.phrase, text, sample),
            names_object=shares_word(first.group.phrase, sample.expression or ""),
            iou=top,
            tied=tuple(described),
            candidates=sum(len(values) for values in ious),
        )

    def _draw(self, name: str, ious: Sequence[Floats]) -> None:
        values = np.concatenate([np.zeros(0), *ious])
        self._curves.setdefault(name, []).append(expected_best(values, CURVE))

    def _curve(self, name: str, drawn: Sequence[Floats]) -> Curve:
        table = np.stack(drawn)
        kept = [index for index in range(len(CURVE)) if not np.isnan(table[:, index]).all()]
        columns = [_column(table[:, index], self._seed) for index in kept]
        value, low, high, samples = zip(*columns, strict=True) if columns else ((), (), (), ())
        return Curve(name, tuple(CURVE[index] for index in kept), value, low, high, samples)


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


def shares_word(phrase: str, expression: str) -> bool:
    """Say whether a phrase names what is asked for: they share a word of more than three letters, or all."""
    words = {word.strip(".,!?\"'").lower() for word in phrase.split()}
    wanted = {word.strip(".,!?\"'").lower().removesuffix("'s") for word in expression.split()}
    return bool({word.removesuffix("'s") for word in words if len(word) > 3} & wanted) or words == wanted


def _place(candidate: Candidate, text: str) -> float:
    return candidate.group.place(text) if candidate.group is not None else 0.0


def _token_place(candidate: Candidate, response: Response) -> float | None:
    """Place of a phrase's first token among the tokens that add text."""
    spoken = [index for index, token in enumerate(response.tokens) if token.end > token.start]
    if candidate.group is None or not candidate.group.tokens or candidate.group.tokens[0] not in spoken:
        return None
    return 100 * spoken.index(candidate.group.tokens[0]) / len(spoken)


def _bin(place: float) -> int:
    return min(int(place // (100 / BINS)), BINS - 1)


def _column(values: Floats, seed: int) -> tuple[float, float, float, int]:
    known = values[~np.isnan(values)]
    drawn = resampled_ratios(known[:, None], np.ones((len(known), 1)), seed=seed)[:, 0]
    ends = interval(drawn) or (float("nan"), float("nan"))
    return 100 * float(known.mean()), 100 * ends[0], 100 * ends[1], len(known)


def measured_ious(sample: Sample, result: ProtocolResult) -> Sequence[NDArray[np.float64]]:
    """Give the IoUs of a result's candidates, as they were measured, or measured now."""
    return candidate_ious(sample, result.candidates) if result.ious is None else result.ious
