"""The explorer on many samples: first paint, scrolling, memory, and one sample of many.

    python benchmarks/speed/explorer.py [--samples N]

N samples made by repeating 20 scenes of mini-world under other ids; `pixcore view` serves them, headless Chromium looks
at them. Script time until pictures are there; while the whole list is scrolled by, the most processor time that the
page takes for one of 60 steps, and tasks over 50 ms by the clock, which other work on the machine makes longer; the
page's memory before and after; how many of the store's records are read for one sample. Needs playwright and Chromium.
Writes `explorer.json` beside itself.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _measure import write
from PIL import Image as PILImage
from pixcore_explorer.server import Explorer, serve
from playwright.sync_api import sync_playwright

import pixcore
from pixcore import masks
from pixcore.config import resolve
from pixcore.plugins import registry
from pixcore.runs.plan import Run
from pixcore.stages.store import StageStore

SCENES, STEPS = 20, 60

SCROLL = "to => { document.querySelector('.scroller').scrollTop = to * document.querySelector('.tall').clientHeight }"
WATCH = """() => {
  window.long = [];
  const note = (seen) => seen.getEntries().forEach((one) => window.long.push(one.duration));
  new PerformanceObserver(note).observe({ type: "longtask" });
}"""


def repeated(folder: Path, count: int) -> None:
    """Write a benchmark of `count` samples that repeat a few scenes."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    config = {"benchmark": {"name": "mini-world", "pairs": SCENES}, "model": "mini", "output": folder / "none"}
    scenes = []
    for sample in Run(resolve({**config, "output": str(folder / "none")}, registry()))._samples():
        if sample.mask is not None and not sample.absent and len(scenes) < SCENES:
            name = f"{len(scenes)}.png"
            sample.image.pil().save(folder / "images" / name)
            PILImage.fromarray((masks.decode(sample.mask) * 255).astype("uint8")).save(folder / "masks" / name)
            scenes.append((name, sample.expression, sample.categories["category"]))
    with (folder / "samples.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["id", "image", "mask", "expression", "category"])
        for number in range(count):
            name, expression, category = scenes[number % SCENES]
            lines.writerow([f"sample-{number:05d}", name, name, expression, category])


def looked_at(address: str, key: str, count: int) -> dict[str, Any]:
    """Look at the samples in a browser."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--js-flags=--expose-gc"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page(viewport={"width": 1360, "height": 900})
        page.set_default_timeout(120_000)
        tools = page.context.new_cdp_session(page)
        tools.send("Performance.enable", {"timeDomain": "threadTicks"})

        def metrics() -> dict[str, float]:
            return {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}

        def memory() -> float:
            tools.send("HeapProfiler.collectGarbage")
            return metrics()["JSHeapUsedSize"] / 2**20

        page.goto(f"{address}#/run/{key}")
        page.wait_for_selector(".tile img")
        first = metrics()
        page.evaluate(WATCH)
        before, nodes = memory(), page.evaluate("document.querySelectorAll('*').length")
        passes, steps = [], []
        for _ in range(3):
            for step in range(STEPS):
                spent = metrics()["TaskDuration"]
                page.evaluate(SCROLL, step / STEPS)
                page.wait_for_timeout(40)
                steps.append(1000 * (metrics()["TaskDuration"] - spent))
            passes.append(memory())
        long = page.evaluate("window.long")
        started = metrics()["ScriptDuration"]
        page.locator("#filter").fill("M < 0.2 and best >= 0.5")
        page.wait_for_timeout(1500)
        filtered = metrics()["ScriptDuration"] - started
        shown = page.inner_text("#count")
        result = {
            "first pictures, script s": first["ScriptDuration"],
            "first pictures, layout s": first["LayoutDuration"] + first["RecalcStyleDuration"],
            "processor time of a step of scrolling, most, ms": max(steps),
            "long tasks while scrolling, ms (of the clock)": sorted((round(one) for one in long), reverse=True)[:10],
            "memory before, MiB": before,
            "memory after each pass, MiB": passes,
            "elements": nodes,
            "filter, script s": filtered,
            "filtered": shown,
        }
        browser.close()
    return {"samples": count, **result}


def read_of_one(explorer: Explorer, key: str, name: str) -> int:
    """Count the records that are read for one sample."""
    counted, get = [0], StageStore.get

    def counting(store: StageStore, record: str) -> Any:
        counted[0] += 1
        return get(store, record)

    StageStore.get = counting  # type: ignore[method-assign]
    explorer.sample(key, name)
    StageStore.get = get  # type: ignore[method-assign]
    return counted[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    count = parser.parse_args().samples
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        repeated(work / "data", count)
        config = {"benchmark": {"name": "folder", "root": work / "data"}, "selections": ["oracle", "phrase-overlap"]}
        config |= {"protocols": ["segment"], "store": work / "store", "writers": []}
        pixcore.run(config, model="mini", output=work / "runs/many")
        explorer = Explorer([work / "runs"])
        (key,) = (run["key"] for run in explorer.runs())
        run = explorer.opened(key)[0]
        started = time.process_time()
        lines = run.wait()
        opened = time.process_time() - started
        started = time.process_time()
        read = read_of_one(explorer, key, lines.entries.name(count // 2))
        one = time.process_time() - started
        server = serve(explorer)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        result = looked_at(server.address, key, count)
        server.stop()
        thread.join(10)
    result |= {"opened the first time, s": opened, "records read for one sample": read, "one sample, s": one}
    write("explorer", result)
    for name, value in result.items():
        print(f"{name:48} {value:.3f}" if isinstance(value, float) else f"{name:48} {value}")


if __name__ == "__main__":
    main()
