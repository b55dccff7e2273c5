"""The table on a terminal, and `summary.json`."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixcore_report.compare import in_width
from pixcore_report.page import distinct_rows
from pixcore_report.reading import from_dict
from pixcore_table.reading import common_count, further_figures, ranking
from pixcore_table.table import RowName, SummaryTable, footnotes
from rich import box
from rich.cells import cell_len
from rich.table import Table

from pixcore.errors import DataError
from pixcore.figures.rows import Figure, Row, Summary, to_dict
from pixcore.terminal import Console

floats = st.none() | st.floats(allow_nan=False, allow_infinity=False)
figures = st.builds(Figure, floats, floats, floats, st.integers(0, 10**6), st.booleans())
rows = st.builds(
    Row,
    key=st.text(),
    figures=st.dictionaries(st.text(), figures, max_size=4),
    label=st.text(),
    control_of=st.none() | st.text(),
    uses_ground_truth=st.booleans(),
    candidates=floats,
    masks=floats,
)


@given(st.lists(rows, max_size=3), st.dictionaries(st.text(), st.lists(rows, max_size=2), max_size=2))
def test_a_summary_survives_json_to_the_last_bit(table: list[Row], values: dict[str, list[Row]]) -> None:
    breakdowns = {"pattern": {value: tuple(inner) for value, inner in values.items()}}
    summary = Summary("bench", "model", "published", 3, 0, tuple(table), breakdowns, ("note †",))
    assert from_dict(json.loads(json.dumps(to_dict(summary)))) == summary


def test_a_row_shows_its_label_and_is_known_by_its_key(summary: Summary) -> None:
    named = replace(summary, rows=(replace(summary.rows[0], label="Best by far"), *summary.rows[1:]))
    text = _printed(named, 140)
    assert "Best by far" in text
    assert summary.rows[0].key not in text
    assert ranking(named.rows, "S") == ranking(summary.rows, "S")


@pytest.mark.parametrize("damaged", [{}, {"rows": 3}, {"benchmark": "b", "model": None}])
def test_what_is_no_summary_is_named(damaged: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"runs/x/summary\.json is not a summary"):
        from_dict(damaged, where="runs/x/summary.json")


def _printed(summary: Summary, width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width).print(SummaryTable(summary))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", range(80, 141, 10))
def test_every_figure_is_readable_at_common_widths(summary: Summary, width: int) -> None:
    text = _printed(summary, width)
    assert "\x1b" not in text
    assert all(cell_len(line) <= width for line in text.splitlines())
    for row in summary.rows:
        for name in ("A†", "A", "M†", "M", "S"):
            figure = row.figures[name]
            assert f"{figure.value:.1f}" in text
            assert f"{figure.low:.1f}–{figure.high:.1f}" in text
    for word in ("8 pairs", "n = 16", "▲61.5", "oracle pick ◇", "9.5", "39.5", "A per sample 84.0 (78.0–89.0, n = 16)"):
        assert word in " ".join(text.split())
    assert "two samples have no expression" in text
    assert text.count("▲") == 4, "M†, M and S of the oracle, and what the mark means"


@pytest.mark.parametrize("width", [40, 50, 60, 79])
def test_a_narrow_terminal_has_more_tables_and_no_figure_is_cut(summary: Summary, width: int) -> None:
    text = _printed(summary, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "…" not in text
    assert text.count("mask-score") >= text.count("selection") > 1, "the rows of a table have no names"
    for row in summary.rows:
        for name in ("A†", "A", "M†", "M", "S"):
            figure = row.figures[name]
            assert f"{figure.value:.1f}" in text
            assert f"{figure.low:.1f}–{figure.high:.1f}" in text


@pytest.mark.parametrize("width", [80, 90, 100])
@pytest.mark.parametrize(
    "words", ["attend- and- segment, unreleased variant", "highest- probability- of- an- affirmative"]
)
def test_a_name_is_folded_between_words_and_behind_hyphens_alone(summary: Summary, width: int, words: str) -> None:
    first, *rest = summary.rows
    named = replace(first, label=words.replace("- ", "-"), control_of="oracle")
    text = _printed(replace(summary, rows=(named, *rest)), width)
    pieces = [*words.split()[:-1], f"{words.split()[-1]} ◇"]
    assert {text.count(piece) for piece in pieces} == {2}, "a piece is broken in one of the two tables"


def test_a_name_in_wide_letters_fills_its_lines() -> None:
    raw = io.StringIO()
    Console(file=raw, width=31).print(RowName("屋顶是红色的门" * 6))
    assert [len(line.strip()) for line in raw.getvalue().splitlines()] == [15, 15, 12]


@pytest.mark.parametrize("word", ["x" * 60, "屋顶是红色的门" * 6])
def test_a_name_of_one_long_word_leaves_the_figures_whole(summary: Summary, word: str) -> None:
    text = _printed(replace(summary, rows=(replace(summary.rows[0], label=word), *summary.rows[1:])), 80)
    assert all(cell_len(line) <= 80 for line in text.splitlines())
    for figure in summary.rows[0].figures.values():
        assert f"{figure.value:.1f}" in text
        assert f"{figure.low:.1f}–{figure.high:.1f}" in text
    assert sum(map(text.count, set(word))) >= len(word)


def test_an_ascii_terminal_gets_ascii(summary: Summary) -> None:
    assert "^61.5" in _printed(summary, 80, "ascii")


def test_counts_that_differ_stand_at_their_figures(summary: Summary) -> None:
    first, *rest = summary.rows
    fewer = replace(first, figures={**first.figures, "M": Figure(31.5, 27.0, 36.0, 11)})
    assert common_count((fewer, *rest), "M") is None
    text = _printed(replace(summary, rows=(fewer, *rest)), 100)
    assert "n = 11" in text


def test_nothing_measured_is_a_dash_and_no_column() -> None:
    row = Row("own masks", {"M": Figure(40.0, n=3), "A": Figure(None)})
    text = _printed(Summary("b", "m", "corrected", 3, 0, (row, Row("other", {}))), 80)
    assert "–" in text
    assert "A†" not in text.splitlines()[2]


def test_the_best_leaves_upper_bounds_and_controls_out(summary: Summary) -> None:
    assert ranking(summary.rows, "S") == {"phrase-overlap": (1, False), "mask-score": (2, False)}
    assert ranking(summary.rows[1:], "S") == {}


def test_rows_that_read_the_same_share_a_place() -> None:
    def ranked(*values: float | None) -> dict[str, tuple[int, bool]]:
        return ranking(tuple(Row(str(n), {"S": Figure(value)}) for n, value in enumerate(values)), "S")

    assert ranked() == ranked(None) == ranked(4.0) == ranked(0.0, 0.0) == {}
    assert ranked(3.0, 1.0, 1.0) == {"0": (1, False), "1": (2, True), "2": (2, True)}
    assert ranked(1.0, 3.02, 2.0, 2.98) == {"1": (1, True), "3": (1, True)}
    assert ranked(1.0, None, 3.0, 2.0) == {"2": (1, False), "3": (2, False)}


def test_a_breakdown_shows_accuracies_once(summary: Summary) -> None:
    assert distinct_rows(summary.breakdowns["category"], "A") == ("mask-score",)
    assert distinct_rows(summary.breakdowns["category"], "M") == tuple(row.key for row in summary.rows)


def test_figures_that_no_strategy_changes_are_told_once(summary: Summary) -> None:
    shared, names = further_figures(summary.rows)
    assert list(shared) == ["A per sample"]
    assert names == ()
    first, *rest = summary.rows
    other = replace(first, figures={**first.figures, "A per sample": Figure(1.0)})
    assert further_figures((other, *rest)) == ({}, ("A per sample",))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_many_further_figures_go_into_as_many_tables_as_they_need(summary: Summary, width: int) -> None:
    further = {f"figure of kind {n:02d}": 10.0 + n for n in range(14)}
    rows = tuple(
        replace(row, figures={**row.figures, **{name: Figure(v + k / 10, n=5) for name, v in further.items()}})
        for k, row in enumerate(summary.rows)
    )
    text = _printed(replace(summary, rows=rows), width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert all(f"{value + k / 10:.1f}" in text for value in further.values() for k in range(4))


def test_footnotes_say_only_what_applies() -> None:
    notes = footnotes(Summary("b", "m", "corrected", 1, 0, (Row("random", {"M": Figure(1.0, n=1)}),)))
    assert not any("upper bound" in note or "control" in note or "failed" in note for note in notes)
    assert notes[0].endswith("without intervals: pip install pixcore-statistics")
    nothing = Summary("b", "m", "corrected", 0, 0, (Row("random", {}),))
    assert footnotes(nothing) == ["in percent"]  # there is nothing to be sure of


@pytest.mark.parametrize(("width", "columns"), [(200, 8), (80, 8), (60, 7), (40, 4)])
def test_a_comparison_in_a_narrow_terminal_cuts_no_number(width: int, columns: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("figure")
    for heading in ("left", "right", "difference", "p", "alike", "detects", "clusters"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("absence precision", "100.0", "100.0", "+0.0", "1.000", "8.6", "12.5", "150")
    console.print(in_width(table, console))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(table.columns) == columns
    assert "…" not in shown
    assert {"absence", "precision", "100.0", "+0.0"} <= set(shown.split())
