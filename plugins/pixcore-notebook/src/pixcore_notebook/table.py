"""The table of a run's figures: as text, as HTML, for pandas."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from pixcore_table.table import SummaryTable, footnotes

from pixcore.figures.rows import Row, Summary, shown
from pixcore.terminal import Console
from pixcore_notebook.html import rendered
from pixcore_notebook.lines import Lines

if TYPE_CHECKING:
    import pandas

_COLUMNS = 132


class FigureTable:
    """A run's figures, a line for each row.

    Args:
        summary: The figures.
    """

    def __init__(self, summary: Summary) -> None:
        self.summary = summary

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the figures."""
        return footnotes(self.summary)

    def to_pandas(self) -> pandas.DataFrame:
        """Make a data frame of all figures with their intervals, in percent, matched controls of every row included.

        Raises:
            PluginError: pandas is not installed.
        """
        return Lines(map(_line, self.summary.rows)).to_pandas()

    def __repr__(self) -> str:
        written = Console(file=io.StringIO(), width=_COLUMNS, color_system=None, force_jupyter=False)
        written.print(SummaryTable(self.summary))
        text: str = written.file.getvalue()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in text.splitlines())

    def _repr_html_(self) -> str:
        return rendered("figures", summary=self.summary, rows=shown(self.summary.rows), notes=self.notes)


def _line(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {"row": row.key, "upper_bound": row.uses_ground_truth, "control_of": row.control_of}
    for name, figure in row.figures.items():
        line |= {name: figure.value, f"{name} low": figure.low, f"{name} high": figure.high, f"{name} n": figure.n}
    return line | {"candidates": row.candidates, "masks": row.masks, "oracle_gap": row.oracle_gap}
