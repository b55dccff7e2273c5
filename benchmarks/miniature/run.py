"""`make miniature`: runs mini and every variant of mini-seg that has been trained, then writes the page.

    python benchmarks/miniature/run.py [--only NAME ...] [--set KEY=VALUE ...] [--dry-run]

A variant is run three times: for its own masks (own.yaml), and for masks mined from its attention, asked as mini is
(mini.yaml with another model), once with the generator `regions` and once with `mini-sam`. The shipped weights are
those of seed 1, of mini and of each variant that is shipped; other seeds are run where the trainings have left them:
runs/mini/SEED/model and runs/mini-seg/VARIANT-SEED/model. Of mini, what it became by being trained further is run and
compared too. Runs continue where they stopped.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pixcore_mini.config import FURTHER
from pixcore_mini_seg.config import MiniSegConfig
from pixcore_mini_seg.dialogue import VARIANTS
from pixcore_mini_seg.weights import FILE

HERE = Path(__file__).parent
RUNS = Path("runs/miniature")


ASKED_ALIKE = "prompts={segment: 'Identify {expression} in the scene.'}"
"""A variant whose attention is mined is asked as mini is, and may describe."""

SAM = "masks=mini-sam"
"""The other mask generator, which has seen masks of this world; regions has seen none."""


def trained(folder: Path = Path("runs/mini-seg")) -> Iterator[tuple[str, str]]:
    """Each variant's seeds, as "a-1", and the checkpoint of each: shipped ones first."""
    for variant in VARIANTS:
        shipped = MiniSegConfig(checkpoint=variant).own_folder / FILE
        if shipped.exists():
            yield f"{variant}-1", variant
        for own in sorted(folder.glob(f"{variant}-*/model/{FILE}")):
            if not (shipped.exists() and own.parent.parent.name == f"{variant}-1"):
                yield own.parent.parent.name, str(own.parent)


def runs() -> Iterator[tuple[str, Path, list[str]]]:
    """The name of each run, its config, and what is set in it."""
    yield "mini", HERE / "mini.yaml", []
    yield "mini-1-sam", HERE / "mini.yaml", [SAM, f"output={RUNS / 'mini-1-sam'}"]
    further = f"model={{name: mini, checkpoint: {FURTHER}}}"
    yield "mini-further", HERE / "mini.yaml", [further, f"output={RUNS / 'mini-further'}"]
    for own in sorted(Path("runs/mini").glob("*/model/config.json")):
        if own.parent.parent.name == "1":
            continue  # the shipped seed, trained again
        name = f"mini-{own.parent.parent.name}"
        yield name, HERE / "mini.yaml", [f"model={{name: mini, checkpoint: {own.parent}}}", f"output={RUNS / name}"]
    for name, checkpoint in trained():
        model = f"model={{name: mini-seg, checkpoint: {checkpoint}}}"
        yield f"{name}-own", HERE / "own.yaml", [model, f"output={RUNS / f'{name}-own'}"]
        yield f"{name}-mined", HERE / "mini.yaml", [model, ASKED_ALIKE, f"output={RUNS / f'{name}-mined'}"]
        yield f"{name}-sam", HERE / "mini.yaml", [model, ASKED_ALIKE, SAM, f"output={RUNS / f'{name}-sam'}"]


def comparisons(done: set[str]) -> Iterator[tuple[str, list[str]]]:
    """What is compared with mini: a variant's answers and mined masks, and its own masks with mini's mined ones.

    The oracle that mines from mini has the truth in hand and a variant's decoder has not, so its own masks are compared
    with what attend-and-segment mines, which has not either, as well: the comparison "plain".
    """
    if {"mini", "mini-further"} <= done:
        words = ["--row", "oracle", "--output", str(RUNS / "compared" / "mini-further")]
        yield "mini-further", [str(RUNS / "mini"), str(RUNS / "mini-further"), *words]
    for name in sorted(name for name in done if not name.startswith("mini")):
        left = "mini-1-sam" if name.endswith("-sam") else "mini"
        if left not in done:
            continue
        kinds = [(name, ["oracle"])]
        if name.endswith("-own"):
            plain = name.removesuffix("own") + "plain"
            kinds = [(name, ["oracle", "own masks"]), (plain, ["attend-and-segment", "own masks"])]
        for output, rows in kinds:
            words = [word for row in rows for word in ("--row", row)]
            yield output, [str(RUNS / left), str(RUNS / name), *words, "--output", str(RUNS / "compared" / output)]


def main() -> None:
    """Run what can be run, compare, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="this run alone, such as a-1-own")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in pixcore run")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    options = parser.parse_args()
    failed, every = 0, list(runs())
    there = [name for name, _, _ in every]
    for name in options.only or ():
        if name not in there:
            parser.error(f"--only {name}: there is no such run, only {', '.join(there)}")
    for name, config, settings in every:
        if options.only and name not in options.only:
            continue
        failed += pixcore("run", str(config), *set_words(*settings, *options.set), dry=options.dry_run)
    if not options.dry_run:
        done = {path.parent.name for path in RUNS.glob("*/summary.json")}
        for _, words in comparisons(done):
            failed += pixcore("compare", *words)
        looked = [str(RUNS / name) for name in ("mini", *(f"{v}-1-mined" for v in VARIANTS)) if name in done]
        if looked:
            failed += pixcore("emergence", *looked, "--output", str(RUNS / "emergence"))
        subprocess.run([sys.executable, str(HERE / "report.py")], check=True)
    sys.exit(1 if failed else 0)


def set_words(*settings: str) -> list[str]:
    """Write settings as `pixcore run` takes them."""
    return [word for setting in settings for word in ("--set", setting)]


def pixcore(*words: str, dry: bool = False) -> int:
    """Say a command and carry it out; 1 where it fails."""
    command = [sys.executable, "-m", "pixcore", *words]
    print(shlex.join(command), flush=True)
    return 0 if dry else int(subprocess.run(command, check=False).returncode != 0)


if __name__ == "__main__":
    main()
