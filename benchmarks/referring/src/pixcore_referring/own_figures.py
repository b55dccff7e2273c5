"""Put a benchmark's own figures into the rows of the table, by the names that its field gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pixcore_statistics.intervals import Interval, interval_of

from pixcore.figures.intervals import Cluster, FigureKind, Sums
from pixcore.figures.rows import Figure, Summary


@dataclass
class Terms:
    """What a share from 0 to 1 is made of, summed over what is drawn together.

    Attributes:
        kind: What kind of figure it is, which decides how its interval is made.
        n: Of how many it is; the sum of what is below, if nothing counts otherwise.
    """

    kind: FigureKind
    n: int = 0
    _sums: dict[Cluster, tuple[float, float]] = field(default_factory=dict)

    def add(self, cluster: Cluster, above: float, below: float = 1) -> None:
        """Take in one sample's part of the numerator and of the denominator."""
        sums = self._sums.get(cluster, (0.0, 0.0))
        self._sums[cluster] = (sums[0] + above, sums[1] + below)
        self.n += int(below)

    def figure(self, *, whole: float = 100) -> Figure:
        """Give the figure with its interval, without a value where nothing counts; a share of 1 is `whole`."""
        above, below = np.array(list(self._sums.values())).T
        if not below.any():
            return Figure(None, n=self.n)
        spread = interval_of(Sums(self.kind, above, below))
        return figure_of(float(above.sum() / below.sum()), spread, self.n, whole=whole)


def figure_of(share: float, spread: Interval, n: int, *, whole: float = 100) -> Figure:
    """Make a figure of a share from 0 to 1 and its interval."""
    low, high = (None if end is None else whole * end for end in (spread.low, spread.high))
    return Figure(whole * share, low, high, n, method=spread.method)


def with_figures(summary: Summary, found: Mapping[tuple[str, str], Mapping[str, Figure]], note: str) -> Summary:
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
        named = {f"{name} ({probing})" if several else name: figure for name, figure in figures.items()}
        of_row.setdefault(row, {}).update(named)
    rows = tuple(replace(row, figures={**row.figures, **of_row.get(row.key, {})}) for row in summary.rows)
    return replace(summary, rows=rows, notes=(*summary.notes, note))
