"""Keeps what a seed that is not shipped came to, in a file small enough to be committed: records/NAME.json.

    python -m pixcore_mini.train --seed 2 --out runs/mini/2 --keep-every 250 --compile --processes 2
    python benchmarks/miniature/run.py --only mini-2
    python benchmarks/miniature/training.py runs/mini/2
    python benchmarks/miniature/records.py mini/2

    python -m pixcore_mini_seg.train d --seed 2 --compile --processes 2
    python benchmarks/miniature/run.py --only d-2-own --only d-2-mined --only d-2-sam
    python benchmarks/miniature/records.py mini-seg/d-2

`records/mini-2.json` was trained with `--rounds 1`. A record has the seed's figures on mini-world's test pairs and its
training's last lines; of mini also the figures of the models that were kept along it, without those of single layers
and heads, and of a variant those of each of its three runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pixcore_mini.checkpoint import read_progress

sys.path.insert(0, str(Path(__file__).parent))
from run import HERE, RUNS
from training import name_of
from training_page import FOLDER, WHAT

RECORDS = HERE / "records"
KINDS = ("own", "mined", "sam")
"""The runs of a variant."""

COLUMNS = ("A†", "A", "M†", "M", "M† less control", "M less control")


def record_of(training: Path) -> dict[str, Any]:
    """Gather what is to be kept of a training and of the runs that measured it."""
    variant = training.parent.name == "mini-seg"
    log = _log(training)
    known = {
        "recipe": read_progress(training / "checkpoint.safetensors")["recipe"],
        "letters": _letters(_log(training / "before") if variant else log),
        "end": log[-1],
    }
    if variant:
        return known | {"runs": {kind: _rows(f"{training.name}-{kind}") for kind in KINDS}}
    name = name_of(training)
    steps = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / name).glob("*.json"))]
    return known | {
        "rows": _rows(name),
        "pairs along": steps[0]["pairs"] if steps else None,
        "along": {one["step"]: {figure: one.get(figure) for figure in WHAT} for one in steps},
    }


def _log(training: Path) -> list[dict[str, Any]]:
    """What a training has told; none where a variant has no such stage."""
    path = training / "log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _letters(log: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last line of the stage in which letters are learned."""
    return next((line for line in reversed(log) if line["stage"] == "letters"), None)


def _rows(run: str) -> dict[str, Any]:
    """The figures of a run's rows."""
    rows = json.loads((RUNS / run / "summary.json").read_text(encoding="utf-8"))["rows"]
    return {row["key"]: _told(row) for row in rows}


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row's figures, each with its interval, and from how many candidates it was chosen."""
    figures = {name: row["figures"][name] for name in COLUMNS if name in row["figures"]}
    told = {name: [figure[key] for key in ("value", "low", "high")] for name, figure in figures.items()}
    return {"candidates": row["candidates"], **told}


def main() -> None:
    """Write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path, help="the training's folder below runs/, such as mini/2 or mini-seg/d-2")
    training = Path("runs", parser.parse_args().training)
    target = RECORDS / f"{name_of(training)}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(record_of(training), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"record: {target}")


if __name__ == "__main__":
    main()
