"""A run's figures on a terminal, in the shape of the paper's Table 1."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pixcore.figures.columns import PERCENT, Own, main_columns, with_own
from pixcore.figures.intervals import FEW
from pixcore.figures.rows import Figure, Row, Summary, shown
from pixcore_table.reading import common_count, count, further_figures, is_bound, is_few, meaning, ranking

_ROOMY = 132
"""From this width on, what a strategy had to choose from has its columns in the main table."""

_WHOLE = 80
"""From this width on, the main table is one."""

_LONGEST_PIECE = 20
"""The width that one word of a row's name may take from the figures of a terminal of 80 columns."""

_TIED = "\N{NO-BREAK SPACE}"

UPPER_BOUND, CONTROL, HANDFUL = "▲", "◇", "*"

_LESS = "M less control"

Column = tuple[str, list[Text]]
"""Its head, and a cell for each row."""


class SummaryTable:
    """A summary as a rich renderable: the table with its footnotes, fitted to the width it gets.

    Every figure stands on lines of its own: the value, below it its 95 % interval. Below 80 columns the main table is
    several. What a column counts stands in its head where all its rows count the same, and below the figure where they
    differ.

    Args:
        summary: What to show.
    """

    def __init__(self, summary: Summary) -> None:
        self.summary = summary

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render: title, main table, a second one for what did not fit, footnotes."""
        summary = self.summary
        rows, own, measured = shown(summary.rows), summary.own, _measured(shown(summary.rows))
        main = [_column(rows, name, own, whole=True) for name in main_columns(own) if name in measured or not measured]
        shared, further = further_figures(rows, own)
        beside = _budget(rows, own)
        more = [_column(rows, name, own) for name in further if name != _LESS or not beside]
        roomy = options.max_width >= _ROOMY
        samples = f"{summary.samples} sample{'s' if summary.samples != 1 else ''}"
        yield Text(f"{summary.model} on {summary.benchmark} · {samples} · {summary.fidelity}", style="bold")
        whole = options.max_width >= _WHOLE or not main
        tables = [_table(rows, main + beside * roomy)] if whole else [*_tables(rows, main, options.max_width)]
        tables += _tables(rows, more + beside * (not roomy), options.max_width)
        for place, table in enumerate(tables):
            yield Padding(table, (place == 0, 0, 1, 0))
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
        """The width of its longest piece; of one that leaves no room for figures, what it is folded to."""
        pieces = textwrap.wrap(self.name, 1, break_long_words=False)
        return min(max(map(cell_len, pieces), default=0), _LONGEST_PIECE)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """From its longest piece to one line."""
        return Measurement(self.narrowest, cell_len(self.name)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render."""
        wide = cell_len(self.name) > len(self.name)  # textwrap counts letters, not columns
        lines = [self.name] if wide else textwrap.wrap(self.name, options.max_width)
        yield Text("\n".join(lines).replace(_TIED, " "), style=self.style, overflow="fold")


def bare_table(title: str | None = None) -> Table:
    """Make a table without an edge, which would take two columns of a narrow terminal from the names."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def name_column(table: Table, names: Iterable[RowName]) -> None:
    """Give a table its column for rows' names, no narrower than the longest word in them that leaves figures room."""
    table.add_column("selection", min_width=max((name.narrowest for name in names), default=0))


def footnotes(summary: Summary) -> list[str]:
    """Say what a reader must know beside the figures, one line each."""
    measured = _measured(summary.rows)
    there = summary.accounts or any(figure.method for row in summary.rows for figure in row.figures.values())
    lacking = measured and not there
    notes = ["in percent, without intervals: pip install pixcore-statistics" if lacking else "in percent"]
    told = [one for one in with_own(summary.own).values() if one.name in measured and (one.main or one.unit != PERCENT)]
    notes.append("; ".join(f"{one.name} {meaning(one.name, summary.own)}" for one in told))
    if any(row.uses_ground_truth for row in summary.rows):
        notes.append(f"{UPPER_BOUND} upper bound: picks by IoU, the ground truth in hand; no other figure is one")
    if any(row.control for row in summary.rows):
        notes.append(f"{CONTROL} control: the same strategy, as many candidates from these points; each keeps its map")
    if any(is_few(figure) for row in summary.rows for figure in row.figures.values()):
        notes.append(f"{HANDFUL} counts fewer than {FEW}")
    return [note for note in (*notes, *summary.notes) if note]


def value(number: float | None) -> str:
    """Write a figure as the paper prints it: percent with one decimal, a dash where nothing was measured."""
    return "–" if number is None else f"{number:z.1f}"  # what rounds to nothing has no sign


def told(figure: Figure | None) -> str:
    """Write a figure's value, with a mark where it counts a handful."""
    return value(None) if figure is None else value(figure.value) + HANDFUL * is_few(figure)


def interval(figure: Figure) -> str:
    """Write a figure's 95 % interval, "35.1–41.2", or nothing."""
    if figure.low is None or figure.high is None:
        return ""
    low = value(figure.low)
    return f"{low}{' to ' if low.startswith('-') else '–'}{value(figure.high)}"


def sentence(name: str, figure: Figure) -> str:
    """Write a figure in one line: "A per sample 83.3 (79.3–87.3, n = 300)"."""
    details = ", ".join(part for part in (interval(figure), count(figure)) if part)
    return f"{name} {told(figure)}" + (f" ({details})" if details else "")


def _measured(rows: Iterable[Row]) -> set[str]:
    return {name for row in rows for name, figure in row.figures.items() if figure.value is not None}


def _name(row: Row) -> RowName:
    text = f"{row.label}{_TIED}{CONTROL}" if row.control else row.label
    return RowName(text, "italic" if row.control or row.uses_ground_truth else "")


def marked(row: Row, name: str, own: Own) -> str:
    """Write a row's figure, with a mark where it is an upper bound."""
    figure = row.figures.get(name)
    bound = figure is not None and figure.value is not None and is_bound(row, name, own)
    return UPPER_BOUND * bound + told(figure)


def _budget(rows: tuple[Row, ...], own: Own) -> list[Column]:
    """Columns about what a strategy had to choose from, each with its head; none where nothing was chosen."""
    if all(row.candidates is None for row in rows):
        return []
    numbers = {
        "candi-\ndates": [row.candidates for row in rows],
        "masks": [row.masks for row in rows],
        "dis-\ntinct": [row.distinct for row in rows],
        "oracle\nahead by": [row.oracle_gap for row in rows],
    }
    less = [_column(rows, _LESS, own)] if _LESS in _measured(rows) else []
    return [*((head, [Text(value(one)) for one in cells]) for head, cells in numbers.items()), *less]


def _column(rows: tuple[Row, ...], name: str, own: Own, *, whole: bool = False) -> Column:
    """A figure's column; with intervals where it is shown whole or is a difference, and counts where rows differ."""
    shared, entry = common_count(rows, name), with_own(own).get(name)
    ends = whole or (entry is not None and entry.less_control is not None)
    places = ranking(rows, name) if name == "S" else {}
    cells = []
    for row in rows:
        figure = row.figures.get(name, Figure(None))
        below = (interval(figure) if ends else "", "" if shared else count(figure))
        style = "dim" if figure.value is None else ("", "bold", "underline")[places.get(row.key, (0, False))[0]]
        told = (marked(row, name, own), style), *((f"\n{line}", "dim") for line in below if line)
        cells.append(Text.assemble(*told))
    return "\n".join((*name.rsplit(" ", 1), *([shared] if shared else []))), cells


def _table(rows: tuple[Row, ...], columns: Sequence[Column]) -> Table:
    table = bare_table()
    name_column(table, map(_name, rows))
    for head, _ in columns:
        table.add_column(Text(head, style="bold"), justify="right", no_wrap=True)
    for line in zip(map(_name, rows), *(cells for _, cells in columns), strict=True):
        table.add_row(*line)
    return table


def _tables(rows: tuple[Row, ...], columns: list[Column], width: int) -> Iterator[Table]:
    """Columns in as many tables as the width asks for."""
    room = width - min(max((cell_len(row.label) for row in rows), default=0) + 3, 30, width // 2) - 2
    taken: list[Column] = []
    left = room
    for head, cells in columns:
        needed = 2 + max(cell_len(line) for text in (head, *(one.plain for one in cells)) for line in text.splitlines())
        if needed > left and taken:
            yield _table(rows, taken)
            taken, left = [], room
        taken.append((head, cells))
        left -= needed
    if taken:
        yield _table(rows, taken)
