"""A run's figures on a terminal, in the shape of the paper's Table 1."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pixcore.figures.columns import PERCENT, Own, main_columns, meaning, with_own
from pixcore.figures.intervals import FEW
from pixcore.figures.rows import Figure, Row, Summary, common_count, count, further_figures, ranking, shown

_ROOMY = 132
"""From this width on, what a strategy had to choose from has its columns in the main table."""

_TIED = "\N{NO-BREAK SPACE}"

UPPER_BOUND, CONTROL, HANDFUL = "▲", "◇", "*"

_LESS = "M less control"


class SummaryTable:
    """A summary as a rich renderable: the table with its footnotes, fitted to the width it gets.

    From 80 columns on every figure stands on lines of its own: the value, below it its 95 % interval. What a column
    counts stands in its head where all its rows count the same, and below the figure where they differ.

    Args:
        summary: What to show.
    """

    def __init__(self, summary: Summary) -> None:
        self.summary = summary

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render: title, main table, a second one for what did not fit, footnotes."""
        summary = self.summary
        rows = shown(summary.rows)
        roomy = options.max_width >= _ROOMY
        yield Text(_title(summary), style="bold")
        yield Padding(summary_table(summary, budget=roomy), (1, 0))
        shared, further = further_figures(rows, summary.own)
        beside = _budget(rows, summary.own)
        columns = [(_heading(name, one), _lines(rows, name, summary.own, one)) for name, one in _counts(rows, further)]
        columns = [column for column in columns if column not in beside] + ([] if roomy else beside)
        for table in _further_tables(rows, columns, options.max_width):
            yield Padding(table, (0, 0, 1, 0))
        for name, figure in shared.items():
            yield Padding(Text(sentence(name, figure)), (0, 0, 0, 2))
        for note in footnotes(summary):
            yield Padding(Text(note, style="dim"), (0, 0, 0, 2))


class RowName:
    """A row's name as a cell, folded between words and behind hyphens where its column is narrow.

    Args:
        name: The name.
        style: How it looks.
    """

    def __init__(self, name: str, style: str = "") -> None:
        self.name, self.style = name, style

    @property
    def narrowest(self) -> int:
        """The width of its longest piece."""
        pieces = textwrap.wrap(self.name, 1, break_long_words=False)
        return max(map(cell_len, pieces), default=0)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """From its longest piece to one line."""
        return Measurement(self.narrowest, cell_len(self.name)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render."""
        lines = textwrap.wrap(self.name, options.max_width)
        yield Text("\n".join(lines).replace(_TIED, " "), style=self.style, overflow="fold")


def bare_table(title: str | None = None) -> Table:
    """Make a table without an edge, which would take two columns of a narrow terminal from the names."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def name_column(table: Table, names: Iterable[RowName]) -> None:
    """Give a table its column for rows' names, which never becomes narrower than the longest word in them."""
    table.add_column("selection", min_width=max((name.narrowest for name in names), default=0))


def summary_table(summary: Summary, *, budget: bool = False) -> Table:
    """Make the main table alone.

    Args:
        summary: What to show.
        budget: With columns for the number of candidates, the gap to the oracle, and the distance to the control.
    """
    table = bare_table()
    rows = shown(summary.rows)
    name_column(table, (_name(row) for row in rows))
    main = main_columns(summary.own)
    columns = [name for name in main if name in _measured(rows)] or list(main)
    shared = {name: common_count(rows, name) for name in columns}
    for name in columns:
        table.add_column(Text(_heading(name, shared[name]), style="bold"), justify="right", no_wrap=True)
    beside = _budget(rows, summary.own) if budget else []
    for head, _ in beside:
        table.add_column(Text(head, style="bold"), justify="right", no_wrap=True)
    best, second = ranking(rows, "S")
    for number, row in enumerate(rows):
        cells: list[RenderableType] = [_name(row)]
        for name in columns:
            style = {best: "bold", second: "underline"}.get(row.key, "") if name == "S" else ""
            cells.append(_cell(row, name, summary.own, style=style, counted=shared[name] is None))
        cells += [Text(values[number]) for _, values in beside]
        table.add_row(*cells)
    return table


def footnotes(summary: Summary) -> list[str]:
    """Say what a reader must know beside the figures, one line each."""
    there = summary.accounts or any(figure.method for row in summary.rows for figure in row.figures.values())
    notes = ["in percent" if there else "in percent, without intervals: pip install pixcore-statistics"]
    measured = _measured(summary.rows)
    told = [one for one in with_own(summary.own).values() if one.name in measured and (one.main or one.unit != PERCENT)]
    notes.append("; ".join(f"{one.name} {meaning(one.name, summary.own)}" for one in told))
    if any(row.uses_ground_truth for row in summary.rows):
        notes.append(
            f"{UPPER_BOUND} upper bound: picks with the ground truth in hand, by IoU; its other figures are none"
        )
    if any(row.control for row in summary.rows):
        notes.append(f"{CONTROL} control: the same strategy, as many candidates from these points; each keeps its map")
    if any(figure.few for row in summary.rows for figure in row.figures.values()):
        notes.append(f"{HANDFUL} counts fewer than {FEW}")
    return [note for note in (*notes, *summary.notes) if note]


def value(number: float | None) -> str:
    """Write a figure as the paper prints it: percent with one decimal, a dash where nothing was measured."""
    return "–" if number is None else f"{number:.1f}"


def told(figure: Figure | None) -> str:
    """Write a figure's value, with a mark where it counts a handful."""
    return value(None) if figure is None else value(figure.value) + HANDFUL * figure.few


def interval(figure: Figure) -> str:
    """Write a figure's 95 % interval, "35.1–41.2", or nothing."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:.1f}{'–' if figure.low >= 0 else ' to '}{figure.high:.1f}"


def sentence(name: str, figure: Figure) -> str:
    """Write a figure in one line: "A per sample 83.3 (79.3–87.3, n = 300)"."""
    details = ", ".join(part for part in (interval(figure), count(figure)) if part)
    return f"{name} {told(figure)}" + (f" ({details})" if details else "")


def _title(summary: Summary) -> str:
    samples = f"{summary.samples} sample{'s' if summary.samples != 1 else ''}"
    return f"{summary.model} on {summary.benchmark} · {samples} · {summary.fidelity}"


def _measured(rows: Iterable[Row]) -> set[str]:
    return {name for row in rows for name, figure in row.figures.items() if figure.value is not None}


def _name(row: Row) -> RowName:
    text = f"{row.label}{_TIED}{CONTROL}" if row.control else row.label
    return RowName(text, "italic" if row.control or row.uses_ground_truth else "")


def marked(row: Row, name: str, own: Own) -> str:
    """Write a row's figure, with a mark where it is an upper bound."""
    figure, column = row.figures.get(name), with_own(own).get(name)
    bound = figure is not None and figure.value is not None and column is not None and row.is_bound(column)
    return UPPER_BOUND * bound + told(figure)


def _cell(row: Row, name: str, own: Own, *, style: str, counted: bool) -> Text:
    figure = row.figures.get(name)
    if figure is None or figure.value is None:
        return Text("–", style="dim")
    text = Text(marked(row, name, own), style=style)
    for line in (interval(figure), count(figure) if counted else ""):
        if line:
            text.append_text(Text(f"\n{line}", style="dim"))
    return text


def _budget(rows: tuple[Row, ...], own: Own) -> list[tuple[str, list[str]]]:
    """Columns about what a strategy had to choose from, each with its head; none where nothing was chosen."""
    if all(row.candidates is None for row in rows):
        return []
    less = [(_heading(name, one), _lines(rows, name, own, one)) for name, one in _counts(rows, (_LESS,)) if one]
    return [
        ("candi-\ndates", [value(row.candidates) for row in rows]),
        ("masks", [value(row.masks) for row in rows]),
        ("dis-\ntinct", [value(row.distinct) for row in rows]),
        ("oracle\nahead by", [value(row.oracle_gap) for row in rows]),
        *less,
    ]


def _further_tables(rows: tuple[Row, ...], columns: list[tuple[str, list[str]]], width: int) -> Iterator[Table]:
    """What stands beside the paper's figures: values alone, in as many tables as the width asks for."""
    taken = min(max((cell_len(row.label) for row in rows), default=0) + 3, 30) + 2
    while columns:
        table = bare_table()
        name_column(table, (_name(row) for row in rows))
        cells: list[list[RenderableType]] = [[_name(row)] for row in rows]
        room = width - taken
        while columns:
            head, values = columns[0]
            needed = 2 + max(cell_len(line) for text in (head, *values) for line in text.splitlines())
            if needed > room and len(cells[0]) > 1:
                break
            table.add_column(Text(head, style="bold"), justify="right", no_wrap=True)
            for line, text in zip(cells, values, strict=True):
                line.append(Text(text))
            room -= needed
            del columns[0]
        for line in cells:
            table.add_row(*line)
        yield table


def _heading(name: str, counted: str | None) -> str:
    return "\n".join((*name.rsplit(" ", 1), *([counted] if counted else [])))


def _counts(rows: tuple[Row, ...], names: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    return ((name, common_count(rows, name)) for name in names)


def _lines(rows: tuple[Row, ...], name: str, own: Own, shared: str | None) -> list[str]:
    """A further figure's values; with the interval of a difference, and what each counts where rows differ in that."""
    less = name in with_own(own) and with_own(own)[name].less_control is not None
    told = []
    for row in rows:
        figure = row.figures.get(name)
        beside = [] if figure is None else [interval(figure) * less, count(figure) * (shared is None)]
        told.append("\n".join(filter(None, (marked(row, name, own), *beside))))
    return told
