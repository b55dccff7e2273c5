"""What a table's figures say beside one another: which rank first, what they count, which are the same in every row."""

from __future__ import annotations

from pixcore.figures.columns import NO_OWN, PERCENT, Own, main_columns, with_own
from pixcore.figures.intervals import FEW
from pixcore.figures.rows import Figure, Row


def meaning(name: str, own: Own = NO_OWN) -> str:
    """Say what a figure means, with its unit where that is not percent; nothing for one that another pixcore wrote."""
    column = with_own(own).get(name)
    if column is None:
        return ""
    return column.meaning if column.unit == PERCENT else f"{column.meaning} ({column.unit})"


def is_few(figure: Figure) -> bool:
    """Say whether a figure counts a handful."""
    return figure.value is not None and figure.n < FEW


def is_bound(row: Row, name: str, own: Own = NO_OWN) -> bool:
    """Say whether a row's figure is an upper bound: it sees the truth, and took the best mask of every sample."""
    column = with_own(own).get(name)
    return column is not None and row.uses_ground_truth and column.bounded and not (row.oracle_gap or 0) > 1e-9


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


def higher_is_better(name: str) -> bool:
    """Say which way a figure is better."""
    column = with_own().get(name)
    return column is None or column.higher_is_better


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
