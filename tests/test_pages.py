"""Every page that is written: without a finding by axe-core, and looking as it did, wide and narrow, light and dark."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.pages import check_accessible, check_break_is_seen, check_fits, check_look, open_page
from tests.workplace import TOY_RUN, Workplace, unpacked

PICTURES = Path(__file__).with_name("pictures")
PAPER = Path(__file__).parents[1] / "benchmarks" / "paper" / "report.py"

PAGES = {
    "report": ("runs/first/report.html", {"report": "", "card": "#samples"}),
    "compare": ("beside/compare.html", {"compare": "", "flips": "#flips"}),
    "emergence": ("runs/first/emergence/emergence.html", {"emergence": ""}),
    "figures": ("runs/first/figures/figures.html", {"figures": ""}),
    "paper": ("paper/report.html", {"paper": "#pixmmvp"}),
}
"""Where each page is, and which places of it have pictures."""


WRITE = """
import json, runpy, sys
from pathlib import Path
import pixcore
from pixcore.cli import main

def command(*arguments):
    try:
        main([str(one) for one in arguments])
    except SystemExit as end:
        assert not end.code

toy = json.loads(sys.argv[1])
pixcore.run(toy, output="runs/first")
pixcore.run(toy, output="runs/second", selections=["toy-best"], control=None)
command("compare", "runs/first", "runs/second", "--row", "toy-first", "--row", "toy-best", "--output", "beside")
command("emergence", "runs/first")
command("figures", "runs/first")
sys.argv = ["report.py", "--runs", "paper"]
runpy.run_path(PAPER, run_name="__main__")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each page, of two runs of the toy on the same few samples, made in one process."""
    pytest.importorskip("axe_playwright_python")
    place = Workplace(tmp_path_factory.mktemp("pages"))
    toy = TOY_RUN | {"benchmark": {"name": "toy-boxes", "pairs": 6}, "store": "store"}
    code = f"PAPER = {str(PAPER)!r}\n{WRITE}"
    command = [sys.executable, "-c", code, json.dumps(toy)]
    subprocess.run(command, cwd=place.folder, env=place.environment, check=True, capture_output=True)
    return place.folder


@pytest.fixture(scope="module")
def tabs(written: Path, browser: Any) -> Iterator[dict[str, Any]]:
    opened = {name: open_page(browser, (written / path).as_uri(), "h1") for name, (path, _) in PAGES.items()}
    yield opened
    for tab in opened.values():
        tab.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_looks_as_it_did(name: str, tabs: dict[str, Any]) -> None:
    for place, at in PAGES[name][1].items():
        check_look(tabs[name], place, PICTURES, at=at)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone(name: str, tabs: dict[str, Any]) -> None:
    check_fits(tabs[name])


def test_a_table_without_a_box_of_its_own_does_not_fit(tabs: dict[str, Any]) -> None:
    style = tabs["paper"].add_style_tag(content=".scroll { overflow: visible !important; }")
    with pytest.raises(AssertionError, match="TABLE"):
        check_fits(tabs["paper"])
    style.evaluate("node => node.remove()")


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name: str, tabs: dict[str, Any]) -> None:
    check_accessible(tabs[name])


@pytest.mark.parametrize(
    ("place", "at", "view", "rule"),
    [
        ("report", "", "phone-light", ".main tr { display: table-row !important; }"),
        ("report", "", "desktop-light", ".results th, .results td { padding: 0 !important; }"),
        ("card", "#samples", "desktop-dark", ".card-body { display: block !important; }"),
        ("card", "#samples", "phone-dark", "body, .card { background: #fff !important; }"),
        ("paper", "#pixmmvp", "desktop-light", ".wide { max-width: 900px !important; }"),
        ("flips", "#flips", "phone-light", ".sides { grid-template-columns: 1fr 1fr !important; }"),
    ],
)
def test_what_breaks_a_page_is_seen(place: str, at: str, view: str, rule: str, tabs: dict[str, Any]) -> None:
    name = next(name for name, (_, places) in PAGES.items() if place in places)
    check_break_is_seen(tabs[name], place, PICTURES, view, rule, at=at)


def test_a_flip_leads_to_its_card_in_both_reports(written: Path, tabs: dict[str, Any]) -> None:
    flip = tabs["compare"].locator(".flip").first
    name = flip.locator("h3").inner_text()
    for link, row in zip(flip.locator(".sides a").all(), ("toy-first", "toy-best"), strict=True):
        target = urlsplit(link.get_attribute("href"))
        index = unpacked(written / "beside" / unquote(target.path))[-1]
        assert index["samples"][int(target.fragment.removeprefix("sample-"))]["id"] == name
        assert parse_qs(target.query)["row"] == [row]
