"""What reaches a terminal: escaped texts, one short line for an error, silence where a reader stops."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from pixcore.errors import UserError, describe, first_line, one_line
from pixcore.files import printable
from pixcore.terminal import Console
from tests.workplace import Workplace


@given(st.text(alphabet=st.characters()))
def test_no_text_steers_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not any(ord(character) < 32 and character not in "\t\n" for character in shown)
    assert not any(0x7F <= ord(character) <= 0x9F for character in shown)
    shown.encode()  # no half of a surrogate pair


def test_a_table_holds_no_raw_escape() -> None:
    file = io.StringIO()
    table = Table("column\x1b[2J", title="\x07title")
    table.add_row("cell\x9b31m \u202ereversed")
    table.add_row("\ud800")
    Console(file=file, force_terminal=True, width=100).print(table, style="bold")
    said = file.getvalue()
    assert "\x1b[2J" not in said
    assert "\x07" not in said
    assert r"\x1b[2J" in said
    assert r"\ud800" in said  # a cell that grows is cut, as any that is too wide
    assert "\x1b[1m" in said  # colours stay


def test_messages_are_short_and_hold_no_address() -> None:
    assert describe(ValueError("<object at 0x7f001234>\nmore")) == "ValueError: <object>"
    long = one_line("begin " + "x" * 5000 + " end")
    assert len(long) <= 300
    assert long.startswith("begin")
    assert long.endswith("end")
    assert len(describe(UserError("m" * 400, hint="h" * 400))) <= 300


@pytest.mark.parametrize(
    ("message", "first"),
    [
        ("", "ValueError"),
        (" \n ", "ValueError"),
        ("\n no file \nmore", "no file"),
        ("two:\none\nmore", "two: one"),
    ],
)
def test_the_first_line_of_an_error_is_its_class_where_it_says_nothing(message: str, first: str) -> None:
    assert first_line(ValueError(message)) == first


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(workplace: Workplace, shell: str) -> None:
    environment = {**workplace.environment, "_PIXCORE_COMPLETE": f"{shell}_source"}
    done = subprocess.run(
        [sys.executable, "-m", "pixcore"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "pixcore" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("words", [["plugins"], ["--help"]])
def test_a_reader_that_stops(workplace: Workplace, words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pixcore", *words],
        env=workplace.environment,
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""


def test_a_package_with_broken_metadata_costs_nobody_else(workplace: Workplace, tmp_path: Path) -> None:
    broken = tmp_path / "site" / "other_tool-2.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: other-tool\nVersion: 2.0\n")
    (broken / "entry_points.txt").write_text("[console_scripts]\nnor here\n[pixcore]\nno equals sign here\n")
    workplace.environment["PYTHONPATH"] += os.pathsep + str(tmp_path / "site")
    done = workplace("plugins")
    assert "toy-boxes" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "other_tool" in line]
    assert line.startswith("failed: package")


def test_labels_that_hold_escapes(workplace: Workplace) -> None:
    label = "\x1b[31mred\x07"
    done = workplace("run", str(workplace.config(selections=[{"name": "toy-first", "label": label}])))
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x07" not in done.stdout + done.stderr
    assert r"\x1b[31mred" in done.stdout


def test_what_looks_like_markup_is_shown_as_it_is(workplace: Workplace) -> None:
    config = workplace.config(selections=[{"name": "toy-first", "label": "a:cat:[red]"}], output="out[bold]:dog:")
    done = workplace("run", str(config))
    assert "a:cat:[red]" in done.stdout
    assert "out[bold]:dog:" in done.stderr
    file = io.StringIO()
    Console(file=file).print(Table("[x]:cat:", title="[b]t[/]"), "[i]:cat:")
    assert all(each in file.getvalue() for each in ("[x]:cat:", "[b]t[/]", "[i]:cat:"))


def test_a_table_in_a_pipe_is_whole() -> None:
    table = Table("component", "basis", title="What it asks", title_justify="left")
    long = "from 3 of 300 samples, the others assumed to be alike " * 4
    table.add_row("select: automatic", long.strip())
    file = io.StringIO()
    console = Console(file=file)
    console.print(table)
    assert long.strip() in file.getvalue()
    narrow = io.StringIO()
    Console(file=narrow, force_terminal=True, width=80).print(table)
    assert max(map(len, narrow.getvalue().splitlines())) <= 200  # a terminal's own width, with colours
    assert long.strip() not in narrow.getvalue()


def test_letters_that_a_terminal_lacks_are_written_as_their_escapes() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    Console(file=file, width=60).print("→ café, 犬")
    file.flush()
    assert file.buffer.getvalue().decode("latin-1") == "> café, \\u72ac\n"


def test_a_command_that_cannot_be_imported_is_completed_like_any_other(workplace: Workplace) -> None:
    workplace.environment |= {"PIXCORE_PLUGINS": "toy", "_PIXCORE_COMPLETE": "bash_complete"}
    for words, expected in (("pixcore ", "toy-greet"), ("pixcore toy-box ", "stuck")):
        workplace.environment |= {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = workplace()
        assert f"plain,{expected}" in done.stdout.splitlines()
        assert not done.stderr
