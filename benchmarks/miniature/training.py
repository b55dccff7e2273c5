"""When does attention begin to ground, before or after answering? Measures models kept along mini's training.

    python -m pixcore_mini.train --seed 2 --out runs/mini/2 --keep-every 250
    python benchmarks/miniature/training.py runs/mini/2 [--pairs 36] [--page-only]

Each model of OUT/steps answers the first pairs of mini-world's test side once, with every layer's and head's attention
kept. A training is named by its folder, runs/mini/2 is mini-2: figures go to runs/miniature/training/mini-2/STEP.json,
and the curves, with intervals over the pairs, to runs/miniature/training-mini-2.html. What is measured already, of the
same recipe, weights and pairs, is not measured again; a training that goes on is gone on with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pixcore_checkpoints.fingerprints import hash_file
from pixcore_emergence.layers import by_layer
from pixcore_mini.arguments import at_least, ended_by_one_line
from pixcore_mini.checkpoint import read_progress
from pixcore_mini.evaluate import words_in_place
from pixcore_mini_world import language
from pixcore_mini_world.pairs import make_pair
from pixcore_report.reading import open_run
from pixcore_statistics.estimates import means

from pixcore.errors import DataError
from pixcore.figures.intervals import cluster_of
from pixcore.files import written_beside
from pixcore.plugins import registry
from pixcore.records import Protocol
from pixcore.runs.plan import Run

sys.path.insert(0, str(Path(__file__).parent))
from run import set_words
from training_page import FOLDER, write

FIGURES = {"A† per sample": "questions", "M": "oracle", "M less control": "less"}


def name_of(out: Path) -> str:
    """Name a training by its folder: the path below runs/, or all of it, with hyphens."""
    place, runs = out.resolve(), Path("runs").resolve()
    return "-".join(place.relative_to(runs).parts if place.is_relative_to(runs) else place.parts[1:])


def figures_of(out: Path, pairs: int, *, page_only: bool = False) -> list[dict[str, Any]]:
    """Give the figures of each model that is kept along a training; measure what has not been.

    Figures are used again where they are of the same recipe, weights and pairs.

    Args:
        out: The training's folder.
        pairs: How many pairs each model answers.
        page_only: Measure nothing, and leave out what has not been.
    """
    folder = FOLDER / name_of(out)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = read_progress(out / "checkpoint.safetensors")["recipe"]
    steps = []
    for step, checkpoint in kept(out):
        target = folder / f"{step:05}.json"
        about = {"recipe": recipe, "pairs": pairs, "weights": hash_file(checkpoint / "model.safetensors")}
        found = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
        if any(found.get(key) != value for key, value in about.items()):
            if page_only:
                continue
            print(f"step {step} of {recipe['steps'][2]}", flush=True)
            found = {"step": step, **about, **measure(checkpoint, pairs)}
            with written_beside(target) as beside:
                beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        steps.append(found)
    return steps


def kept(out: Path) -> Iterator[tuple[int, Path]]:
    """The models along a training, by the joint step at which each was kept."""
    for folder in sorted((out / "steps").glob("*/config.json")):
        yield int(folder.parent.name), folder.parent


def measure(checkpoint: Path, pairs: int) -> dict[str, Any]:
    """Let one model answer the first pairs, and measure what it says and where it looks."""
    with tempfile.TemporaryDirectory() as folder:
        rows, out, store = (Path(folder) / name for name in ("rows", "run", "store"))
        words = set_words(
            f"benchmark={{name: mini-world, pairs: {pairs}}}",
            f"model={{name: mini, checkpoint: {checkpoint}}}",
            "protocols=[question, segment]",
            f"extractor={{name: raw, folder: {rows}}}",
            "writers=[predictions]",
            f"output={out}",
            f"store={store}",
        )
        config = Path(__file__).parent / "mini.yaml"
        command = [sys.executable, "-m", "pixcore", "run", str(config), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        job = open_run(out, registry())
        return _figures(summary["rows"]) | {"words": _words(job), "lines": _lines(job)}


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the run's table says: each figure with its interval."""
    by_name = {row["name"]: row["figures"] for row in rows}

    def of(row: str, figure: str) -> list[float | None] | None:
        found = by_name[row].get(figure)
        return None if found is None or found["value"] is None else [found[key] for key in ("value", "low", "high")]

    return {
        **{ours: of("oracle", name) for name, ours in FIGURES.items()},
        "control": of("random points, oracle pick", "M"),
        "plain": of("attend-and-segment", "M"),
    }


def _words(job: Run) -> list[float | None] | None:
    """The share of a description's words that stand in their place, over all samples that were asked for one."""
    clusters, shares = [], []
    for result in job.results():
        response = result.by_probing[Protocol.SEGMENT].response
        clusters.append(cluster_of(result.sample))
        shares.append(words_in_place(_wanted(result.sample.id), "" if response is None else response.text))
    return [*means(clusters, 100 * np.array(shares)[:, None], seed=0)[0]] if shares else None


def _wanted(name: str) -> str:
    """What training would have mini say when it is asked for a sample's object."""
    split, seed, last = name.split("-")
    side = make_pair(split, int(seed), int(last[:-1])).sides[last[-1] == "b"]  # type: ignore[arg-type]
    if side.question.thing is None:
        return language.describe_absent(side.question.expression.removeprefix("the "))
    return language.describe(side.scene, side.question.thing, side.question.part)


def _lines(job: Run) -> list[dict[str, Any]]:
    """Every layer's and head's figures; none where no answer has a phrase yet."""
    try:
        return [asdict(line) for line in by_layer(job, Protocol.SEGMENT, heads=True)]
    except DataError as error:  # a model that says nothing yet has no phrases to look at
        print(f"  {error}")
        return []


@ended_by_one_line()
def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is there, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the training's folder, runs/mini/SEED")
    parser.add_argument(
        "--pairs", type=at_least(1), default=36, help="how many pairs of the test side each model answers"
    )
    parser.add_argument("--page-only", action="store_true", help="measure nothing")
    options = parser.parse_args(arguments)
    steps = figures_of(options.out, options.pairs, page_only=options.page_only)
    if not steps:
        raise SystemExit(
            f"nothing of {options.out} has been measured with {options.pairs} pairs: train with --keep-every, "
            "then measure its folder"
        )
    print(f"report: {write(name_of(options.out), steps)}")


if __name__ == "__main__":
    main()
