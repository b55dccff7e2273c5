"""Takes one thing out of mini's mining at a time, and measures what is left: a config and a row with an interval each.

    python benchmarks/miniature/ablations.py [--only NAME ...] [--pairs 150] [--dry-run]

Runs go to runs/miniature/ablations/NAME and continue where they stopped; the rows stand on the miniature's page. The
three heads of `three-heads` are those whose attention alone gives the best masks on 36 pairs of the validation side, so
that the test side chooses nothing. Ablations of training are options of its recipe, and are measured once their models
are there: python -m pixcore_mini.train OPTIONS --out runs/ablations/NAME. Their row tells the training's minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixcore_mini.arguments import at_least
from pixcore_mini.checkpoint import read_progress
from pixcore_mini.trainer import STAGES

sys.path.insert(0, str(Path(__file__).parent))
from run import HERE, pixcore, set_words

RUNS = Path("runs/miniature/ablations")
TRAINED = Path("runs/ablations")
"""Where ablated trainings leave their models: runs/ablations/NAME/model."""


@dataclass(frozen=True)
class Ablation:
    """One change.

    Attributes:
        what: What a reader sees.
        settings: What is set in mini.yaml.
        training: Options of `python -m pixcore_mini.train`, where it takes a training of its own.
    """

    what: str
    settings: tuple[str, ...] = ()
    training: str = ""


ABLATIONS = {
    "all": Ablation("nothing taken out"),
    "three-heads": Ablation("three heads in place of the mean over all", ("extractor={heads}",)),
    "chosen-heads": Ablation(
        "three heads that each answer chooses by compactness", ("extractor={name: localization-heads, sigma: 0}",)
    ),
    "no-subtraction": Ablation("the mean over tokens not subtracted", ("transforms=[]",)),
    "three-points": Ablation("three points in place of one", ("points={name: peaks, k: 3}",)),
    "five-points": Ablation("five points", ("points={name: peaks, k: 5}",)),
    "box": Ablation("a box around the peak's region in place of a point", ("points=box-of-region",)),
    "words": Ablation("every word in place of noun phrases", ("grouper=words",)),
    "fine-regions": Ablation("finer regions (fineness 0.75)", ("masks={name: regions, fineness: 0.75}",)),
    "coarse-regions": Ablation("coarser regions (fineness 3)", ("masks={name: regions, fineness: 3}",)),
    "mini-sam": Ablation("masks of a small SAM trained on this world in place of regions", ("masks=mini-sam",)),
    "half-data": Ablation("trained on half of the scenes, in half of the steps", training="--steps 500 1500 1750"),
    "half-no-attributes": Ablation("trained on half, without the attribute stage", training="--steps 500 0 1750"),
    "no-attributes": Ablation("trained without the attribute stage", training="--steps 500 0 3500"),
    "no-attribute-loss": Ablation("its loss not gone on with in the joint stage", training="--attribute-weight 0"),
    "neither": Ablation(
        "trained with neither the attribute stage nor its loss", training="--steps 500 0 3500 --attribute-weight 0"
    ),
    "no-joint": Ablation(
        "trained without the joint stage: the language model has never been shown an image",
        training="--steps 500 3000 0",
    ),
}


def runs(pairs: int) -> Iterator[tuple[str, list[str]]]:
    """The name of each run that can be made, and what is set in mini.yaml."""
    for name, ablation in ABLATIONS.items():
        model = TRAINED / name / "model"
        if ablation.training and not model.exists():
            continue
        settings = [*ablation.settings, f"benchmark={{name: mini-world, pairs: {pairs}}}", "protocols=[segment]"]
        if ablation.training:
            settings.append(f"model={{name: mini, checkpoint: {model}}}")
        yield name, [*settings, "writers=[predictions]", f"output={RUNS / name}"]


def best_heads(count: int = 3) -> str:
    """The section of an extractor that looks by the heads that give the best masks on the validation side."""
    found = RUNS / "heads.json"
    if not found.exists():
        rows, out = RUNS / "heads-rows", RUNS / "heads"
        settings = ["benchmark={name: mini-world, pairs: 36, split: validation}", "protocols=[segment]"]
        settings += [f"extractor={{name: raw, folder: {rows}}}", f"output={out}", "writers=[predictions]"]
        pixcore("run", str(HERE / "mini.yaml"), *set_words(*settings))
        pixcore("layers", str(out), "--heads", "--json", str(found))
    lines = [line for line in json.loads(found.read_text(encoding="utf-8"))["lines"] if line["head"] is not None]
    best = sorted(lines, key=lambda line: -line["best"][0])[:count]
    chosen = ", ".join(f"[{line['layer']}, {line['head']}]" for line in best)
    return f"{{name: localization-heads, sigma: 0, chosen: [{chosen}]}}"


def training_seconds(folder: Path) -> float | None:
    """Give the seconds that a training took, by its log: each stage's last step at the speed told there; None without.

    A log tells the speed since the training was last gone on with, so of an interrupted one this is an estimate.
    """
    log = folder / "log.jsonl"
    if not log.exists():
        return None
    recipe = read_progress(folder / "checkpoint.safetensors")["recipe"]
    batches = dict(zip(STAGES, recipe["batch"], strict=True))
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    last = {entry["stage"]: entry for entry in entries if "per_second" in entry}
    return float(sum(entry["step"] * batches[stage] / entry["per_second"] for stage, entry in last.items()))


def rows(runs: Path = RUNS, trained: Path = TRAINED) -> list[dict[str, Any]]:
    """What the page shows of each ablation that was run: the oracle, less its control, and attend-and-segment.

    The seconds are those of the run, or of the training where the ablation is one of training.
    """
    made = []
    for name, ablation in ABLATIONS.items():
        path = runs / name / "summary.json"
        if not path.exists():
            continue
        summary = json.loads(path.read_text(encoding="utf-8"))
        run = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
        by_name = {row["name"]: row for row in summary["rows"]}
        equal = summary["accounts"].get("M", {}).get("at_equal_masks", {}).get("random points") or {}
        made.append(
            {
                "what": ablation.what,
                "oracle": by_name["oracle"]["figures"]["M"],
                "less": by_name["oracle"]["figures"].get("M less control"),
                "equal": {"value": equal.get("less"), "low": equal.get("low"), "high": equal.get("high")},
                "plain": by_name["attend-and-segment"]["figures"]["M"],
                "candidates": by_name["oracle"]["candidates"],
                "training": ablation.training,
                "seconds": training_seconds(trained / name) if ablation.training else run["seconds"],
            }
        )
    return made


def main() -> None:
    """Run what can be run, and write the miniature's page again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=ABLATIONS, metavar="NAME", help="this ablation alone")
    parser.add_argument("--pairs", type=at_least(1), default=150, help="how many pairs of the test side")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    options = parser.parse_args()
    failed = 0
    for name, settings in runs(options.pairs):
        if options.only and name not in options.only:
            continue
        if options.dry_run:
            print(name, *settings)
            continue
        settings = [one.replace("{heads}", best_heads()) if "{heads}" in one else one for one in settings]
        failed += pixcore("run", str(HERE / "mini.yaml"), *set_words(*settings))
    if not options.dry_run:
        subprocess.run([sys.executable, str(HERE / "report.py")], check=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
