"""What is installed, as pip writes it down, and the help screen that is kept as long as nothing of it changes."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest

from pixcore.entries import entry_points
from tests.workplace import Workplace


def test_it_finds_what_the_standard_library_finds() -> None:
    """Names, targets and packages, of all that is installed here."""
    standard = {
        (entry.name, entry.value.replace(" ", ""), entry.dist.name if entry.dist else "")
        for entry in metadata.entry_points(group="pixcore")
    }
    assert set(entry_points()) == standard
    assert standard


@pytest.mark.parametrize(
    ("folder", "about", "listed", "expected"),
    [
        (
            "my_plugin-1.0.dist-info",
            "METADATA",
            "[other]\na = b\n\n[pixcore]\n# ours\nmine = mod.ule\n[more]\nx = y",
            "mod.ule",
        ),
        ("my.plugin.egg-info", "PKG-INFO", "[pixcore]\nmine=mod : part [extra]", "mod:part"),
        ("my_plugin-2.dist-info", "METADATA", "[console_scripts]\nmine = mod", None),
    ],
)
def test_what_stands_in_the_metadata(
    folder: str, about: str, listed: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / about).write_text("Metadata-Version: 2.1\nName: My.Plugin\nVersion: 1.0\n")
    (tmp_path / folder / "entry_points.txt").write_text(listed)
    monkeypatch.setattr("sys.path", [str(tmp_path), str(tmp_path / "gone")])
    assert entry_points() == ([] if expected is None else [("mine", expected, "My.Plugin")])


def test_of_two_packages_with_one_name_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, target in (("first", "one"), ("second", "two")):
        record = tmp_path / place / f"{'my_plugin' if target == 'one' else 'My.plugin'}-1.0.dist-info"
        record.mkdir(parents=True)
        (record / "METADATA").write_text("Name: my-plugin\n")
        (record / "entry_points.txt").write_text(f"[pixcore]\nmine = {target}\n")
    monkeypatch.setattr("sys.path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert entry_points() == [("mine", "one", "my-plugin")]


def test_a_file_that_the_standard_library_stumbles_over_is_named_whosever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("other", b"[console_scripts]\nother"), ("letters", b"[console_scripts]\na = \xff")):
        record = tmp_path / f"{name}-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (record / "entry_points.txt").write_bytes(text)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it says
            _ = metadata.PathDistribution(record).entry_points
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    broken: dict[str, str] = {}
    assert entry_points(broken) == []
    assert broken.keys() == {"other-1.0.dist-info", "letters-1.0.dist-info"}
    assert broken["other-1.0.dist-info"] == "'other' is no entry point"


def greeting(workplace: Workplace, summary: str) -> Path:
    """Install a plugin with a command of its own, or edit it."""
    site = workplace.folder / "site"
    record = site / "greeting-1.0.dist-info"
    record.mkdir(parents=True, exist_ok=True)
    module = site / "greeting.py"
    module.write_text(
        "from pixcore import hookimpl\n\n\n@hookimpl\ndef register_commands(register):\n"
        f"    register('greet', 'greeting:greet', summary={summary!r})\n"
    )
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[pixcore]\ngreeting = greeting\n")
    return module


def test_help_is_kept_until_something_changes(workplace: Workplace) -> None:
    """A plugin that comes, is edited, fails, is restricted away or goes; and the width."""
    cache = workplace.folder / "cache"
    workplace.environment |= {"PIXCORE_PLUGINS": "toy", "XDG_CACHE_HOME": str(cache)}
    first = workplace("--help").stdout
    (kept,) = (cache / "pixcore").glob("help*.json")
    kept.write_text(kept.read_text().replace("Says hello.", "Says so again."))
    assert workplace("--help").stdout == first.replace("Says hello.", "Says so again."), "it is not made anew"
    workplace.environment["COLUMNS"] = "60"
    assert "Says hello." in workplace("-h").stdout
    workplace.environment |= {
        "PIXCORE_PLUGINS": "toy,greeting",
        "PYTHONPATH": workplace.environment["PYTHONPATH"] + os.pathsep + str(workplace.folder / "site"),
    }
    module = greeting(workplace, "Good morning.")
    assert "greet  " in workplace("--help").stdout
    greeting(workplace, "Good night.")
    assert "Good night." in workplace("--help").stdout
    module.write_text("raise ValueError\n")
    assert "Good night." not in workplace("--help").stdout
    greeting(workplace, "Good day.")
    assert "Good day." in workplace("--help").stdout, "what failed is mended: that must be seen"
    workplace.environment["PIXCORE_PLUGINS"] = "toy"
    assert "Good day." not in workplace("--help").stdout


@pytest.mark.parametrize("held", ["", "[1, 2, 3]", '{"a": 1}', '[[], 7, "x"]'])
def test_a_damaged_memory_is_no_memory(held: str, workplace: Workplace) -> None:
    workplace.environment |= {"PIXCORE_PLUGINS": "toy", "XDG_CACHE_HOME": str(workplace.folder / "cache")}
    expected = workplace("--help").stdout
    (kept,) = (workplace.folder / "cache" / "pixcore").glob("help*.json")
    kept.write_text(held)
    assert workplace("--help").stdout == expected
