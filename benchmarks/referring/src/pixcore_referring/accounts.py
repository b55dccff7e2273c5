"""Evaluate each benchmark as its field does; ReasonSeg without what is to be ignored, neither for nor against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from pixcore import masks
from pixcore.figures.intervals import Cluster, cluster_of
from pixcore.figures.rows import RowSpec, Summary
from pixcore.figures.scores import predicted_mask
from pixcore.masks import RLE
from pixcore.records import ProtocolResult, Sample, SampleResult
from pixcore_referring.conversation_figures import ConversationFigures
from pixcore_referring.narrative_figures import NarrativeFigures
from pixcore_referring.own_figures import Terms
from pixcore_referring.reasonseg import IGNORED


@dataclass
class _Sums:
    """Terms of both figures over the samples of one row under one probing."""

    giou: Terms = field(default_factory=lambda: Terms("mean"))
    ciou: Terms = field(default_factory=lambda: Terms("ratio"))

    def add(self, cluster: Cluster, found: RLE | None, truth: RLE, ignored: RLE | None) -> None:
        """Take in one sample: the prediction loses its ignored pixels; two empty masks are 1, no prediction is 0."""
        target = masks.decode(truth)
        kept = target & False if found is None else masks.decode(found)
        if ignored is not None:
            kept = kept & ~masks.decode(ignored)
        intersection, union = int((kept & target).sum()), int((kept | target).sum())
        self.ciou.add(cluster, intersection, union)
        self.giou.add(cluster, 0.0 if found is None else intersection / union if union else 1.0)


class FieldFigures:
    """Hands each result to the accounts of all benchmarks here; each knows its own samples."""

    def __init__(self, rows: Sequence[RowSpec]) -> None:
        self._kept: tuple[IgnoredRegions | NarrativeFigures | ConversationFigures, ...] = (
            IgnoredRegions(rows),
            NarrativeFigures(rows),
            ConversationFigures(rows),
        )

    def add(self, result: SampleResult) -> None:
        """Take in one scored sample."""
        for one in self._kept:
            one.add(result)

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with what each adds."""
        return reduce(lambda told, one: one.closed(told), self._kept, summary)


class IgnoredRegions:
    """Adds gIoU and cIoU without the ignored pixels to the notes, for each row of a benchmark that has such pixels.

    The table's own figures take an ignored pixel for background: they are never higher.
    """

    def __init__(self, rows: Sequence[RowSpec]) -> None:
        self._rows = rows
        self._sums: dict[tuple[str, str], _Sums] = {}
        self._having = 0

    def add(self, result: SampleResult) -> None:
        """Take in one scored sample."""
        sample = result.sample
        if sample.mask is None or IGNORED not in sample.extra:
            return
        ignored = sample.extra[IGNORED]
        self._having += ignored is not None
        for protocol, outcome in result.by_probing.items():
            for row in self._rows:
                if row.key in outcome.scores:
                    sums = self._sums.setdefault((row.key, protocol), _Sums())
                    sums.add(cluster_of(sample), _predicted(sample, outcome, row), sample.mask, ignored)

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with a note for each row and probing, where anything is ignored."""
        if not self._having:
            return summary
        labels = {row.key: row.label for row in self._rows}
        notes = [
            f"{labels[key]}, {protocol}: gIoU {_told(sums.giou)}, cIoU {_told(sums.ciou)} without ignored pixels, as "
            f"ReasonSeg's release evaluates ({self._having} of {sums.giou.n} samples have some; the table takes them "
            "for background)"
            for (key, protocol), sums in self._sums.items()
        ]
        return replace(summary, notes=(*summary.notes, *notes))


def _told(terms: Terms) -> str:
    figure = terms.figure()
    if figure.value is None:
        return "–"
    return f"{figure.value:.2f}" + (f" [{figure.low:.2f}, {figure.high:.2f}]" if figure.low is not None else "")


def _predicted(sample: Sample, outcome: ProtocolResult, row: RowSpec) -> RLE | None:
    if outcome.error is not None:
        return None
    selection = outcome.selections.get(row.key)
    if selection is None:
        return outcome.response.mask if outcome.response is not None else None
    return predicted_mask(sample, selection, outcome.pool(row.pool))
