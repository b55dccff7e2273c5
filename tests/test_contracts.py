"""Every component of this repository is held to the contract by its own package's tests."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECTS = [path.parent for path in sorted(ROOT.glob("*/*/pyproject.toml"))]
SUITES = {"AttentionAdapterSuite", "MaskAdapterSuite"}
"""What holds a model adapter to the contract, among much else (`tests.adapters`)."""


def plugins() -> Iterator[tuple[Path, str]]:
    """Each package's folder, and its plugin's name."""
    for folder in PROJECTS:
        about = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for name in about.get("entry-points", {}).get("pixcore", {}):
            yield folder, name


def bases_and_names(folder: Path) -> Iterator[tuple[set[str], set[str]]]:
    """Of each class of a package's tests what it derives from, and the names that it states."""
    for path in sorted((folder / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                values = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                yield bases, {value for value in values if isinstance(value, str)}


def test_there_are_plugins() -> None:
    assert len(list(plugins())) >= 28


@pytest.mark.parametrize(("folder", "name"), plugins(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_packages_tests_hold_it_to_the_contract(folder: Path, name: str) -> None:
    found = list(bases_and_names(folder))
    whole = any("PluginContract" in bases and name in names for bases, names in found)
    adapter = any(bases & SUITES for bases, _ in found)
    assert whole or adapter, f"{folder.name}: derive from pixcore_testing.PluginContract with name = {name!r}"
