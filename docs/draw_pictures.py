"""Draw the pictures of the pages from what `mini` says and sees: `make demo`, then `python docs/draw_pictures.py`.

Those of the report are taken of the demo's own, in Chromium.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw
from pixcore_ground.picture import ground_picture
from pixcore_pictures.drawing import overlay
from pixcore_pictures.fonts import font_for

import pixcore
from pixcore.components import Context
from pixcore.config import resolve
from pixcore.plugins import Kind, registry
from pixcore.records import Candidate, ProtocolResult, Sample
from pixcore.runs.plan import Run
from pixcore.runs.progress import Display
from pixcore.terminal import Console

IMAGES = Path(__file__).with_name("images")
REPORT = Path(__file__).parents[1] / "runs" / "demo" / "report.html"
SIDE, GAP, HEAD = 300, 14, 54


def main() -> None:
    """Show the demo's report; ask `mini` about one scene, and draw how a mask is mined from its answer."""
    show_report(REPORT)
    sample, result = grounded()
    words = set((sample.expression or "").split())
    chosen = next(one for one in result.candidates if one.group is not None and one.group.phrase in words)
    mining(sample, result, chosen).save(IMAGES / "mining.png", optimize=True)
    show_ground(next(one for one in scenes() if one.expression == "the lamp"))


def show_ground(sample: Sample) -> None:
    """Draw what `pixcore ground` finds in a scene, with few of the other candidates."""
    found = pixcore.ground(sample.image, sample.expression or "")
    ground_picture(found, most=7).save(IMAGES / "ground.webp", quality=86)


def show_report(report: Path) -> None:
    """Take pictures of a report's head and of its first card."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page.goto(report.as_uri())
        page.screenshot(path=IMAGES / "report-table.png")
        card = page.locator(".card").first
        card.scroll_into_view_if_needed()
        card.locator(".thumbs canvas").last.wait_for()
        card.screenshot(path=IMAGES / "report.png")
        chromium.close()


def scenes() -> Iterator[Sample]:
    """The scenes whose object is there."""
    benchmark = registry().get(Kind.BENCHMARK, "mini-world")
    samples = benchmark.create(benchmark.config_class(), Context()).samples()
    return (one for one in samples if one.expression and not one.absent)


def grounded() -> tuple[Sample, ProtocolResult]:
    """The first scene whose object is there, and what `mini` says when it is asked to identify it."""
    sample = next(scenes())
    with tempfile.TemporaryDirectory() as folder:
        document = {"benchmark": None, "model": "mini", "protocols": ["segment"], "selections": [], "control": None}
        job = Run(resolve({**document, "store": folder, "output": folder}, registry()), samples=[sample])
        job.execute(Display(Console(stderr=True)))
        (result,) = next(iter(job.results())).by_probing.values()
        for stage in job.stages():
            stage.store.close()
    return sample, result


def mining(sample: Sample, result: ProtocolResult, chosen: Candidate) -> PILImage.Image:
    """The scene, the map of one phrase, its point, and the masks that it gives, side by side."""
    picture = sample.image.pil()
    phrase = chosen.group.phrase if chosen.group else ""
    panels = [
        ("the image", overlay(picture, (SIDE, SIDE))),
        (f"attention of \u201c{phrase}\u201d", heat(result, chosen, picture)),
    ]
    panels.append(("its highest place", overlay(picture, (SIDE, SIDE), prompt=chosen.point)))
    panels += [(f"mask {n}", overlay(picture, (SIDE, SIDE), mask)) for n, mask in enumerate(chosen.masks, start=1)]
    width = len(panels) * (SIDE + GAP) + GAP
    sheet = PILImage.new("RGB", (width, SIDE + HEAD + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (title, panel) in enumerate(panels):
        left = GAP + index * (SIDE + GAP)
        pen.text((left, 14), title, fill="black", font=font_for(title, 22))
        sheet.paste(panel, (left, HEAD))
    return sheet


def heat(result: ProtocolResult, chosen: Candidate, picture: PILImage.Image) -> PILImage.Image:
    """A phrase's map over the image, dark to bright."""
    if result.response is None or result.response.layout is None or chosen.map is None:
        raise ValueError("the answer has no map")
    values = result.response.layout.to_image(chosen.map, picture.size)
    scaled = (values - values.min()) / (np.ptp(values) or 1)
    colours = np.stack([scaled * 255, scaled**2 * 190, 40 + 60 * (1 - scaled)], axis=-1).astype(np.uint8)
    grey = np.asarray(picture.convert("L").convert("RGB"), np.float32)
    mixed = PILImage.fromarray((0.35 * grey + 0.65 * colours).astype(np.uint8))
    return mixed.resize((SIDE, SIDE), PILImage.Resampling.BICUBIC)


if __name__ == "__main__":
    main()
