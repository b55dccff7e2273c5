"""The figures of a run, taken in one sample at a time: A†, A, M†, M, S (paper, Table 1) and what stands beside them.

Memory grows by a few numbers a sample; no mask, image or text is kept. Every figure is a ratio of sums over clusters
(`pixcore.figures.intervals`), a cluster being a pair of samples, or one sample where there are no pairs.

* A†, A: right answers under `question` and `letter`, in percent of pairs; of samples where the benchmark has no pairs.
* M†, M: mean IoU over images under `question` and `segment`. `published` counts absent objects as the released
  evaluator does (two empty masks: 1); `corrected` takes the mean over objects that are there.
* S: harmonic mean of max(A, A†) and max(M, M†).
* Every other figure is what its entry in `pixcore.figures.columns` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore.figures import columns as table
from pixcore.figures.columns import ScoredMask, Terms
from pixcore.figures.intervals import RESAMPLES, Cluster, cluster_of, interval, ratios, resampled_ratios
from pixcore.figures.rows import Figure, Row, RowSpec, Summary
from pixcore.figures.scores import grounded, is_correct
from pixcore.protocols import LOOKED_AT, PROBINGS
from pixcore.records import Fidelity, ProtocolResult, Sample, SampleResult, Score

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of one sample: numbers only."""

    cluster: Cluster
    categories: tuple[tuple[str, str], ...]
    correct: tuple[tuple[str, bool], ...]
    scored: dict[tuple[str, str], ScoredMask]


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
        self._kept: list[_Kept] = []
        self._failed: Counter[str] = Counter()
        self._choices_failed: Counter[tuple[str, str]] = Counter()
        self._judge_failed = 0
        self._unread = 0
        self._paired = False
        self._own: dict[str, None] = {}  # a config's own probings that have masks, in order

    def add(self, result: SampleResult) -> None:
        """Take in one sample; its results must have been scored."""
        sample = result.sample
        correct: list[tuple[str, bool]] = []
        scored: dict[tuple[str, str], ScoredMask] = {}
        for protocol, outcome in result.by_probing.items():
            if outcome.error is not None:
                self._failed[protocol] += 1
            for name, selection in outcome.selections.items():
                self._choices_failed[name, protocol] += selection.outcome == "failed"
            self._judge_failed += outcome.verdict is not None and outcome.verdict.error is not None
            right = is_correct(sample, outcome)
            if right is not None:
                correct.append((protocol, right))
                verdict = outcome.verdict
                self._unread += verdict is not None and verdict.correct is None and verdict.error is None
            for row in self.rows:
                score = outcome.scores.get(row.key)
                if score is not None and score.iou is not None and sample.mask is not None:
                    scored[row.key, protocol] = _kept_mask(sample, outcome, row, score, self.fidelity)
                    if protocol not in PROBINGS:
                        self._own[protocol] = None
        self._paired = self._paired or sample.pair is not None
        categories = tuple(sorted((str(key), str(value)) for key, value in sample.categories.items()))
        self._kept.append(_Kept(cluster_of(sample), categories, tuple(correct), scored))

    @property
    def failed(self) -> int:
        """Count how often something failed: an answer or its candidates, a strategy's choice, a judge's verdict."""
        return self._failed.total() + self._choices_failed.total() + self._judge_failed

    def summary(self, *, benchmark: str, model: str, notes: Iterable[str] = ()) -> Summary:
        """Make the table, over all samples and broken down by each category."""
        groups: dict[str, dict[str, list[_Kept]]] = {}
        for kept in self._kept:
            for category, value in kept.categories:
                groups.setdefault(category, {}).setdefault(value, []).append(kept)
        return Summary(
            benchmark=benchmark,
            model=model,
            fidelity=str(self.fidelity),
            samples=len(self._kept),
            failed=self.failed,
            rows=self._table(self._kept),
            breakdowns={
                category: {value: self._table(kept) for value, kept in sorted(values.items())}
                for category, values in sorted(groups.items())
            },
            notes=(*self._notes(), *notes),
            own_probings=tuple(self._own),
        )

    def sums(self, row: str) -> tuple[list[Cluster], dict[str, tuple[Floats, Floats]]]:
        """Give what one row's figures are made of: the clusters, and for each figure their (sums, counts)."""
        clusters = {name: index for index, name in enumerate(dict.fromkeys(kept.cluster for kept in self._kept))}
        columns = self._answered(self._kept, clusters) | self._masked(self._kept, clusters, row)
        return list(clusters), {name: (column.numerators, column.denominators) for name, column in columns.items()}

    def _notes(self) -> Iterator[str]:
        for protocol, count in sorted(self._failed.items()):
            yield f"{count} sample(s) failed under {protocol}; they count as wrong and as IoU 0"
        for (name, protocol), count in self._choices_failed.items():
            if count:
                yield f"{count} choice(s) of {name} failed under {protocol}; they count as IoU 0 in its row alone"
        if self._judge_failed:
            yield f"the judge failed on {self._judge_failed} answer(s); they count as wrong"
        if self._unread:
            yield f"{self._unread} answer(s) could not be judged; they count as wrong"
        alone = self._unpaired()
        if alone:
            yield f"{alone} sample(s) without the other one of their pair are left out of the pair accuracies"
        if self.fidelity is Fidelity.CORRECTED:
            absent = sum(any(mask.truth == 0 and mask.named for mask in kept.scored.values()) for kept in self._kept)
            if absent:
                yield f"{absent} absent object(s) are left out of M and M†; see absence precision and recall"

    def _unpaired(self) -> int:
        if not self._paired:
            return 0
        sizes = Counter(kept.cluster for kept in self._kept)
        return sum(size for cluster, size in sizes.items() if cluster.pair and size < 2)

    def _table(self, kept: Sequence[_Kept]) -> tuple[Row, ...]:
        clusters = {name: index for index, name in enumerate(dict.fromkeys(one.cluster for one in kept))}
        answered = self._answered(kept, clusters)
        columns = [answered | self._masked(kept, clusters, row.key) for row in self.rows]
        rows = []
        for row, figures in zip(self.rows, self._figures(columns), strict=True):
            pool = [] if row.own_masks else _pool(kept, row.key, self._own)
            gaps = [mask.best - mask.iou for mask in pool if mask.headline and mask.best is not None]
            rows.append(
                Row(
                    key=row.key,
                    figures=figures,
                    label=row.label,
                    control_of=row.control_of,
                    uses_ground_truth=row.uses_ground_truth,
                    candidates=float(np.mean([mask.candidates for mask in pool])) if pool else None,
                    masks=float(np.mean([mask.masks for mask in pool])) if pool else None,
                    oracle_gap=100 * float(np.mean(gaps)) if gaps else None,
                )
            )
        return tuple(rows)

    def _answered(self, kept: Sequence[_Kept], clusters: dict[Cluster, int]) -> dict[str, _Column]:
        """What answers feed: the same in every row."""
        columns = {}
        sizes = Counter(one.cluster for one in kept)
        for entry in table.FIGURES:
            if entry.answer is None or (entry.paired and not self._paired):
                continue
            terms = [
                (one.cluster, entry.answer(right))
                for one in kept
                for asked, right in one.correct
                if asked == entry.probing
            ]
            column = columns[entry.name] = _Column(len(clusters), per_pair=entry.pairs and self._paired)
            for cluster, pair in _whole(terms, sizes) if column.per_pair else terms:
                column.add(clusters[cluster], *pair)
        return columns

    def _masked(self, kept: Sequence[_Kept], clusters: dict[Cluster, int], row: str) -> dict[str, _Column]:
        """What a row's masks feed; a further figure that no mask counts in is left out."""
        columns = {}
        for entry in table.with_own(tuple(self._own)):
            if entry.mask is None or entry.probing is None:
                continue
            column = _Column(len(clusters))
            for one in kept:
                mask = one.scored.get((row, entry.probing))
                terms = entry.mask(mask) if mask is not None else None
                if terms is not None:
                    column.add(clusters[one.cluster], *terms)
            if entry.main or column.n:
                columns[entry.name] = column
        return columns

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
        return {name: figures[name] for name in table.in_order(list(figures), tuple(self._own))}


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


def _whole(terms: Iterable[tuple[Cluster, Terms]], sizes: Counter[Cluster]) -> Iterator[tuple[Cluster, Terms]]:
    """Clusters in place of samples: those that are there in full, right where all of their samples are."""
    found: dict[Cluster, list[Terms]] = {}
    for cluster, pair in terms:
        found.setdefault(cluster, []).append(pair)
    for cluster, pairs in found.items():
        if len(pairs) == sizes[cluster] and (len(pairs) > 1 or not cluster.pair):
            yield cluster, min(pairs)


def _pool(kept: Sequence[_Kept], row: str, own: Iterable[str]) -> list[ScoredMask]:
    """A row's masks under the probing that asks for the object; under another where nobody was asked to segment."""
    for protocol in (*LOOKED_AT, *own):
        found = [mask for one in kept if (mask := one.scored.get((row, protocol))) is not None]
        if found:
            return found
    return []


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
        headline=grounded(sample, fidelity),
        named=sample.expression is not None,
        says_absent=answered and score.predicted_area == 0,
        published=fidelity is Fidelity.PUBLISHED,
    )


def _figure(name: str, value: float, drawn: Floats | None, n: int, per_pair: bool) -> Figure:
    if np.isnan(value):
        return Figure(None, n=n, per_pair=per_pair)
    scale = table.scale(name)
    ends = interval(drawn) if drawn is not None else None
    low, high = (scale * ends[0], scale * ends[1]) if ends else (None, None)
    return Figure(scale * float(value), low, high, n, per_pair)
