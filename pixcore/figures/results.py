"""A run's results as one reads them: per sample what was said, found and chosen; over all samples the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pixcore.records import Candidate, Protocol, Response, Sample, Score, Selection, Verdict


@dataclass(frozen=True)
class Figure:
    """One figure of a table with its uncertainty.

    Attributes:
        value: In percent, or None where nothing was measured.
        low: Lower end of the 95 % interval (bootstrap over pairs); None where it is not defined.
        high: Upper end.
        n: Number of samples, or of pairs where `per_pair`.
        per_pair: Whether it counts pairs.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    per_pair: bool = False


@dataclass(frozen=True)
class Row:
    """One line of the table: a selection strategy, a model's own masks, or a control.

    Attributes:
        name: The strategy's name in the config, "own masks" for a pixel-level MLLM.
        figures: By column: "A†", "A", "M†", "M", "S"; further ones by their own names ("A† per sample", …).
        uses_ground_truth: An upper bound.
        control: A matched control: random points, as many candidates as the run's own.
        candidates: Mean number of candidates per scored sample, under `segment`, or `question` where that is missing.
        masks: Mean number of their masks.
        oracle_gap: mIoU of the oracle on the same candidates minus this row's, in percent points; None if unknown.
    """

    name: str
    figures: Mapping[str, Figure]
    uses_ground_truth: bool = False
    control: bool = False
    candidates: float | None = None
    masks: float | None = None
    oracle_gap: float | None = None


@dataclass(frozen=True)
class Summary:
    """All figures of a run, as `summary.json` holds them.

    Attributes:
        benchmark: Its name.
        model: The model adapter's name; "predictions" where they were made elsewhere.
        fidelity: "published" or "corrected".
        samples: Number of samples.
        failed: How often something failed: an answer or its candidates, a strategy's choice, a judge's verdict.
        rows: The table.
        breakdowns: For each category ("pattern", …) and each of its values the rows over those samples alone.
        notes: Lines that a reader has to know: what was left out, which policy applied.
    """

    benchmark: str
    model: str
    fidelity: str
    samples: int
    failed: int
    rows: tuple[Row, ...]
    breakdowns: Mapping[str, Mapping[str, tuple[Row, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ProtocolResult:
    """One sample under one protocol.

    Attributes:
        protocol: The probing.
        prompt: What was asked.
        response: What was said; None if the sample failed before.
        candidates: What strategies chose from; empty for a pixel-level MLLM.
        controls: The matched control's candidates: the same groups with random points.
        selections: By strategy; the control's under its row's name. One that failed fails its own row alone.
        scores: By row name.
        verdict: The judge's word, where an answer was asked.
        error: What failed before anything could be chosen, in one line: the sample then fails in every row.
        ious: Of each candidate the IoU of each of its masks with the ground truth, (m,) float64; None where nobody
            measured them.
    """

    protocol: Protocol
    prompt: str
    response: Response | None = None
    candidates: tuple[Candidate, ...] = ()
    controls: tuple[Candidate, ...] = ()
    selections: Mapping[str, Selection] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    verdict: Verdict | None = None
    error: str | None = None
    ious: tuple[NDArray[np.float64], ...] | None = None


@dataclass(frozen=True, eq=False)
class SampleResult:
    """One sample under all protocols of a run."""

    sample: Sample
    results: Mapping[Protocol, ProtocolResult]
