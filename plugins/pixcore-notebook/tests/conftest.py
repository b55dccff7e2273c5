"""A run of the demo's kind, and what is held of every piece of HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pixcore


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_html(html: str) -> str:
    """Hold HTML to what a notebook is promised, and give it back."""
    html.encode()  # no half of a surrogate pair
    parser = _Elements()
    parser.feed(html)
    tags = {tag for tag, _ in parser.found}
    assert not tags & {"script", "style", "link", "iframe", "object", "form", "base", "meta", "svg"}
    for tag, attributes in parser.found:
        assert not [name for name in attributes if name.startswith("on") or name in ("href", "id", "class")], tag
        assert (attributes.get("src") or "data:image/webp;base64,").startswith("data:image/webp;base64,")
        assert "url(" not in (attributes.get("style") or "")
        assert tag != "img" or attributes.get("alt") is not None
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)
    assert len(html) < 600_000
    return html


@pytest.fixture(scope="session")
def checked() -> Callable[[str], str]:
    """Hold HTML to what a notebook is promised."""
    return check_html


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> pixcore.Run:
    """A run of mini on two pairs of mini-world."""
    for package in ("pixcore_mini", "pixcore_mini_world", "pixcore_attention", "pixcore_groupers", "pixcore_regions"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("notebook")
    config = {
        "benchmark": {"name": "mini-world", "pairs": 2},
        "selections": ["oracle", "phrase-overlap"],
        "output": folder / "run",
        "store": folder / "store",
    }
    return pixcore.run(config, protocols=("segment", "letter"))


@pytest.fixture
def folder(finished: pixcore.Run) -> Path:
    """Where it is."""
    return finished.folder
