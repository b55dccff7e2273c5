"""The explorer's pages look as they did, wide and narrow, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pixcore
from tests.pages import check_break_is_seen, check_fits, check_look, open_page

PICTURES = Path(__file__).parents[3] / "tests" / "pictures"

PLACES = {
    "explorer-index": ("#/", "#runs tbody tr"),
    "explorer-samples": ("#/run/{run}", "#count:text-is('8 of 8')"),
    "explorer-sample": ("#/run/{run}/sample/{sample}?row=oracle", ".chip"),
}
"""Where each page is, and what is there once it is drawn."""


BREAKS = {
    "explorer-index": ("desktop-dark", "body, main { background: #fff !important; }"),
    "explorer-samples": ("phone-dark", "img { display: none !important; }"),
    "explorer-sample": ("desktop-dark", "canvas { visibility: hidden !important; }"),
}
"""What breaks each: its picture in one view has to show it."""


@pytest.fixture(scope="module")
def names(shown: Any) -> dict[str, str]:
    """What addresses call the finished run and its first sample."""
    run = pixcore.open_run(shown.root / "first")
    return {"run": shown.key("first"), "sample": run.samples()[0].id}


@pytest.mark.parametrize("name", PLACES)
def test_a_page_looks_as_it_did(name: str, names: dict[str, str], browser: Any, shown: Any) -> None:
    place, ready = PLACES[name]
    tab = open_page(browser, shown.address + place.format(**names), ready)
    tab.wait_for_load_state("networkidle")
    check_look(tab, name, PICTURES)
    check_break_is_seen(tab, name, PICTURES, *BREAKS[name])
    check_fits(tab)
    tab.close()
