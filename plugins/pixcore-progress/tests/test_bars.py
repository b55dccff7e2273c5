"""Bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io

from pixcore_progress.bars import BarMonitor
from pixcore_progress.lines import LineMonitor

from pixcore.plugins import registry
from pixcore.runs.progress import display_for
from pixcore.stages.base import Monitor
from pixcore.terminal import Console


def test_a_terminal_shows_the_answers_length_beside_the_bar() -> None:
    file = io.StringIO()
    monitor = BarMonitor(Console(file=file, force_terminal=True, width=140))
    monitor.begin("answer", 2, 0)
    monitor.written(512, 1024)
    monitor.end()
    assert "512 of at most 1024 tokens" in file.getvalue()
    file = io.StringIO()
    monitor = BarMonitor(Console(file=file, force_terminal=True, width=140))
    monitor.begin("answer", 2, 0)
    monitor.written(512, 1024)
    monitor.advance()
    monitor.end()
    bars = [line for line in file.getvalue().splitlines() if "answer" in line]
    assert "1/2" in bars[-1]
    assert "tokens" not in bars[-1]


def test_a_stage_that_never_started_ends() -> None:
    for monitor in (BarMonitor(Console(file=io.StringIO())), LineMonitor(Console(file=io.StringIO()))):
        monitor.end()


def test_a_stage_that_never_started_does_not_tell_of_the_one_before() -> None:
    file = io.StringIO()
    monitor = LineMonitor(Console(file=file))
    monitor.begin("answer", 1, 0)
    monitor.advance()
    monitor.end()
    monitor.end()
    assert file.getvalue().count("answer: 1/1 in") == 1


def test_a_terminal_gets_bars_and_a_log_gets_lines() -> None:
    def shown_on(terminal: str, *, forced: bool) -> Monitor:
        console = Console(file=io.StringIO(), force_terminal=forced or None, _environ={"TERM": terminal})
        return display_for(console, registry())

    assert isinstance(shown_on("xterm", forced=True), BarMonitor)
    assert isinstance(shown_on("xterm", forced=False), LineMonitor)
    assert isinstance(shown_on("dumb", forced=True), LineMonitor)  # it would show no bar before its end
