"""The rows of a table, and `summary.json`: a summary as plain data, and back, without losing a bit of any figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeVar

from pydantic import TypeAdapter

from pixcore.figures.columns import NO_OWN, FigureColumn, Own, higher_is_better, main_columns
from pixcore.figures.intervals import FEW


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

    @property
    def few(self) -> bool:
        """Whether it counts a handful."""
        return self.value is not None and self.n < FEW


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

    def is_bound(self, column: FigureColumn) -> bool:
        """Whether its figure is an upper bound: it sees the truth, and took the best mask of every sample."""
        return self.uses_ground_truth and column.bounded and not (self.oracle_gap or 0) > 1e-9


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


def further_figures(rows: tuple[Row, ...], own: Own = NO_OWN) -> tuple[dict[str, Figure], tuple[str, ...]]:
    """List the measured figures beyond the main table's, in the order in which rows name them.

    Args:
        rows: The table.
        own: The run's own probings (`Summary.own`).

    Returns:
        Those that are the same in every row (accuracies do not depend on the selection), and the names of the others.
    """
    main = main_columns(own)
    names = dict.fromkeys(
        name for row in rows for name, figure in row.figures.items() if name not in main and figure.value is not None
    )
    shared = {}
    for name in names:
        figures = [row.figures.get(name) for row in rows]
        if figures[0] is not None and all(figure == figures[0] for figure in figures):
            shared[name] = figures[0]
    return shared, tuple(name for name in names if name not in shared)


def count(figure: Figure) -> str:
    """Say what a figure counts: "150 pairs", "n = 300"; empty where nothing was measured."""
    if figure.value is None:
        return ""
    if not figure.per_pair:
        return f"n = {figure.n}"
    return "1 pair" if figure.n == 1 else f"{figure.n} pairs"


def common_count(rows: tuple[Row, ...], column: str) -> str | None:
    """Say what all rows of a column count, or None where they differ."""
    counts = {count(row.figures[column]) for row in rows if column in row.figures} - {""}
    return counts.pop() if len(counts) == 1 else None


def ranking(rows: tuple[Row, ...], column: str) -> dict[str, tuple[int, bool]]:
    """Find the best and second best rows of a column, upper bounds and controls aside (Table 1, S).

    Returns:
        By key: 1 or 2, and whether another reads the same. Nothing where all do: being the best of one is no merit.
    """
    values = {
        row.key: round(figure.value, 1)
        for row in rows
        if not (row.uses_ground_truth or row.control)
        and (figure := row.figures.get(column)) is not None
        and figure.value is not None
    }
    order = sorted(values.values(), reverse=higher_is_better(column))
    if not order or order[0] == order[-1]:
        return {}
    return {key: (order.index(one) + 1, order.count(one) > 1) for key, one in values.items() if order.index(one) < 2}
