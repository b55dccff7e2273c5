"""Average recall, as Panoptic Narrative Grounding's release works it out: over thresholds of IoU from 0 to 1."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from pixcore.figures.rows import RowSpec, Summary
from pixcore.records import SampleResult
from pixcore_referring.narratives import NARRATIVE
from pixcore_referring.own_figures import with_figures

_STEP = 0.00001
_THRESHOLDS = np.arange(0, 1, _STEP)[:-1]
_PARTS = ("things", "stuff", "singulars", "plurals")


def average_recall(ious: ArrayLike) -> float:
    """Sum, over thresholds of IoU from 0 to 1, the share of phrases that reach each.

    >>> round(average_recall([0.5, 1.0]), 4)
    0.75
    """
    reached = np.searchsorted(_THRESHOLDS, np.asarray(ious, np.float64), side="right")
    return float(reached.mean() * _STEP)


class NarrativeFigures:
    """Adds AR, of all phrases and of each kind, and acc@0.5, to each row of a run on narratives."""

    def __init__(self, rows: Sequence[RowSpec]) -> None:
        self._rows = rows
        self._ious: dict[tuple[str, str], dict[str, array[float]]] = {}

    def add(self, result: SampleResult) -> None:
        """Take in one scored phrase."""
        if NARRATIVE not in result.sample.extra:
            return
        for probing, outcome in result.by_probing.items():
            for row in self._rows:
                score = outcome.scores.get(row.key)
                if score is not None and score.iou is not None:
                    kept = self._ious.setdefault((row.key, probing), {})
                    for part in ("", *result.sample.categories.values()):
                        kept.setdefault(part, array("d")).append(score.iou)

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with the figures."""
        found = {place: dict(_figures(kept)) for place, kept in self._ious.items()}
        return with_figures(
            summary,
            found,
            "AR: average recall over thresholds of IoU, as Panoptic Narrative Grounding's release has it",
        )


def _figures(kept: dict[str, array[float]]) -> Iterator[tuple[str, tuple[float, int]]]:
    every = kept[""]
    yield "AR", (average_recall(every), len(every))
    for part in _PARTS:
        if part in kept:
            yield f"AR {part}", (average_recall(kept[part]), len(kept[part]))
    yield "acc@0.5", (float((np.asarray(every) > 0.5).mean()), len(every))
