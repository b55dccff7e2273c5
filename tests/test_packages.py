"""What each package of the project says of itself: bounded requirements, and no golden numbers in a wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from pixcore.plugins import Kind, registry

ROOT = Path(__file__).parent.parent
PROJECTS = sorted([*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("benchmarks/*/pyproject.toml")])


def project(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_every_package_is_looked_at():
    assert len(PROJECTS) >= 27
    assert len({project(path)["project"]["name"] for path in PROJECTS}) == len(PROJECTS)


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_the_core_and_siblings_are_required_within_one_series(path):
    about = project(path)["project"]
    extras = [one for extra in about.get("optional-dependencies", {}).values() for one in extra]
    own = [one for one in map(Requirement, [*about["dependencies"], *extras]) if one.name.split("-", 1)[0] == "pixcore"]
    assert "pixcore" in {one.name for one in own}
    assert {str(one.specifier) for one in own} == {"<0.2,>=0.1"}


@pytest.mark.parametrize("path", [ROOT / "pyproject.toml", *PROJECTS], ids=lambda path: path.parent.name)
def test_no_wheel_holds_golden_or_recording_code(path):
    packages = project(path)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = [file for package in packages for file in (path.parent / package).rglob("*.py")]
    assert files
    assert not [file for file in files if file.stem.startswith(("goldens", "recording"))]
    assert not [file for file in files if "tests.goldens" in file.read_text()]
    assert "goldens" not in project(path)["project"].get("optional-dependencies", {})


def test_every_model_adapter_runs_the_common_suite():
    """`tests/adapters.py` holds what all of them must do; an adapter that no suite is run on is told here."""
    suites = [text for path in ROOT.glob("plugins/*/tests/*.py") if "AdapterSuite" in (text := path.read_text())]
    names = {one.name for one in registry().all(Kind.MODEL) if one.distribution.startswith("pixcore-")}
    assert len(names) >= 10
    assert not {name for name in names if not any(f'"{name}"' in text for text in suites)}
