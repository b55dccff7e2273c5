"""The figures of a run, taken in one sample at a time: A†, A, M†, M, S (paper, Table 1) and what stands beside them.

Memory grows by a few numbers a sample; no mask, image or text is kept. Every figure is a ratio of sums over clusters
(`pixcore.figures.intervals`), a cluster being a pair of samples, or one sample where there are no pairs.

* A†, A: right answers under `question` and `letter`, in percent of pairs; of samples where the benchmark has no pairs.
* M†, M: mean IoU over images under `question` and `segment`. `published` counts absent objects as the released
  evaluator does (two empty masks: 1); `paper` as its first release does, which leaves out images without a mask and
  counts those for which no object is named; `corrected` takes the mean over objects that are there.
* S: harmonic mean of max(A, A†) and max(M, M†).
* Every other figure is what its entry in `pixcore.figures.columns` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore.figures import columns as table
from pixcore.figures.columns import ScoredMask, Terms
from pixcore.figures.intervals import RESAMPLES, Cluster, cluster_of, interval, ratios, resampled_ratios
from pixcore.figures.kept import Group, KeptSamples
from pixcore.figures.rows import Figure, Row, RowSpec, Summary
from pixcore.figures.scores import grounded, is_correct
from pixcore.protocols import LOOKED_AT, PROBINGS
from pixcore.records import Fidelity, ProtocolResult, Sample, SampleResult, Score, Selection

Floats = NDArray[np.float64]


class Tally:
    """Counts results one at a time, and makes the table of them.

    Args:
        rows: The table's rows.
        fidelity: Whose rules.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
    """

    def __init__(
        self, rows: Sequence[RowSpec], fidelity: Fidelity, *, seed: int = 0, resamples: int = RESAMPLES
    ) -> None:
        self.rows = tuple(rows)
        self.fidelity = fidelity
        self._seed, self._resamples = seed, resamples
        self._kept = KeptSamples()
        self._failed: Counter[str] = Counter()
        self._choices_failed: Counter[tuple[str, str]] = Counter()
        self._skipped: Counter[tuple[str, str]] = Counter()
        self._noted: Counter[tuple[str, str]] = Counter()  # what strategies note of a choice, summed
        self._judge_failed = 0
        self._unread = 0
        self._paired = False
        self._own: dict[str, None] = {}  # a config's own probings that have masks, in order
        self._own_graded: dict[str, None] = {}

    def add(self, result: SampleResult) -> None:
        """Take in one sample; its results must have been scored."""
        sample = result.sample
        correct: list[tuple[str, bool]] = []
        scored: list[tuple[tuple[str, str], ScoredMask]] = []
        for protocol, outcome in result.by_probing.items():
            if outcome.error is not None:
                self._failed[protocol] += 1
            for name, selection in outcome.selections.items():
                self._choices_failed[name, protocol] += selection.outcome == "failed"
                for noted in [one for one in ("flip_rate", "unread") if one in selection.details]:
                    self._noted[name, noted] += selection.details[noted]
                    self._noted[name, f"n {noted}"] += 1
                self._skipped[name, protocol] += sample.mask is not None and _skipped(selection, self.fidelity)
            self._judge_failed += outcome.verdict is not None and outcome.verdict.error is not None
            right = is_correct(sample, outcome)
            if right is not None:
                correct.append((protocol, right))
                if protocol not in PROBINGS:
                    self._own_graded[protocol] = None
                verdict = outcome.verdict
                self._unread += verdict is not None and verdict.correct is None and verdict.error is None
            for row in self.rows:
                score = outcome.scores.get(row.key)
                if score is not None and score.iou is not None and sample.mask is not None:
                    scored.append(((row.key, protocol), _kept_mask(sample, outcome, row, score, self.fidelity)))
                    if protocol not in PROBINGS:
                        self._own[protocol] = None
        self._paired = self._paired or sample.pair is not None
        categories = [(str(key), str(value)) for key, value in sample.categories.items()]
        self._kept.add(cluster_of(sample), categories, correct, scored)

    @property
    def _columns(self) -> table.Own:
        return table.Own(tuple(self._own), tuple(self._own_graded))

    @property
    def failed(self) -> int:
        """Count how often something failed: an answer or its candidates, a strategy's choice, a judge's verdict."""
        return self._failed.total() + self._choices_failed.total() + self._judge_failed

    def summary(self, *, benchmark: str, model: str, notes: Iterable[str] = ()) -> Summary:
        """Make the table, over all samples and broken down by each category."""
        return Summary(
            benchmark=benchmark,
            model=model,
            fidelity=str(self.fidelity),
            samples=len(self._kept),
            failed=self.failed,
            rows=self._table(self._kept.everything()),
            breakdowns={
                category: {value: self._table(group) for value, group in groups}
                for category, groups in self._kept.by_category()
            },
            notes=(*self._notes(), *notes),
            own_probings=self._columns.masks,
            own_graded=self._columns.graded,
        )

    def sums(self, row: str) -> tuple[list[Cluster], dict[str, tuple[Floats, Floats]]]:
        """Give what one row's figures are made of: the clusters, and for each figure their (sums, counts)."""
        group = self._kept.everything()
        columns = self._answered(group) | self._masked(group, row)
        return group.clusters, {name: (column.numerators, column.denominators) for name, column in columns.items()}

    def _notes(self) -> Iterator[str]:
        for protocol, count in sorted(self._failed.items()):
            yield f"{count} sample(s) failed under {protocol}; they count as wrong and as IoU 0"
        for (name, protocol), count in self._choices_failed.items():
            if count:
                yield f"{count} choice(s) of {name} failed under {protocol}; they count as IoU 0 in its row alone"
        for (name, protocol), count in sorted(self._skipped.items()):
            if count:
                yield f"{count} image(s) of which {name} chose nothing under {protocol} are left out of its mean IoU"
        for (name, noted), total in self._noted.items():
            asked = self._noted[name, f"n {noted}"]
            if noted == "flip_rate":
                share = f"{100 * total / asked:.1f} % of choices (n={asked})"
                yield f"{name}: another order of the pictures changes {share}"
            elif noted == "unread" and total:
                yield f"{name}: {total} answers could not be read, over {asked} selections; none was guessed"
        if self._judge_failed:
            yield f"the judge failed on {self._judge_failed} answer(s); they count as wrong"
        if self._unread:
            yield f"{self._unread} answer(s) could not be judged; they count as wrong"
        alone = self._unpaired()
        if alone:
            yield f"{alone} sample(s) without the other one of their pair are left out of the pair accuracies"
        if self.fidelity is Fidelity.CORRECTED and self._kept.absent:
            yield f"{self._kept.absent} absent object(s) are left out of M and M†; see absence precision and recall"

    def _unpaired(self) -> int:
        if not self._paired:
            return 0
        group = self._kept.everything()
        return sum(cluster.pair for cluster, size in zip(group.clusters, group.sizes, strict=True) if size < 2)

    def _table(self, group: Group) -> tuple[Row, ...]:
        answered = self._answered(group)
        columns = [answered | self._masked(group, row.key) for row in self.rows]
        rows = []
        for row, figures in zip(self.rows, self._figures(columns), strict=True):
            pool = None if row.own_masks else self._pool(group, row.key)
            candidates, masks, gap = pool or (None, None, None)
            rows.append(
                Row(
                    key=row.key,
                    figures=figures,
                    label=row.label,
                    control_of=row.control_of,
                    uses_ground_truth=row.uses_ground_truth,
                    candidates=candidates,
                    masks=masks,
                    oracle_gap=100 * gap if gap is not None else None,
                )
            )
        return tuple(rows)

    def _pool(self, group: Group, row: str) -> tuple[float, float, float | None] | None:
        """Describe what a row chose from under the probing that asks for the object; another where nobody was asked."""
        pools = (self._kept.masks(row, probing).pool(group) for probing in (*LOOKED_AT, *self._own))
        return next((pool for pool in pools if pool is not None), None)

    def _answered(self, group: Group) -> dict[str, _Column]:
        """Sum what answers feed: the same in every row."""
        columns = {}
        for entry in table.with_own(self._columns).values():
            if entry.answer is None or entry.probing is None or (entry.paired and not self._paired):
                continue
            terms = {right: entry.answer(right) for right in (False, True)}
            answers = ((place, terms[right]) for place, right in self._kept.answers(entry.probing, group))
            column = columns[entry.name] = _Column(len(group.clusters), per_pair=entry.pairs and self._paired)
            for place, pair in _whole(answers, group) if column.per_pair else answers:
                column.add(place, *pair)
        return columns

    def _masked(self, group: Group, row: str) -> dict[str, _Column]:
        """Sum what a row's masks feed; a further figure that no mask counts in is left out."""
        entries = [one for one in table.with_own(self._columns).values() if one.mask is not None]
        columns = {entry.name: _Column(len(group.clusters)) for entry in entries}
        fed: dict[str, list[tuple[_Column, Callable[[ScoredMask], Terms | None]]]] = {}
        for entry in entries:
            if entry.probing is not None and entry.mask is not None:
                fed.setdefault(entry.probing, []).append((columns[entry.name], entry.mask))
        for probing, asked in fed.items():
            for place, mask in self._kept.masks(row, probing).of(group):
                for column, terms_of in asked:
                    terms = terms_of(mask)
                    if terms is not None:
                        column.add(place, *terms)
        return {entry.name: columns[entry.name] for entry in entries if entry.main or columns[entry.name].n}

    def _figures(self, rows: Sequence[dict[str, _Column]]) -> Iterator[dict[str, Figure]]:
        """The figures of each row, all resampled by the same draws at once."""
        columns = [column for row in rows for column in row.values()]
        if not columns:
            return
        numerators = np.stack([column.numerators for column in columns], axis=1)
        denominators = np.stack([column.denominators for column in columns], axis=1)
        values = iter(ratios(numerators.sum(0), denominators.sum(0)))
        drawn = iter(resampled_ratios(numerators, denominators, seed=self._seed, resamples=self._resamples).T)
        for row in rows:
            whole, spread = {name: next(values) for name in row}, {name: next(drawn) for name in row}
            yield self._row_figures(row, whole, spread, len(numerators))

    def _row_figures(
        self, columns: dict[str, _Column], values: dict[str, np.float64], drawn: dict[str, Floats], clusters: int
    ) -> dict[str, Figure]:
        several = clusters > 1
        figures = {
            name: _figure(name, values[name], drawn[name] if several else None, column.n, column.per_pair)
            for name, column in columns.items()
        }
        spreads = dict(table.made(drawn))
        for entry, value in table.made({name: np.asarray(value) for name, value in values.items()}):
            counted = [columns[name].n for name in entry.made_of[0] if columns[name].per_pair] if entry.made_of else []
            paired = bool(counted)
            spread = spreads[entry] if several else None
            figures[entry.name] = _figure(entry.name, float(value), spread, max(counted, default=clusters), paired)
        return {name: figures[name] for name in table.in_order(figures, self._columns)}


class _Column:
    """Sums over clusters of one figure."""

    def __init__(self, clusters: int, *, per_pair: bool = False) -> None:
        self.numerators: Floats = np.zeros(clusters)
        self.denominators: Floats = np.zeros(clusters)
        self.n = 0
        self.per_pair = per_pair

    def add(self, cluster: int, numerator: float, denominator: float = 1.0) -> None:
        self.numerators[cluster] += numerator
        self.denominators[cluster] += denominator
        self.n += 1


def _whole(terms: Iterable[tuple[int, Terms]], group: Group) -> Iterator[tuple[int, Terms]]:
    """Give clusters in place of samples: those that are there in full, right where all of their samples are."""
    lowest: list[Terms | None] = [None] * len(group.clusters)
    answered = np.zeros(len(lowest), np.int64)
    for place, pair in terms:
        known = lowest[place]
        lowest[place] = pair if known is None else min(known, pair)
        answered[place] += 1
    for place, whole in enumerate(lowest):
        count, cluster = answered[place], group.clusters[place]
        if whole is not None and count == group.sizes[place] and (count > 1 or not cluster.pair):
            yield place, whole


def _kept_mask(sample: Sample, result: ProtocolResult, row: RowSpec, score: Score, fidelity: Fidelity) -> ScoredMask:
    pool = result.controls if row.control else result.candidates
    chosen = result.selections.get(row.key)
    answered = score.error is None and (chosen is None or chosen.gives_mask)
    return ScoredMask(
        iou=score.iou or 0.0,
        best=score.best_iou,
        predicted=score.predicted_area or 0,
        truth=masks.area(sample.mask) if sample.mask is not None else 0,
        candidates=len(pool),
        masks=sum(len(candidate.masks) for candidate in pool),
        headline=grounded(sample, fidelity) and not _skipped(chosen, fidelity),
        named=sample.expression is not None,
        says_absent=answered and score.predicted_area == 0,
        published=fidelity is Fidelity.PUBLISHED,
    )


def _skipped(chosen: Selection | None, fidelity: Fidelity) -> bool:
    """Whether an image is left out of the means because no mask was found for it, as the first release does."""
    return fidelity is Fidelity.PAPER and chosen is not None and chosen.outcome == "nothing"


def _figure(name: str, value: float, drawn: Floats | None, n: int, per_pair: bool) -> Figure:
    if np.isnan(value):
        return Figure(None, n=n, per_pair=per_pair)
    scale = table.scale(name)
    ends = interval(drawn) if drawn is not None else None
    low, high = (scale * ends[0], scale * ends[1]) if ends else (None, None)
    return Figure(scale * float(value), low, high, n, per_pair)
