"""How cost and memory grow with what a run may have many of: candidates, pixels, tokens, strategies, samples.

    python benchmarks/speed/growth.py

Every point is a process of its own: its processor time once everything is imported, and by how much its memory grew at
most. The exponent is that of the upper half of the points: 1 grows as its work does, 2 with its square. Writes
`growth.json` beside itself, and the picture in the docs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _measure import HERE, write
from many_candidates import SIZE, blob
from pixcore_groupers.merging import merge_duplicates
from pixcore_regions.config import RegionsConfig
from pixcore_regions.generator import Regions
from pixcore_scoring.evaluation import evaluate
from pixcore_scoring.file import PredictionsFile
from pixcore_selection.config import ConsensusConfig
from pixcore_selection.consensus import Consensus

from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Candidate, Fidelity, Image, PointPrompt, Response, Sample, Token, TokenGroup
from pixcore.stages import serialise
from pixcore.stages.propose import group_maps
from pixcore.stages.store import StageStore

PICTURE = HERE.parents[1] / "docs" / "images" / "growth.png"
SWEEPS = {
    "candidates": ("of a sample: merging duplicates, consensus", (10, 30, 100, 300, 1000)),
    "image side": ("in pixels: cutting into regions, ten prompts", (224, 512, 1024, 2048, 4096)),
    "answer length": ("in tokens: groups, maps to pixels, kept and read again", (32, 128, 512, 2048)),
    "strategies": ("rows of the table: scoring 300 samples, intervals", (1, 4, 10, 20, 40)),
    "samples": ("scored from predictions.jsonl", (100, 1000, 10_000, 100_000)),
}


def of_candidates(number: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    shapes = [blob(rng) for _ in range(20)]
    places = zip(rng.integers(20, size=(number, 3)), rng.integers(-200, 200, size=(number, 3, 2)), strict=True)
    found = [
        Candidate(
            TokenGroup((index,), f"phrase {index}", 0, 1),
            PointPrompt.at((index, 0)),
            tuple(masks.encode(np.roll(shapes[one], moved, (0, 1))) for one, moved in zip(*each, strict=True)),
            (0.5, 0.5, 0.5),
        )
        for index, each in enumerate(places)
    ]
    sample, response = Sample("one", Image(lambda: b"", known_size=SIZE)), Response("")
    consensus = Consensus(ConsensusConfig())
    return lambda: (merge_duplicates(found, 0.9), consensus.select(sample, response, found))


def of_image_side(side: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)
    image = Image.from_pixels(np.repeat(np.repeat(coarse, side // 28, 0), side // 28, 1))
    prompts = [PointPrompt.at((int(x), int(y))) for x, y in rng.integers(side // 28 * 28, size=(10, 2))]
    return lambda: [masks.encode_many(one.masks, one.size) for one in Regions(RegionsConfig()).segment(image, prompts)]


def of_answer_length(length: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    tokens = tuple(Token(i, "word ", 5 * i, 5 * i + 5) for i in range(length))
    layout = VisualLayout.single(VisualGrid.stretched(24, 24, (336, 336)))
    said = Response("word " * length, tokens, rng.random((length, 576), np.float32), layout)
    groups = [TokenGroup(tuple(range(i, i + 8)), "words", 5 * i, 5 * i + 40) for i in range(0, length, 8)]
    folder = tempfile.mkdtemp()

    def work() -> None:
        store = StageStore(Path(folder), "answer", {})
        store.put("key", "one", serialise.response_to_entry(said))
        entry = store.get("key")
        assert entry is not None
        again = serialise.response_from_entry(entry)
        for values in group_maps(again, groups, ()):
            layout.to_image(values, (336, 336)).argmax()

    return work


def _scored(samples: int, strategies: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    pool = [masks.encode(rng.random((30, 40)) < share) for share in np.linspace(0.1, 0.9, 50)]
    path = Path(tempfile.mkdtemp(), "predictions.jsonl")
    with path.open("w") as file:
        for number in range(samples):
            drawn = [pool[place] for place in rng.integers(50, size=6)]
            some = [{"phrase": "a thing", "masks": drawn[place : place + 3], "scores": [0.5] * 3} for place in (0, 3)]
            choices = {f"rule {rule}": {"candidate": rule % 2, "mask": rule % 3} for rule in range(strategies)}
            line = {"sample_id": str(number), "protocol": "segment", "text": "a thing"}
            file.write(json.dumps(line | {"candidates": some, "choices": choices}) + "\n")
    image = Image(lambda: b"", known_size=(40, 30))

    def every() -> Any:
        return (Sample(str(n), image, expression="it", mask=pool[n % 50], pair=str(n // 2)) for n in range(samples))

    def work() -> None:
        file = PredictionsFile(path, every, fidelity=Fidelity.CORRECTED)
        evaluate(file, file.rows, benchmark="one", model="one", fidelity=Fidelity.CORRECTED)

    return work


def one(sweep: str, number: int) -> dict[str, float]:
    """Measure one point, in a process that does nothing else."""
    made: dict[str, Callable[[int], Callable[[], Any]]] = {
        "candidates": of_candidates,
        "image side": of_image_side,
        "answer length": of_answer_length,
        "strategies": lambda rows: _scored(300, rows),
        "samples": lambda samples: _scored(samples, 2),
    }
    work = made[sweep](number)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    work()
    seconds = time.process_time() - started
    return {"s": seconds, "MiB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def measured(sweep: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    points = {}
    for size in sizes:
        command = [sys.executable, __file__, "--one", sweep, str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        points[size] = json.loads(done.stdout)
        print(f"{sweep} {size}: {points[size]['s']:.3f} s, {points[size]['MiB']:.0f} MiB more", flush=True)
    upper = sizes[len(sizes) // 2 :]
    exponent = np.polyfit(np.log(upper), np.log([points[size]["s"] for size in upper]), 1)[0]
    return {"what": SWEEPS[sweep][0], "points": points, "exponent": round(float(exponent), 2)}


def draw(found: dict[str, Any]) -> None:
    """Draw every sweep: cost in front, memory behind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.2), layout="constrained")
    places = figure.subplots(2, 3).flat
    for place, (sweep, one_) in zip(places, found.items(), strict=False):
        sizes = list(map(int, one_["points"]))
        place.loglog(sizes, [point["s"] for point in one_["points"].values()], "o-", color="#2a6f97", label="seconds")
        other = place.twinx()
        other.set_xscale("log")
        other.plot(sizes, [point["MiB"] for point in one_["points"].values()], "s--", color="#c8553d", label="MiB")
        other.set_ylim(0, max(100, *(1.2 * point["MiB"] for point in one_["points"].values())))
        other.tick_params(colors="#c8553d")
        place.tick_params(axis="y", colors="#2a6f97")
        place.set_title(f"{sweep}: exponent {one_['exponent']:.2f}", fontsize=11)
        place.set_xlabel(one_["what"], fontsize=8)
        for each in (place, other):
            each.minorticks_off()
            each.set_xticks(sizes, labels=[f"{size:,}" for size in sizes])
    legend = figure.axes[5]
    legend.axis("off")
    legend.plot([], [], "o-", color="#2a6f97", label="seconds of the processor")
    legend.plot([], [], "s--", color="#c8553d", label="MiB more than before")
    legend.legend(loc="center", frameon=False)
    figure.savefig(PICTURE, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, metavar=("SWEEP", "SIZE"), help="measure one point, and print it as JSON")
    point = parser.parse_args().one
    if point:
        print(json.dumps(one(point[0], int(point[1]))))
        return
    found = {sweep: measured(sweep, sizes) for sweep, (_, sizes) in SWEEPS.items()}
    write("growth", found)
    draw(found)


if __name__ == "__main__":
    main()
