"""Work out what stands beside the table: where a model fails, and where in its output the chosen phrases stand.

`published` counts as the released scripts do (eval_accandiou.py, eval_nonpixLMM_when_analysis.py): grounding succeeds
above an IoU of one half, or, where the object is absent, if the prediction covers less than half of the image; both
samples of a pair must succeed. `corrected` asks for an empty prediction where the object is absent, and leaves out
samples without an expression. Of a pair both samples must have been answered, as for A, and have a mask: half a pair
is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, product
from operator import and_
from typing import Any

from pixcore import masks
from pixcore.figures.columns import mean_ious
from pixcore.figures.intervals import Cluster
from pixcore.figures.rows import RowSpec, Summary, to_dict
from pixcore.figures.scores import is_correct
from pixcore.figures.summary import Tally
from pixcore.protocols import LOOKED_AT, in_order
from pixcore.records import Fidelity, ProtocolResult, Sample, SampleResult, Selection
from pixcore_scoring.clusters import Clusters
from pixcore_scoring.streaming import accumulate

OUTCOMES = ("answer fails, grounding succeeds", "answer succeeds, grounding fails", "both fail", "both succeed")
"""In the order of the released script's four numbers (the comment in it names the first two the wrong way round)."""

_FAILS, _SUCCEEDS = 1, 2
_WAYS = ((_FAILS, _SUCCEEDS), (_SUCCEEDS, _FAILS), (_FAILS, _FAILS), (_SUCCEEDS, _SUCCEEDS))
"""Answers and grounding, in the order of `OUTCOMES`."""

BINS = 10


@dataclass(frozen=True)
class Failures:
    """How often answer and mask of one row are right or wrong together: four outcomes.

    Attributes:
        answers: The probing whose answers were judged.
        grounding: The probing whose masks were scored.
        counts: How many pairs (samples, where there are no pairs) came out each way, in the order of `OUTCOMES`.
    """

    answers: str
    grounding: str
    counts: tuple[int, int, int, int]


@dataclass(frozen=True)
class Locations:
    """How often the chosen phrases begin in which part of the text.

    Attributes:
        protocol: The probing.
        counts: Phrases in each tenth of the text, by the place of their first character.
        left_out: Samples of which nothing was chosen, or whose phrase or its place in the text is not known.
    """

    protocol: str
    counts: tuple[int, ...]
    left_out: int


@dataclass(frozen=True)
class Evaluation:
    """The table and what stands beside it.

    Attributes:
        summary: The table.
        failures: By the row's key.
        locations: By the row's key.
    """

    summary: Summary
    failures: dict[str, tuple[Failures, ...]] = field(default_factory=dict)
    locations: dict[str, tuple[Locations, ...]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Give everything as JSON data; figures are in percent."""
        document = to_dict(self.summary)
        document["unit"] = "percent"
        for row in document["rows"]:
            figures = row["figures"]
            row["mIoU"] = {
                str(protocol): {
                    "without_none": figures[name]["value"],
                    "n_without_none": figures[name]["n"],
                    **_with_none(figures, name),
                }
                for name, protocol in mean_ious(self.summary.own)
            }
            row["failures"] = [
                {
                    "answers": str(one.answers),
                    "grounding": str(one.grounding),
                    **dict(zip(OUTCOMES, one.counts, strict=True)),
                }
                for one in self.failures.get(row["key"], ())
            ]
            row["locations"] = [
                {"protocol": str(one.protocol), "counts": list(one.counts), "left_out": one.left_out}
                for one in self.locations.get(row["key"], ())
            ]
        return document


class Evaluator:
    """Takes in scored results one at a time.

    Args:
        tally: Counts the table's figures; its rows and its rules are the evaluation's.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally, self._rows, self._fidelity = tally, tally.rows, tally.fidelity
        self._units = Clusters()
        self._sizes, self._paired = bytearray(), bytearray()  # by unit: how many samples, and whether it is a pair
        self._answers: dict[str, bytearray] = {}  # how many of them have an answer
        self._masks: dict[tuple[str, str], bytearray] = {}  # how many have a mask of which one can say whether it fits
        self._answered: dict[str, bytearray] = {}  # by unit: not known, _FAILS or _SUCCEEDS
        self._grounded: dict[tuple[str, str], bytearray] = {}
        self._bins: dict[tuple[str, str], list[int]] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
        self._tally.add(result)
        sample = result.sample
        unit = self._units.number(unit_of(sample))
        _one_more(self._sizes, unit)
        self._paired.extend([sample.pair is not None] * (unit + 1 - len(self._paired)))
        for protocol, outcome in result.by_probing.items():
            right = is_correct(sample, outcome)
            if right is not None:
                _one_more(self._answers.setdefault(protocol, bytearray()), unit)
                _and(self._answered.setdefault(protocol, bytearray()), unit, right)
            for row in self._rows:
                success = grounding_succeeds(sample, outcome, row.key, self._fidelity)
                if success is not None:
                    _one_more(self._masks.setdefault((row.key, protocol), bytearray()), unit)
                    _and(self._grounded.setdefault((row.key, protocol), bytearray()), unit, success)
                self._locate(sample, outcome, row, protocol)

    def _locate(self, sample: Sample, outcome: ProtocolResult, row: RowSpec, protocol: str) -> None:
        if row.own_masks or sample.expression is None or sample.mask is None or sample.absent:
            return
        selection = outcome.selections.get(row.key)
        if selection is None and outcome.error is None:
            return
        place = location(outcome, selection, row.pool)
        key = (row.key, protocol)
        bins = self._bins.setdefault(key, [0] * BINS)
        if place is None or place >= 100:
            self._left_out[key] = self._left_out.get(key, 0) + 1
        else:
            bins[int(place // (100 / BINS))] += 1

    def evaluation(self, *, benchmark: str, model: str, notes: Iterable[str] = ()) -> Evaluation:
        """Give the table and what stands beside it."""
        return Evaluation(
            summary=self._tally.summary(benchmark=benchmark, model=model, notes=notes),
            failures={row.key: found for row in self._rows if (found := self._failures(row.key))},
            locations={row.key: where for row in self._rows if (where := self._locations(row.key))},
        )

    def _failures(self, row: str) -> tuple[Failures, ...]:
        found = []
        own = in_order(probing for _, probing in self._grounded)
        looked_at = dict.fromkeys((*LOOKED_AT, *own))
        for grounding, answers in product(looked_at, in_order(self._answered)):
            right, fits = self._answered[answers], self._grounded.get((row, grounding), b"")
            known = zip(right, fits, strict=False)  # one unit after the other, as far as both know any
            masked = self._masks.get((row, grounding), bytearray())
            outcomes = Counter(compress(known, map(and_, self._whole(self._answers[answers]), self._whole(masked))))
            counts = tuple(outcomes[way] for way in _WAYS)
            if not any(counts):
                continue
            found.append(Failures(answers, grounding, counts))  # type: ignore[arg-type]
        return tuple(found)

    def _whole(self, known: bytearray) -> Iterator[bool]:
        """Say of each unit whether all of its samples are known, two or more of a pair."""
        units = zip(known, self._sizes, self._paired, strict=False)
        return (count == size and (size > 1 or not paired) for count, size, paired in units)

    def _locations(self, row: str) -> tuple[Locations, ...]:
        return tuple(
            Locations(protocol, tuple(self._bins[row, protocol]), self._left_out.get((row, protocol), 0))
            for protocol in in_order(probing for _, probing in self._bins)
            if (row, protocol) in self._bins and any(self._bins[row, protocol])
        )


def grounding_succeeds(sample: Sample, outcome: ProtocolResult, row: str, fidelity: Fidelity) -> bool | None:
    """Say whether a mask counts as found in the failure histogram; None where there is nothing to say."""
    score = outcome.scores.get(row)
    if score is None or score.iou is None or sample.mask is None:
        return None
    published = fidelity.released
    if not published and sample.expression is None:
        return None
    if not sample.absent:
        return score.iou > 0.5
    chosen = outcome.selections.get(row)
    if outcome.error is not None or (chosen is not None and not chosen.gives_mask):
        return False
    width, height = masks.size_of(sample.mask)
    covered = score.predicted_area or 0
    return covered < 0.5 * width * height if published else covered == 0


def location(outcome: ProtocolResult, selection: Selection | None, control: str | None = None) -> float | None:
    """Say where the chosen phrase begins, in percent of the text; None where nothing with a place was chosen."""
    if selection is None or selection.outcome != "chosen" or selection.candidate is None or outcome.response is None:
        return None
    group = outcome.pool(control)[selection.candidate].group
    text = outcome.response.text
    return group.place(text) if group is not None else None


def evaluate(
    results: Iterable[SampleResult],
    rows: Sequence[RowSpec],
    *,
    benchmark: str,
    model: str,
    fidelity: Fidelity,
    seed: int = 0,
    s_of: tuple[str, ...] = (),
    notes: Iterable[str] = (),
) -> Evaluation:
    """Take in scored results as they stream by, and give the table and what stands beside it.

    Args:
        results: Scored samples (`pixcore.figures.scores.score_sample`).
        rows: The table's rows.
        benchmark: Its name.
        model: The model adapter's name; "predictions" where they were made elsewhere.
        fidelity: Whose rules.
        seed: Of the intervals.
        s_of: The accuracy and the mean IoU that S is made of; empty: the better of each.
        notes: Lines that a reader has to know.
    """
    evaluator = Evaluator(Tally(rows, fidelity, seed=seed, s_of=s_of))
    accumulate(results, evaluator)
    return evaluator.evaluation(benchmark=benchmark, model=model, notes=notes)


def unit_of(sample: Sample) -> Cluster:
    """Give what is counted once: a sample's pair, or itself where it has none."""
    return Cluster(sample.id, pair=False) if sample.pair is None else Cluster(sample.pair, pair=True)


def _one_more(counts: bytearray, unit: int) -> None:
    counts.extend(bytes(max(0, unit + 1 - len(counts))))
    counts[unit] = min(counts[unit] + 1, 255)


def _and(known: bytearray, unit: int, success: bool) -> None:
    known.extend(bytes(max(0, unit + 1 - len(known))))
    known[unit] = _SUCCEEDS if success and known[unit] != _FAILS else _FAILS


def _with_none(figures: dict[str, Any], name: str) -> dict[str, Any]:
    figure = figures.get(f"{name} with none")
    return {} if figure is None else {"with_none": figure["value"], "n_with_none": figure["n"]}
