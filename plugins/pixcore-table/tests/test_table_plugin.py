"""A run's figures are shown as a table where the plugin is there."""

from __future__ import annotations

import io

import pytest
from pixcore_table.table import interval, value

from pixcore.figures.rows import Figure, Row, Summary
from pixcore.plugins import Registry, registry
from pixcore.runs import results
from pixcore.terminal import Console

SUMMARY = Summary("boxes", "toy", "corrected", 3, 0, (Row("first", figures={"M": Figure(12.34, n=3)}),))


def shown() -> str:
    output = io.StringIO()
    console = Console(file=output, width=100)
    assert results.Written(SUMMARY, {}, []).show(console, console) == 0
    return output.getvalue()


def test_figures_are_shown_as_a_table() -> None:
    assert registry().ask("show_summary", summary=SUMMARY) is not None
    text = shown()
    assert text.startswith("toy on boxes · 3 samples · corrected")
    assert "first" in text
    assert "12.3" in text


def test_without_it_they_stand_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "registry", lambda: Registry(()))
    assert shown().splitlines() == [
        "toy on boxes, 3 samples, corrected",
        "first: M 12.3",
        "no table: pip install pixcore-table",
    ]


@pytest.mark.parametrize(
    ("number", "told"), [(-0.0, "0.0"), (-0.04, "0.0"), (0.04, "0.0"), (-0.06, "-0.1"), (12.34, "12.3"), (None, "–")]
)
def test_what_rounds_to_nothing_has_no_sign(number: float | None, told: str) -> None:
    assert value(number) == told


@pytest.mark.parametrize(
    ("low", "high", "told"), [(35.12, 41.2, "35.1–41.2"), (-3.0, -0.04, "-3.0 to 0.0"), (-0.04, 2.0, "0.0–2.0")]
)
def test_an_interval_reads_as_what_it_prints(low: float, high: float, told: str) -> None:
    assert interval(Figure(0.0, low, high)) == told
