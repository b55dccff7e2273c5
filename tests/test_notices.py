"""What is told without ending anything: once, in one line, without a source file; and how long an answer is by now."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time

import pytest
from pixcore_progress.lines import LineMonitor

from pixcore.notices import Notice, hearing, notice, tell_written
from pixcore.terminal import Console


def shown(code: str, *flags: str) -> str:
    """What a fresh interpreter writes to its standard error."""
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr


def test_a_notice_is_told_once_and_names_no_file() -> None:
    said = shown("from pixcore.notices import notice\nfor _ in range(3): notice('memory\\nran out')")
    assert said.splitlines() == ["pixcore:1: Notice: memory ran out"]


def test_the_command_line_shows_every_warning_in_one_line() -> None:
    said = shown(
        "import warnings\nfrom pixcore.notices import notice, show_in_one_line\nshow_in_one_line()\n"
        "notice('told \\x1b[2J of it')\nwarnings.warn('first\\nsecond ' + 'x' * 1000)\n"
    )
    ours, theirs = said.splitlines()
    assert ours == r"note: told \x1b[2J of it"
    assert theirs.startswith("note: first second xxx")
    assert len(theirs) <= 310
    assert ".py" not in said


def test_python_can_turn_a_notice_into_an_error() -> None:
    with pytest.warns(Notice, match="of it"):
        notice("a word of it")
    assert "Notice: a word" in shown("from pixcore.notices import notice\nnotice('a word')", "-Werror")


def test_who_listens_hears_of_every_token_in_this_thread_alone() -> None:
    heard: list[tuple[int, int]] = []
    tell_written(1, 9)
    with hearing(lambda tokens, most: heard.append((tokens, most))):
        tell_written(2, 9)
        other = threading.Thread(target=tell_written, args=(3, 9))
        other.start()
        other.join()
    tell_written(4, 9)
    assert heard == [(2, 9)]


def test_a_log_gets_a_line_now_and_then_and_no_control_character(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    file = io.StringIO()
    monitor = LineMonitor(Console(file=file))
    monitor.begin("answer", 20, 3)
    for second in range(1, 31):
        clock[0] = float(second)
        monitor.written(second * 40, 1024)
    assert file.getvalue().splitlines() == [
        "answer: 3 of 20 there already",
        "answer: 3/20, then 400 of at most 1024 tokens",
        "answer: 3/20, then 800 of at most 1024 tokens",
        "answer: 3/20, then 1200 of at most 1024 tokens",
    ]
    assert "\x1b" not in file.getvalue()
    assert "\r" not in file.getvalue()


def test_the_time_left_leaves_out_how_long_a_model_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    file = io.StringIO()
    monitor = LineMonitor(Console(file=file))
    monitor.begin("answer", 1000, 0)
    for second, count in ((300.0, 8), (304.0, 8), (312.0, 8), (324.0, 16)):
        clock[0] = second
        monitor.advance(count)
    monitor.written(5, 96)
    clock[0] = 335.0
    monitor.written(40, 96)
    assert file.getvalue().splitlines() == [
        "answer: 0 of 1000 there already",
        "answer: 8/1000",
        "answer: 24/1000, 1.3/s, 732 s left",  # 16 in 12 s
        "answer: 40/1000, 1.3/s, 720 s left",  # 32 in 24 s
        "answer: 40/1000, 0.9/s, 1050 s left, then 40 of at most 96 tokens",  # 32 in 35 s
    ]
