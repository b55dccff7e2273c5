"""Every component of this repository is held to the contract by its own package's tests."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixcore.plugins import Kind, registry
from tests import adapters

ROOT = Path(__file__).parents[1]
PROJECTS = [path.parent for path in sorted(ROOT.glob("*/*/pyproject.toml"))]
SUITES = {
    name
    for name, one in vars(adapters).items()
    if isinstance(one, type) and issubclass(one, (adapters.AttentionAdapterSuite, adapters.MaskAdapterSuite))
}
"""What holds a model adapter to the contract, among much else."""


def plugins() -> Iterator[tuple[Path, str]]:
    """Each package's folder, and its plugin's name."""
    for folder in PROJECTS:
        about = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for name in about.get("entry-points", {}).get("pixcore", {}):
            yield folder, name


def stated(folder: Path) -> Iterator[tuple[set[str], set[str], set[str]]]:
    """Of each class of a package's tests what it derives from, the names that it states, and what it defines."""
    for path in sorted((folder / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                values = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                made = {one.targets[0].id for one in node.body if isinstance(one, ast.Assign)}
                made |= {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                yield bases, {value for value in values if isinstance(value, str)}, made


def test_there_are_plugins() -> None:
    assert len(list(plugins())) >= 28


@pytest.mark.parametrize(("folder", "name"), plugins(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_packages_tests_hold_it_to_the_contract(folder: Path, name: str) -> None:
    found = list(stated(folder))
    whole = any("PluginContract" in bases and name in names for bases, names, _ in found)
    adapter = any(bases & SUITES for bases, *_ in found)
    assert whole or adapter, f"{folder.name}: derive from pixcore_testing.PluginContract with name = {name!r}"


def test_what_asks_is_asked() -> None:
    """A service of the test's own, and a small model: nothing of this repository is held to half a contract."""
    tests = {
        name: [made for bases, _, made in stated(folder) if "PluginContract" in bases] for folder, name in plugins()
    }
    asking = [one for kind in (Kind.SELECTIONS, Kind.JUDGE) for one in registry().all(kind) if one.plugin in tests]
    needs = {"asks": [one for one in asking if one.component_class.asks_service]}
    strategies = [one for one in asking if one.kind is Kind.SELECTIONS and one not in needs["asks"]]
    needs["context"] = [one for one in strategies if one.component_class.needs_model]
    assert all(needs.values())
    for what, components in needs.items():
        for one in components:
            assert any(what in made for made in tests[one.plugin]), f"{one.name}: {what} in {one.plugin}'s contract"
