"""What is kept of a run's samples for its plots: some bytes of each, and rows' numbers in temporary files."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_scoring.clusters import Clusters
from pixcore_scoring.evaluation import grounding_succeeds
from pixcore_statistics.rows_in_file import RowsInFile, summed_blocks

from pixcore import masks
from pixcore.figures.intervals import cluster_of
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import is_correct
from pixcore.figures.summary import scored_mask
from pixcore.records import Fidelity, ProtocolResult, Sample, SampleResult
from pixcore_plots.plots import OWN

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

UNKNOWN = -1
"""Stands in whole numbers for what nobody measured; where there is no real number, it is NaN."""

_AT_ONCE = 2048


@dataclass(frozen=True)
class Line:
    """What one row has of every sample, each (n,).

    Attributes:
        iou: NaN where it was not scored.
        counted: Whether it counts in the row's mean IoU.
        candidates: How many there were to choose from.
        score: The strategy's own figure for its choice; NaN where it gave none.
        absent: Whether it says that the object is absent.
        found: Whether the mask counts as found, as `pixcore_scoring.evaluation` has it; `UNKNOWN` where nobody can say.
    """

    iou: Floats
    counted: Bools
    candidates: Ints
    score: Floats
    absent: Bools
    found: Ints


class Kept:
    """Takes in a run's results one sample at a time.

    Attributes:
        rows: The table's rows.
        probing: Whose masks are looked at.
        seed: Of what is drawn.

    Args:
        rows: The table's rows.
        fidelity: Whose rules.
        probing: Whose masks are looked at.
        seed: Of what is drawn.
    """

    def __init__(self, rows: Sequence[RowSpec], fidelity: Fidelity, probing: str, *, seed: int = 0) -> None:
        self.rows, self.probing, self.seed = tuple(rows), probing, seed
        self._fidelity = fidelity
        self._clusters = Clusters()
        self._cluster = array("q")
        self._sizes, self._guesses, self._named = array("d"), array("d"), array("b")
        self._answers: dict[str, array[int]] = {}
        self._lines = {row.key: _Columns() for row in rows}

    def __len__(self) -> int:
        return len(self._cluster)

    def add(self, result: SampleResult) -> None:
        """Take in one sample; its results must have been scored."""
        sample = result.sample
        for probing, outcome in result.by_probing.items():
            right = is_correct(sample, outcome)
            if right is not None:
                known = self._answers.setdefault(probing, array("b"))
                known.extend([UNKNOWN] * (len(self) - len(known)))
                known.append(right)
        self._cluster.append(self._clusters.number(cluster_of(sample)))
        self._sizes.append(_size(sample))
        self._named.append(sample.expression is not None)
        self._guesses.append(1 / len(sample.options) if sample.options else math.nan)
        looked_at = result.by_probing.get(self.probing)
        for row in self.rows:
            self._lines[row.key].add(sample, looked_at, row, self._fidelity)

    @property
    def sizes(self) -> Floats:
        """The share of the image that each object covers, (n,): 0 where it is absent, NaN where nobody knows."""
        return np.array(self._sizes)

    @property
    def guesses(self) -> Floats:
        """How often a guess among the options is right, (n,); NaN where there are none."""
        return np.array(self._guesses)

    @property
    def named(self) -> Bools:
        """Whether a sample names an object, (n,)."""
        return np.array(self._named, bool)

    @property
    def clusters(self) -> Ints:
        """Which pair or image each sample is of, (n,)."""
        return np.array(self._cluster, np.int64)

    def kinds(self) -> dict[str, int]:
        """Count what is drawn together: pairs, and images."""
        return self._clusters.kinds()

    def answers(self) -> dict[str, Ints]:
        """Say of each probing that is graded whether its answers are right, (n,); `UNKNOWN` where nobody did."""
        lacking = np.full(len(self), UNKNOWN)
        return {name: np.concatenate([known, lacking[len(known) :]]) for name, known in self._answers.items()}

    def line(self, row: str) -> Line:
        """Give what a row has of every sample."""
        return self._lines[row].line()

    def panels(self) -> Iterator[tuple[RowSpec, dict[str, Line]]]:
        """Give each row that is no control, with what it shows and what its controls do, by their names."""
        for row in self.rows:
            if not row.control:
                controls = {one.pool or "control": self.line(one.key) for one in self.rows if one.control_of == row.key}
                yield row, {OWN: self.line(row.key), **controls}

    def sums(self, used: Bools, terms: Callable[[Ints], Floats]) -> Floats:
        """Add up over clusters what is made of samples (n,) by number, some at once: (clusters, k)."""
        clusters, samples = self.clusters, np.flatnonzero(used)
        parts = (samples[start : start + _AT_ONCE] for start in range(0, len(samples), _AT_ONCE))
        return summed_blocks(((clusters[part], terms(part)) for part in parts), len(self._clusters))

    def left_out(self, line: Line, used: Bools) -> dict[str, int]:
        """Say of how many samples a series makes no use, and why."""
        sizes, reasons = self.sizes, Counter[str]()
        for sample in np.flatnonzero(~used):
            if math.isnan(sizes[sample]):
                reasons["without a ground truth"] += 1
            elif math.isnan(line.iou[sample]):
                reasons["without a mask"] += 1
            elif not self._named[sample]:
                reasons["no object named"] += 1
            elif line.counted[sample]:  # as a failure may
                reasons["without candidates"] += 1
            else:
                reasons["absent" if sizes[sample] == 0 else "nothing chosen"] += 1
        return dict(reasons)


class _Columns:
    """A row's numbers as they come, one line a sample: in a temporary file."""

    def __init__(self) -> None:
        self._rows = RowsInFile(len(fields(Line)))

    def add(self, sample: Sample, outcome: ProtocolResult | None, row: RowSpec, fidelity: Fidelity) -> None:
        number = len(self._rows)
        score = None if outcome is None else outcome.scores.get(row.key)
        if outcome is None or score is None or score.iou is None or sample.mask is None:
            self._rows.add(number, math.nan, 0, 0, math.nan, 0, UNKNOWN)
            return
        mask = scored_mask(sample, outcome, row, score, fidelity)
        chosen = outcome.selections.get(row.key)
        found = grounding_succeeds(sample, outcome, row.key, fidelity)
        given = None if chosen is None else chosen.score
        score_given = math.nan if given is None or not math.isfinite(given) else float(given)
        known = UNKNOWN if found is None else found
        self._rows.add(number, mask.iou, mask.headline, mask.candidates, score_given, mask.says_absent, known)

    def line(self) -> Line:
        columns: list[Any] = [np.zeros(len(self._rows), one) for one in (float, bool, np.int64, float, bool, np.int64)]
        for numbers, block in self._rows.blocks():
            for column, values in zip(columns, block.T, strict=True):
                column[numbers] = values
        return Line(*columns)


def _size(sample: Sample) -> float:
    if sample.mask is None:
        return math.nan
    width, height = masks.size_of(sample.mask)
    return masks.area(sample.mask) / (width * height)
