"""Templates are compiled once an environment, and a folder for caches that fails hurts no page."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment
from pixcore_report.page import environment_of


class Compiles(Exception):
    """Jinja was asked to compile."""


def templates(*, compiles: bool) -> Environment:
    """The report's templates; where they must not be compiled, Jinja can't."""

    def refused(*_: object, **__: object) -> None:
        raise Compiles

    environment = environment_of("pixcore_report")
    if not compiles:
        environment.compile = refused  # type: ignore[method-assign, assignment]
    return environment


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for caches of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def kept(cache: Path) -> list[Path]:
    """The files of templates."""
    return [path for path in cache.rglob("*") if path.is_file()]


def test_a_template_is_compiled_once(cache):
    with pytest.raises(Compiles):
        templates(compiles=False).get_template("report.html")
    templates(compiles=True).get_template("report.html")
    assert templates(compiles=False).get_template("report.html")


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 5000])
def test_a_damaged_file_is_compiled_anew(cache, damage):
    templates(compiles=True).get_template("report.html")
    (path,) = kept(cache)
    whole = path.read_bytes()
    path.write_bytes(damage or whole[:-1])
    assert templates(compiles=True).get_template("report.html")
    assert path.read_bytes() == whole


def test_another_release_of_whoever_has_a_say_compiles_anew(cache, monkeypatch):
    templates(compiles=True).get_template("report.html")
    monkeypatch.setattr("jinja2.__version__", "0")
    with pytest.raises(Compiles):
        templates(compiles=False).get_template("report.html")


def test_without_a_folder_for_caches_it_is_compiled(cache):
    cache.write_text("a file in its place")
    assert templates(compiles=True).get_template("report.html")
    assert cache.read_text() == "a file in its place"
