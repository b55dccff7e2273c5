"""Put a benchmark's own figures into the rows of the table, by the names that its field gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pixcore.figures.rows import Figure, Summary

OwnFigures = Mapping[str, tuple[float, int]]
"""By name a share from 0 to 1, and of how many it is."""


def with_figures(summary: Summary, found: Mapping[tuple[str, str], OwnFigures], note: str) -> Summary:
    """Add figures to rows, and a note that says what they are.

    Args:
        summary: The table.
        found: Figures by row and probing; where there are several probings, each figure's name says which.
        note: What the figures are.
    """
    if not found:
        return summary
    several = len({probing for _, probing in found}) > 1
    of_row: dict[str, dict[str, Figure]] = {}
    for (row, probing), figures in found.items():
        for name, (value, count) in figures.items():
            whole = f"{name} ({probing})" if several else name
            of_row.setdefault(row, {})[whole] = Figure(100 * value, n=count)
    rows = tuple(replace(row, figures={**row.figures, **of_row.get(row.key, {})}) for row in summary.rows)
    return replace(summary, rows=rows, notes=(*summary.notes, note))
