"""The house as it is meant to stand: thin, without circles, its picture up to date."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts import loaded

ROOT = Path(__file__).parents[1]
CORE = ROOT / "pixcore"


@pytest.fixture(scope="module")
def architecture() -> ModuleType:
    return loaded(ROOT / "docs" / "draw_architecture.py")


def test_the_cores_top_floor_is_small() -> None:
    assert len(list(CORE.glob("*.py"))) <= 20


def test_the_core_is_thin() -> None:
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in CORE.rglob("*.py")) <= 8000


def test_the_core_imports_no_guest(architecture: ModuleType) -> None:
    for name, near in architecture.arrows().items():
        if name.startswith("pixcore") and not name.startswith("pixcore-"):
            assert not [to for to in near if to.startswith("pixcore-")], name


def test_no_arrow_runs_in_a_circle(architecture: ModuleType) -> None:
    assert architecture.reduced(architecture.arrows())


def test_the_picture_is_of_this_code(architecture: ModuleType) -> None:
    assert architecture.page() == architecture.PAGE.read_text(encoding="utf-8"), "python docs/draw_architecture.py"
