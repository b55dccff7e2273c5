"""Broken inputs, the same ones each time; `make test-long` has a thousand, `python -m tests.fuzz --minutes 60` more."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.kinds.predictions import pixels_of
from tests.fuzz.mutate import broken_json, damaged, places
from tests.fuzz.rule import Case, Ending, complaint


@pytest.mark.parametrize("inputs", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_every_broken_input_ends_as_a_right_result_or_one_line(tmp_path, inputs):
    """In a process of its own, whose memory is limited and whose plugins are the fuzz's."""
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", str(inputs), "--seed", "20261128"]
    done = subprocess.run(
        [*command, "--failures", str(tmp_path)], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"{inputs} inputs" in done.stdout


@pytest.mark.parametrize(
    ("ending", "word"),
    [
        (Ending(1, "", "error: KeyError: 'x' (this is a failure of pixcore or a plugin)\n"), "status 1"),
        (Ending(2, "", "error: something is wrong\n"), "names none"),
        (Ending(2, "", "error: a.json is wrong\nerror: a.json is wrong\n"), "not one error line"),
        (Ending(2, "", f"error: a.json {'x' * 300}\n"), "characters"),
        (Ending(2, "", "error: a.json \x1b[2J\n"), "terminal"),
        (Ending(2, "", "error: a.json: <X at 0x7f00aa>\n"), "address"),
        (Ending(0, "", "error: a.json is wrong\n"), "status 0"),
    ],
)
def test_the_rule_has_teeth(ending, word):
    assert word in (complaint(Case((), ("a.json",)), ending, None) or "")


def test_another_spelling_has_to_give_the_same():
    case = Case((), ("a.json",), same=True)
    assert complaint(case, Ending(0, "1", ""), Ending(0, "1", "")) is None
    assert complaint(case, Ending(0, "1", ""), Ending(0, "2", "")) is not None
    assert complaint(case, Ending(2, "", "error: a.json\n"), Ending(0, "2", "")) is not None


def test_an_input_is_known_by_its_seed():
    document = {"images": [{"id": 1, "size": [3, 4]}], "name": "x"}
    first, again = (broken_json(document, random.Random("7:1")) for _ in range(2))
    assert first == again
    assert len({broken_json(document, random.Random(f"7:{number}")) for number in range(50)}) > 30
    assert damaged(document, random.Random(3)) != document
    assert ("images", 0, "size", 1) in places(document)


def test_run_lengths_are_read_by_their_definition():
    assert pixels_of({"size": [2, 3], "counts": [1, 2, 3]}).astype(int).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert pixels_of({"size": [2, 3], "counts": "123"}).astype(int).tolist() == [[0, 1, 0], [1, 0, 0]]
