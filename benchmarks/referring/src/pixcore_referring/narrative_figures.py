"""Average recall, as Panoptic Narrative Grounding's release works it out: over thresholds of IoU from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pixcore.figures.intervals import cluster_of
from pixcore.figures.rows import RowSpec, Summary
from pixcore.records import SampleResult
from pixcore_referring.narratives import NARRATIVE
from pixcore_referring.own_figures import Terms, with_figures

_STEP = 0.00001
_THRESHOLDS = np.arange(0, 1, _STEP)[:-1]
_HALF = "acc@0.5"
_NAMES = ("AR", "AR things", "AR stuff", "AR singulars", "AR plurals", _HALF)


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
        self._kept: dict[tuple[str, str], dict[str, Terms]] = {}

    def add(self, result: SampleResult) -> None:
        """Take in one scored phrase."""
        if NARRATIVE not in result.sample.extra:
            return
        for probing, outcome in result.by_probing.items():
            for row in self._rows:
                score = outcome.scores.get(row.key)
                if score is not None and score.iou is not None:
                    kept = self._kept.setdefault((row.key, probing), {})
                    cluster, recall = cluster_of(result.sample), average_recall([score.iou])
                    for part in ("", *result.sample.categories.values()):
                        kept.setdefault(f"AR {part}".strip(), Terms("mean")).add(cluster, recall)
                    kept.setdefault(_HALF, Terms("proportion")).add(cluster, float(score.iou > 0.5))

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with the figures."""
        found = {
            place: {name: kept[name].figure() for name in _NAMES if name in kept} for place, kept in self._kept.items()
        }
        return with_figures(
            summary,
            found,
            "AR: average recall over thresholds of IoU, as Panoptic Narrative Grounding's release has it",
        )
