"""What every page is held to: no finding by axe-core, and the look that its reference pictures keep.

Pictures are taken with a font that comes with matplotlib, so that text breaks where it broke on the machine that made
the references, and compared in blocks of 16 pixels, so that neither another Chromium's edges nor small print matter.
`UPDATE_PICTURES=1` writes them anew; look at them before they are committed.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

VIEWS = {
    "desktop-light": (1280, 900, "light"),
    "desktop-dark": (1280, 900, "dark"),
    "phone-light": (390, 800, "light"),
    "phone-dark": (390, 800, "dark"),
}
BLOCK = 16
"""Pixels a side of what is compared as one colour."""

VISIBLE = 28
"""Levels of 255 by which a block's colour is another."""

OTHERWISE = 0.04
"""Share of blocks of another colour from which a page does not look as it did."""


@lru_cache(maxsize=1)
def _font() -> str:
    import matplotlib

    faces = []
    for name, weight in (("DejaVuSans", "100 500"), ("DejaVuSans-Bold", "501 900")):
        file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
        source = f"url(data:font/ttf;base64,{base64.b64encode(file.read_bytes()).decode('ascii')})"
        faces.append(f"@font-face {{ font-family: Kept; font-weight: {weight}; src: {source}; }}")
    still = "* { font-family: Kept !important; transition: none !important; animation: none !important; }"
    return "\n".join((*faces, still, "::-webkit-scrollbar { display: none; }"))


@lru_cache(maxsize=1)
def _axe() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def open_page(browser: Any, address: str, ready: str) -> Any:
    """Open a page in a tab of its own, with the font that pictures are taken with.

    Args:
        browser: Playwright's.
        address: Where the page is.
        ready: A selector of what is there once it is drawn.
    """
    width, height, scheme = VIEWS["desktop-light"]
    tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True)
    tab.goto(address)
    tab.add_style_tag(content=_font())
    tab.locator(ready).first.wait_for()
    return tab


def picture(tab: Any, view: str, at: str = "") -> PILImage.Image:
    """Take a picture of what a reader sees.

    Args:
        tab: From `open_page`.
        view: One of `VIEWS`.
        at: A selector of what is scrolled to; the page's head if left out.
    """
    width, height, scheme = VIEWS[view]
    tab.set_viewport_size({"width": width, "height": height})
    tab.emulate_media(color_scheme=scheme)
    tab.evaluate("at => at ? document.querySelector(at).scrollIntoView() : scrollTo(0, 0)", at)
    settled = "document.fonts.status === 'loaded' && [...document.images].every(image => image.complete)"
    tab.wait_for_function(settled)
    tab.wait_for_timeout(250)  # what draws on resizing waits as long
    return PILImage.open(io.BytesIO(tab.screenshot())).convert("RGB")


def blocks(image: PILImage.Image, size: tuple[int, int]) -> NDArray[np.int16]:
    """Average an image's colours over the blocks of a screen of a size."""
    return np.asarray(image.resize((size[0] // BLOCK, size[1] // BLOCK), PILImage.Resampling.BOX), np.int16)


def difference(seen: PILImage.Image, kept: PILImage.Image) -> float:
    """Say which share of a picture's blocks has another colour than in another picture."""
    one, other = (blocks(image, seen.size) for image in (seen, kept))
    return float((np.abs(one - other).max(axis=2) > VISIBLE).mean())


def check_look(tab: Any, name: str, folder: Path, *, at: str = "", views: Sequence[str] = tuple(VIEWS)) -> None:
    """Compare a page with its reference pictures, in each view.

    Args:
        tab: From `open_page`.
        name: What its pictures are called.
        folder: Where they are kept.
        at: As `picture` takes it.
        views: Of `VIEWS`.
    """
    for view in views:
        seen, file = picture(tab, view, at), folder / f"{name}-{view}.webp"
        if os.environ.get("UPDATE_PICTURES"):
            folder.mkdir(exist_ok=True)
            seen.resize((seen.width // 2, seen.height // 2), PILImage.Resampling.BOX).save(file, quality=40, method=6)
        kept = PILImage.open(file).convert("RGB")
        share = difference(seen, kept)
        for _ in range(40):  # a busy machine draws later
            if share < OTHERWISE:
                break
            tab.wait_for_timeout(500)
            share = difference(picture(tab, view, at), kept)
        assert share < OTHERWISE, f"{file.name}: {100 * share:.1f} % of the page look otherwise (UPDATE_PICTURES=1)"


def check_break_is_seen(tab: Any, name: str, folder: Path, view: str, rule: str, *, at: str = "") -> None:
    """Break a page by one rule of CSS, and hold its reference picture in one view to showing it."""
    style = tab.add_style_tag(content=rule)
    try:
        kept = PILImage.open(folder / f"{name}-{view}.webp").convert("RGB")
        assert difference(picture(tab, view, at), kept) > 1.5 * OTHERWISE, f"{name}-{view} does not show: {rule}"
    finally:
        style.evaluate("node => node.remove()")


def check_fits(tab: Any) -> None:
    """Hold a page to the width of a phone, with all that can be opened open: what is wider scrolls in its own box."""
    width, height, _ = VIEWS["phone-light"]
    tab.set_viewport_size({"width": width, "height": height})
    tab.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")
    tab.wait_for_timeout(200)  # what draws on resizing waits as long
    tab.evaluate("scrollTo(1000, 0)")
    beyond = tab.evaluate("""[...document.querySelectorAll('body *')].map(node => [node, node.getBoundingClientRect()])
        .filter(([, box]) => box.width && box.right + scrollX > innerWidth + 1)
        .map(([node, box]) => `${node.tagName}.${node.getAttribute('class')} to ${box.right + scrollX}`)""")
    assert tab.evaluate("[scrollX, document.documentElement.scrollWidth]") == [0, width], beyond[:8]


def check_accessible(tab: Any, opens: str = "details") -> None:
    """Hold a page to axe-core: wide and light, then narrow and dark, with all that can be opened open."""
    tab.evaluate("what => document.querySelectorAll(what).forEach(node => { node.open = true; })", opens)
    tab.evaluate(_axe())
    for view in ("desktop-light", "phone-dark"):
        width, height, scheme = VIEWS[view]
        tab.set_viewport_size({"width": width, "height": height})
        tab.emulate_media(color_scheme=scheme)
        tab.wait_for_timeout(200)
        found = tab.evaluate("axe.run({ exclude: [['svg > *']] }).then(({ violations }) => violations)")
        said = [
            f"{view}: {one['id']}: {node['target']}: {node.get('failureSummary', '')}"
            for one in found
            for node in one["nodes"][:5]
        ]
        assert not said, "\n".join(said)
