"""What stands beside a table of figures, on a terminal.

Figures by category, mIoU with and without unnamed images, failures, locations.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

from pixcore_table.table import RowName, SummaryTable, bare_table, marked, name_column
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pixcore.figures.columns import main_columns, mean_ious
from pixcore.figures.rows import Row, shown
from pixcore_scoring.evaluation import BINS, Evaluation

SHORT = ("only\ngrounding", "only\nanswers", "\nneither", "\nboth")
"""`pixcore_scoring.evaluation.OUTCOMES` as columns: what succeeds."""

_MOST = 24
"""Values of a category that a terminal shows; more are in the JSON alone."""


class EvaluationTable:
    """An evaluation as a rich renderable: the table of figures, and below it what stands beside them."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render."""
        yield SummaryTable(self.evaluation.summary)
        for table in (*self._breakdowns(), self._unnamed(), self._failures(), self._locations()):
            if table is not None:
                yield Padding(table, (1, 0, 0, 0))

    def _breakdowns(self) -> Iterator[Table]:
        summary = self.evaluation.summary
        rows = shown(summary.rows)
        known = {name for row in rows for name, figure in row.figures.items() if figure.value is not None}
        columns = [name for name in main_columns(summary.own) if name in known]
        for category, values in summary.breakdowns.items():
            if not 1 < len(values) <= _MOST:
                continue
            table = bare_table(escape(f"by {category}"))
            table.add_column(Text(category))
            name_column(table, (RowName(row.label) for row in rows))
            for name in columns:
                table.add_column(name, justify="right", no_wrap=True)
            for value, own in values.items():
                for label, row in zip(chain((value,), repeat("")), shown(own), strict=False):
                    figures = (marked(row, name, summary.own) for name in columns)
                    table.add_row(Text(label), RowName(row.label), *figures)
            yield table

    def _unnamed(self) -> Table | None:
        rows = [
            (row, name)
            for row in self.evaluation.summary.rows
            for name, _ in mean_ious(self.evaluation.summary.own)
            if (figure := row.figures.get(f"{name} with none")) is not None and figure.value is not None
        ]
        if not rows:
            return None
        table = self._table("mIoU, with and without images without a named object", "")
        for heading in ("with", "n", "without", "n"):
            table.add_column(heading, justify="right")
        for row, name in rows:
            table.add_row(RowName(row.label), name, *_figure(row, f"{name} with none"), *_figure(row, name))
        return table

    def _failures(self) -> Table | None:
        if not self.evaluation.failures:
            return None
        table = self._table("what succeeds, answers or grounding", "answers", "masks")
        for outcome in SHORT:
            table.add_column(outcome, justify="right", no_wrap=True)
        for name, found in self.evaluation.failures.items():
            for label, one in zip(_once(name), found, strict=False):
                table.add_row(label, str(one.answers), str(one.grounding), *map(str, one.counts))
        return table

    def _locations(self) -> Table | None:
        if not self.evaluation.locations:
            return None
        table = self._table("where the chosen phrases begin, in percent of the text", "protocol")
        for index in range(BINS):
            table.add_column(str(100 * index // BINS), justify="right")
        for name, found in self.evaluation.locations.items():
            for label, one in zip(_once(name), found, strict=False):
                table.add_row(label, str(one.protocol), *map(str, one.counts))
        return table

    def _table(self, title: str, *columns: str) -> Table:
        table = bare_table(title)
        name_column(table, (RowName(row.label) for row in self.evaluation.summary.rows))
        for column in columns:
            table.add_column(column, no_wrap=True)
        return table


def _once(name: str) -> Iterator[RenderableType]:
    """A row's name for the first of its lines, nothing for the others."""
    return chain((RowName(name),), repeat(""))


def _figure(row: Row, name: str) -> tuple[str, str]:
    figure = row.figures[name]
    return ("-" if figure.value is None else f"{figure.value:.2f}", str(figure.n))
