"""The figures of a run, taken in one sample at a time: A†, A, M†, M, S (paper, Table 1) and what stands beside them.

Memory grows by a few numbers a sample; no mask, image or text is kept. Every figure is a ratio of sums over clusters
(`pixcore.figures.intervals`), a cluster being a pair of samples, or the samples of one image where there are no pairs.
What each figure counts is said in `pixcore.figures.columns`; its interval, by whichever plugin gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from pixcore import masks
from pixcore.figures import columns as table
from pixcore.figures.columns import ScoredMask, Terms
from pixcore.figures.intervals import FigureKind, Floats, Sums, cluster_of, ratios
from pixcore.figures.kept import Group, KeptSamples
from pixcore.figures.rows import Figure, Row, RowSpec, Summary
from pixcore.figures.scores import grounded, is_correct
from pixcore.plugins import registry
from pixcore.protocols import LOOKED_AT, PROBINGS
from pixcore.records import Fidelity, ProtocolResult, Sample, SampleResult, Score
from pixcore.shelf import Drawer, shelved

MANY = 2000
"""What is summed over more clusters than these waits in a file."""


class Tally:
    """Counts results one at a time, and makes the table of them.

    Attributes:
        failed: How often something failed: an answer or its candidates, a strategy's choice, a judge's verdict.
        kept: What the figures are made of, by sample.

    Args:
        rows: The table's rows.
        fidelity: Whose rules.
        seed: Of the intervals.
        s_of: The accuracy and the mean IoU that S is made of; empty: the better of each.
    """

    def __init__(
        self, rows: Sequence[RowSpec], fidelity: Fidelity, *, seed: int = 0, s_of: tuple[str, ...] = ()
    ) -> None:
        self.rows = tuple(rows)
        self.fidelity = fidelity
        self.failed = 0
        self._seed, self._s_of = seed, s_of
        self.kept = KeptSamples()
        self._accounts: list[Any] = registry().ask("keep_accounts", rows=self.rows, fidelity=fidelity)
        self._paired = False
        self._masks, self._graded = dict[str, None](), dict[str, None]()  # probings that have masks, or verdicts

    def add(self, result: SampleResult) -> None:
        """Take in one sample; its results must have been scored."""
        sample = result.sample
        correct: list[tuple[str, bool]] = []
        scored: list[tuple[tuple[str, str], ScoredMask]] = []
        for protocol, outcome in result.by_probing.items():
            self.failed += outcome.error is not None
            self.failed += sum(selection.outcome == "failed" for selection in outcome.selections.values())
            self.failed += outcome.verdict is not None and outcome.verdict.error is not None
            if (right := is_correct(sample, outcome)) is not None:
                correct.append((protocol, right))
                self._graded[protocol] = None
            for row in self.rows:
                score = outcome.scores.get(row.key)
                if score is not None and score.iou is not None and sample.mask is not None:
                    scored.append(((row.key, protocol), scored_mask(sample, outcome, row, score, self.fidelity)))
                    self._masks[protocol] = None
        self._paired = self._paired or sample.pair is not None
        categories = [(str(key), str(value)) for key, value in sample.categories.items()]
        self.kept.add(cluster_of(sample), categories, correct, scored)
        for accounts in self._accounts:
            accounts.add(result)

    @property
    def own(self) -> table.Own:
        """The config's own probings, as they came."""
        own, graded = (tuple(name for name in names if name not in PROBINGS) for names in (self._masks, self._graded))
        return table.Own(own, graded, self._s_of)

    def summary(self, *, benchmark: str, model: str, notes: Iterable[str] = ()) -> Summary:
        """Make the table, over all samples and broken down by each category."""
        whole = self.kept.group()
        pairs = sum(cluster.pair for cluster in whole.clusters)
        summary = Summary(
            *(benchmark, model, str(self.fidelity), len(self.kept), self.failed, self._table(whole)),
            breakdowns={
                category: {value: self._table(group) for value, group in groups}
                for category, groups in self.kept.by_category()
            },
            notes=tuple(notes),
            own_probings=self.own.masks,
            own_graded=self.own.graded,
            s_of=self._s_of,
            clusters={"pair": pairs, "image": len(whole.clusters) - pairs},
        )
        return reduce(lambda told, accounts: accounts.closed(told), self._accounts, summary)

    def sums(self, row: str, group: Group | None = None) -> dict[str, Sums]:
        """Give what one row's figures are made of: each figure's terms, summed over each cluster.

        Args:
            row: The row's key.
            group: Of these samples alone, in its clusters.
        """
        group = group or self.kept.group()
        return {name: one.sums for name, one in (self._answered(group) | self._masked(group, row)).items()}

    def _table(self, group: Group) -> tuple[Row, ...]:
        answered = self._answered(group)
        summed = (answered | self._masked(group, row.key) for row in self.rows)
        columns: Sequence[Mapping[str, _Column]] = shelved(summed) if len(group.clusters) > MANY else list(summed)
        rows = []
        for row, figures in zip(self.rows, self._figures(columns, group), strict=True):
            about = (row.label, row.control_of, row.pool, row.uses_ground_truth)
            # under the probing that asks for the object; another where nobody was asked
            pools = (self.kept.masks[row.key, probing].pool(group) for probing in (*LOOKED_AT, *self.own.masks))
            rows.append(Row(row.key, figures, *about, *(() if row.own_masks else next(filter(None, pools), ()))))
        return tuple(rows)

    def _answered(self, group: Group) -> dict[str, _Column]:
        """Sum what answers feed: the same in every row."""
        columns = {}
        for entry in table.with_own(self.own).values():
            if entry.answer is None or entry.probing is None or (entry.paired and not self._paired):
                continue
            terms = {right: entry.answer(right) for right in (False, True)}
            answers = ((place, terms[right]) for place, right in self.kept.answers(entry.probing, group))
            per_pair = entry.pairs and self._paired
            column = columns[entry.name] = _Column(len(group.clusters), entry.kind, per_pair=per_pair)
            for place, pair in _whole(answers, group) if column.per_pair else answers:
                column.add(place, *pair)
        return columns

    def _masked(self, group: Group, row: str) -> dict[str, _Column]:
        """Sum what a row's masks feed; a further figure that no mask counts in is left out."""
        columns: dict[str, _Column] = {}
        fed: dict[str, list[tuple[_Column, Callable[[ScoredMask], Terms | None]]]] = {}
        for entry in table.with_own(self.own).values():
            if entry.probing is not None and entry.mask is not None:
                column = columns[entry.name] = _Column(len(group.clusters), entry.kind)
                fed.setdefault(entry.probing, []).append((column, entry.mask))
        for probing, asked in fed.items():
            for place, mask in self.kept.masks[row, probing].of(group):
                for column, terms_of in asked:
                    if (terms := terms_of(mask)) is not None:
                        column.add(place, *terms)
        return {name: one for name, one in columns.items() if one.n or table.with_own(self.own)[name].main}

    def _figures(self, rows: Sequence[Mapping[str, _Column]], group: Group) -> Iterator[dict[str, Figure]]:
        """The figures of each row, with the intervals that a plugin gives them."""
        sums = [Drawer(lambda at: at[0][at[1]].sums, {name: (row, name) for name in row}) for row in rows]
        for spec, row, spread in zip(self.rows, rows, self._intervals(sums, self.rows), strict=True):
            yield self._row_figures(row, {**spread, **self._matched(spec, group)})

    def _intervals(self, rows: Sequence[Mapping[str, Sums]], specs: Sequence[RowSpec]) -> Sequence[Mapping[str, Any]]:
        given = registry().ask("give_intervals", rows=rows, own=self.own, seed=self._seed, specs=specs)
        return given or [{}] * len(rows)

    def _matched(self, spec: RowSpec, group: Group) -> dict[str, Any]:
        """Set a row beside its control, or a control beside its strategy, where a sample counts in one of them alone.

        Clusters with such a sample are left out: one may have as many samples in both, and not the same ones.
        """
        strategy = [row for row in self.rows if row.key == spec.control_of]
        sides = [*strategy, spec, *(row for row in self.rows if row.control_of == spec.key)][:2]
        figures, found = table.with_own(self.own), dict[str, Any]()
        for name, of in ((one.name, figures.get(one.less_control or "")) for one in figures.values()):
            if of is not None and of.probing is not None and len(sides) == 2:
                one, other = (self.kept.masks[side.key, of.probing].counted(group) for side in sides)
                if not np.array_equal(one, other):
                    odd = group.cluster_of[np.setxor1d(one, other)]
                    alike = self.kept.group(one[~np.isin(group.cluster_of[one], odd)])
                    terms = [{of.name: self._masked(alike, side.key)[of.name].sums} for side in sides]
                    found[name] = self._intervals(terms, sides)[0].get(name)
        return found

    def _row_figures(self, columns: Mapping[str, _Column], spread: Mapping[str, Any]) -> dict[str, Figure]:
        values = {name: ratios(one.sums.numerators.sum(), one.sums.denominators.sum()) for name, one in columns.items()}
        figures = {name: _figure(name, values[name], spread, one.n, one.per_pair) for name, one in columns.items()}
        for entry, value in table.made(values, self.own):
            measured = [columns[name] for name in entry.parts if columns[name].n]
            rarest = min(measured, key=lambda column: column.n, default=columns[entry.parts[0]])
            figures[entry.name] = _figure(entry.name, value, spread, rarest.n, rarest.per_pair)
        figures |= {name: figure for name, figure in spread.items() if isinstance(figure, Figure)}
        return {name: figures[name] for name in table.in_order(figures, self.own)}


class _Column:
    """One figure's terms, summed over each cluster."""

    def __init__(self, clusters: int, kind: FigureKind, *, per_pair: bool = False) -> None:
        self.sums = Sums(kind, np.zeros(clusters), np.zeros(clusters))
        self.n = 0
        self.per_pair = per_pair

    def add(self, cluster: int, numerator: float, denominator: float = 1.0) -> None:
        self.sums.numerators[cluster] += numerator
        self.sums.denominators[cluster] += denominator
        self.n += 1


def _whole(terms: Iterable[tuple[int, Terms]], group: Group) -> Iterator[tuple[int, Terms]]:
    """Give pairs in place of samples: those that are there in full, right where all of their samples are."""
    lowest: list[Terms] = [(np.inf, 1.0)] * len(group.clusters)
    answered = np.zeros(len(lowest), np.int64)
    for place, pair in terms:
        if not group.clusters[place].pair:
            yield place, pair
            continue
        lowest[place] = min(lowest[place], pair)
        answered[place] += 1
    for place, whole in enumerate(lowest):
        if answered[place] == group.sizes[place] > 1:
            yield place, whole


def scored_mask(sample: Sample, result: ProtocolResult, row: RowSpec, score: Score, fidelity: Fidelity) -> ScoredMask:
    """Give what figures read of one sample's mask in one row; the first release skips images without a choice."""
    pool = result.pool(row.pool)
    chosen = result.selections.get(row.key)
    skipped = fidelity is Fidelity.PAPER and chosen is not None and chosen.outcome == "nothing"
    return ScoredMask(
        iou=score.iou or 0.0,
        best=score.best_iou,
        predicted=score.predicted_area or 0,
        truth=masks.area(sample.mask) if sample.mask is not None else 0,
        candidates=len(pool),
        masks=sum(len(candidate.masks) for candidate in pool),
        distinct=len({mask["counts"] for candidate in pool for mask in candidate.masks}),
        headline=grounded(sample, fidelity) and not skipped,
        named=sample.expression is not None,
        says_absent=score.error is None and score.predicted_area == 0 and (chosen is None or chosen.gives_mask),
        published=fidelity is Fidelity.PUBLISHED,
    )


def _figure(name: str, value: Floats, spread: Mapping[str, Any], n: int, per_pair: bool) -> Figure:
    if np.isnan(value):
        return Figure(None, n=n, per_pair=per_pair)
    scale, (low, high, method) = table.scale(name), spread.get(name, (None, None, ""))
    low, high = (None if end is None else scale * end for end in (low, high))
    return Figure(scale * float(value), low, high, n, per_pair, method)
