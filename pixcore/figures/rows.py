"""The rows of a table, and `summary.json`: a summary as plain data, and back, without losing a bit of any figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeVar

from pydantic import TypeAdapter

from pixcore.figures.columns import Own


@dataclass(frozen=True)
class Figure:
    """One figure of a table with its uncertainty.

    Attributes:
        value: In percent, or None where nothing was measured.
        low: Lower end of its 95 % interval over clusters; None where none would be honest.
        high: Upper end.
        n: Number of samples, or of pairs where `per_pair`.
        per_pair: Whether it counts pairs.
        method: How the interval was made.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    per_pair: bool = False
    method: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the table with its figures: a selection strategy, a model's own masks, or a control.

    Attributes:
        key: What the row is known by (`RowSpec`).
        figures: By name, as `pixcore.figures.columns.FIGURES` has them.
        label: What a reader sees; the key if left out.
        control_of: The key of the strategy whose matched control the row is: it chooses among as many candidates from
            other points. None for every other row.
        pool: Which control's candidates it chooses among, by the control's name. None: the run's own.
        uses_ground_truth: It sees the ground truth.
        candidates: Mean number of candidates per scored sample, under `segment`, or another probing without it.
        masks: Mean number of their masks.
        distinct: Mean number of those that differ.
        oracle_gap: mIoU of the oracle on the same candidates minus this row's, in percent points; None if unknown.
    """

    key: str
    figures: Mapping[str, Figure]
    label: str = ""
    control_of: str | None = None
    pool: str | None = None
    uses_ground_truth: bool = False
    candidates: float | None = None
    masks: float | None = None
    distinct: float | None = None
    oracle_gap: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.key)

    @property
    def control(self) -> bool:
        """Whether it is a matched control."""
        return self.control_of is not None


@dataclass(frozen=True)
class Summary:
    """All figures of a run, as `summary.json` holds them.

    Attributes:
        benchmark: Its name.
        model: The model adapter's name; "predictions" where they were made elsewhere.
        fidelity: "corrected", "published" or "paper".
        samples: Number of samples.
        failed: How often something failed: an answer or its candidates, a strategy's choice, a judge's verdict.
        rows: The table.
        breakdowns: For each category ("pattern", …) and each of its values the rows over those samples alone.
        notes: Lines that a reader has to know: what was left out, which policy applied.
        own_probings: The config's own probings that have masks, each with a column of its own.
        own_graded: Those of them, or others of the config's own, that are graded, likewise.
        s_of: The accuracy and the mean IoU that S was to be made of; empty: the better of each.
        clusters: What intervals are over: how many, by "pair" and "image".
        accounts: What figures leave out and why, and what was bound to be wrong, by the figure's name, where a plugin
            keeps accounts (`pixcore.hookspecs.keep_accounts`).
    """

    benchmark: str
    model: str
    fidelity: str
    samples: int
    failed: int
    rows: tuple[Row, ...]
    breakdowns: Mapping[str, Mapping[str, tuple[Row, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    own_probings: tuple[str, ...] = ()
    own_graded: tuple[str, ...] = ()
    s_of: tuple[str, ...] = ()
    clusters: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> Own:
        """The config's own probings, as `pixcore.figures.columns` takes them."""
        return Own(self.own_probings, self.own_graded, self.s_of)


OWN_MASKS = "own masks"
"""The row of a pixel-level MLLM's own masks."""

ANSWERS_ALONE = "answers"
"""The row of a run that measures answers and no masks."""


@dataclass(frozen=True)
class RowSpec:
    """What one row of the table shows.

    Attributes:
        key: What the row is known by, and its selection in `ProtocolResult.selections`: the strategy's label or name in
            the config, `OWN_MASKS`, or the control's own. Nothing is read from how it is spelt.
        label: What a reader sees; the key if left out.
        control_of: The key of the strategy whose matched control the row is. None for every other row.
        pool: Which of `ProtocolResult.controls` it chooses among, by its name. None: the run's own candidates.
        uses_ground_truth: It sees the ground truth.
        own_masks: A pixel-level MLLM's own mask.
    """

    key: str
    label: str = ""
    control_of: str | None = None
    pool: str | None = None
    uses_ground_truth: bool = False
    own_masks: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.key)

    @property
    def control(self) -> bool:
        """Whether it is a matched control."""
        return self.control_of is not None


def control_spec(strategy: RowSpec, control: str) -> RowSpec:
    """Make the row of a strategy's control, in which it picks among the candidates of the control of that name."""
    key, label = f"{control}, {strategy.key} pick", f"{control}, {strategy.label} pick"
    return replace(strategy, key=key, label=label, control_of=strategy.key, pool=control)


_ADAPTER = TypeAdapter(Summary)


def to_dict(summary: Summary) -> dict[str, Any]:
    """Turn a summary into JSON data.

    Beside the fields of `Row` each row has its key as "name", and whether it is a "control".
    """
    data: dict[str, Any] = _ADAPTER.dump_python(summary, mode="json")
    tables = [data["rows"], *(rows for values in data["breakdowns"].values() for rows in values.values())]
    for row in chain.from_iterable(tables):
        row |= {"name": row["key"], "control": row["control_of"] is not None}
    return data


Line = TypeVar("Line", Row, RowSpec, Row | RowSpec)


def shown(rows: tuple[Line, ...]) -> tuple[Line, ...]:
    """List the rows that a table shows: of each control's rows the first, which is the config's own."""
    firsts = {row.pool: row for row in reversed(rows) if row.control}
    return tuple(row for row in rows if not row.control or row is firsts[row.pool])
