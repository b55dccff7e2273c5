"""The core is thin: its sources import no plugin and name no component of one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixcore
from pixcore.plugins import registry

SOURCES = sorted(Path(pixcore.__file__).parent.rglob("*.py"))

WORDS = {"stability", "tokens", "openai", "transformers", "mean"}
"""Names of components that are keys of a record, libraries, or kinds of figures, too."""


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_module_of_the_core_names_no_component(path):
    text = path.read_text()
    names = {registration.name for registration in registry() if registration.distribution != "pixcore"} - WORDS
    assert {"oracle", "spacy-similarity", "exact-match"} <= names
    quoted = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert not names & quoted
    assert not {name for name in names if "-" in name and re.search(rf"(?<![\w-]){name}(?![\w-])", text)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_module_of_the_core_imports_no_plugin(path):
    text = path.read_text()
    assert not [name for name in imported(ast.parse(text)) if name.startswith("pixcore_")]
    assert not re.search(r"[\"']pixcore_\w+\.", text)  # nor as the target of something imported later


def test_without_a_plugin_that_offers_one_there_is_no_control(workplace):
    config = workplace.config(selections=["toy-best"])
    text = config.read_text().replace("control:\n  points: toy-anywhere\n  selection: toy-best\n", "")
    assert "control" not in text
    config.write_text(text)
    workplace("run", str(config))
    assert [row["name"] for row in workplace.summary()["rows"]] == ["toy-best"]
    said = workplace("run", str(config), "--set", "control={}", status=2).stderr
    assert "control.points: is needed and missing" in said


def test_the_defaults_that_plugins_offer_are_the_control(workplace):
    workplace.environment["PIXCORE_PLUGINS"] = "toy,selection,points"
    config = workplace.config(selections=["toy-best"])
    workplace("run", str(config), "--set", "control={selection: toy-best}")
    assert [row["name"] for row in workplace.summary()["rows"]] == ["toy-best", "random points, toy-best pick"]


def test_one_model_one_benchmark_and_one_generator_are_enough_for_a_table(workplace):
    """What can't be done without a grouper, points or a judge is not done, and said; what is asked for is refused."""
    pytest.importorskip("pixcore_mini")
    workplace.environment["PIXCORE_PLUGINS"] = "mini,mini-world,regions"
    (workplace.folder / "alone.yaml").write_text(
        "benchmark: {name: mini-world, pairs: 1}\noutput: alone\nstore: store\n"
    )
    done = workplace("run", "alone.yaml")
    assert "mini on mini-world" in done.stdout
    assert "no masks are mined, as there is no component for grouper and points" in done.stderr
    assert "answers are not graded, as no judge is installed" in done.stderr
    assert "pip install pixcore-report" in done.stderr
    assert (workplace.folder / "alone" / "predictions.jsonl").read_text().count("\n") == 6
    refused = workplace("run", "alone.yaml", "--set", "masks=regions", status=2).stderr
    assert "the config has no grouper:" in refused
