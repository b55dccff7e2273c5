"""A command in a fork is what it is in a Python of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import forks
from tests.workplace import Workplace

PLUGIN = """
import os, sys
print(os.getcwd(), sys.argv, sys.path, sorted(os.environ.items()), sys.stdin.read(), sep="\\n", flush=True)
os.system("echo from a process of its own; echo warned >&2")
"""


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    """A folder with a plugin that says what it finds when it is imported."""
    site = workplace.folder / "site"
    record = site / "telling-1.0.dist-info"
    record.mkdir(parents=True)
    (site / "telling.py").write_text(PLUGIN)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: telling\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[pixcore]\ntelling = telling\n")
    workplace.environment["PYTHONPATH"] += os.pathsep + str(site)
    workplace.environment["PIXCORE_PLUGINS"] = "toy,telling"
    return workplace


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pixcore", *arguments]


def forked(place: Workplace, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    return forks.forked(command(*arguments), place.folder, place.environment)


@pytest.mark.parametrize("arguments", [["plugins"], ["--version"], ["run", "nothing.yaml"], ["runn"]], ids=" ".join)
def test_it_finds_and_says_the_same(place: Workplace, arguments: list[str]) -> None:
    expected = forks.plain(command(*arguments), place.folder, place.environment)
    assert vars(forked(place, *arguments)) == vars(expected)
    assert ("a process of its own" in expected.stdout) == (arguments != ["--version"])


def test_nothing_is_left_of_the_one_before(place: Workplace) -> None:
    first = forked(place, "plugins")
    place.environment["NAMED"] = "now"
    again = forked(place, "plugins")
    assert "NAMED" not in first.stdout
    assert "NAMED" in again.stdout
    assert again.stdout.count("telling") == first.stdout.count("telling")


@pytest.mark.parametrize("name", ["numpy", "pixcore", "sitecustomize"])
def test_a_folder_with_a_module_that_was_imported_ahead_gets_a_python_of_its_own(place: Workplace, name: str) -> None:
    (place.folder / "site" / f"{name}.py").write_text("print('this one')\n")
    assert forked(place, "--version") is None
    assert forks.run(["--version"], place.folder, place.environment).args[1:] == ["-m", "pixcore", "--version"]


def test_what_is_read_when_python_starts_gets_a_python_of_its_own(place: Workplace) -> None:
    place.environment["PYTHONUNBUFFERED"] = "1"
    place.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    assert "import time:" in forks.run(["--version"], place.folder, place.environment).stderr
