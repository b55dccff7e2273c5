"""The examples in docstrings and on pages do what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT, *ROOT.glob("plugins/*/src"), *ROOT.glob("benchmarks/*/src")]
MODULES = sorted(
    ".".join(path.relative_to(source).with_suffix("").parts)
    for source in SOURCES
    for path in source.glob("pixcore*/**/*.py")
    if "    >>> " in path.read_text(encoding="utf-8")
)


def test_there_are_examples_of_what_is_measured() -> None:
    assert {"pixcore.geometry", "pixcore.masks", "pixcore_statistics.best_of"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed


def test_the_examples_on_pages() -> None:
    pages = [path for path in (ROOT / "docs").rglob("*.md") if ">>> " in path.read_text(encoding="utf-8")]
    assert pages
    for page in pages:
        assert not doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed, page
