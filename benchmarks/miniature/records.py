"""Keeps what a seed that is not shipped came to, in a file small enough to be committed: records/NAME.json.

    python -m pixcore_mini.train --seed 2 --out runs/mini/2 --keep-every 250 --compile --processes 2
    python benchmarks/miniature/run.py --only mini-2
    python benchmarks/miniature/training.py runs/mini/2
    python benchmarks/miniature/records.py mini/2

`records/mini-2.json` was trained with `--rounds 1`. A record has the seed's figures on mini-world's test pairs, its
training's last lines, and the figures of the models that were kept along it, without those of single layers and heads.
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
COLUMNS = ("A†", "A", "M†", "M", "M† less control", "M less control")


def record_of(training: Path) -> dict[str, Any]:
    """Gather what is to be kept of a training and of the run that measured it."""
    name = name_of(training)
    rows = json.loads((RUNS / name / "summary.json").read_text(encoding="utf-8"))["rows"]
    log = [json.loads(line) for line in (training / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / name).glob("*.json"))]
    return {
        "recipe": read_progress(training / "checkpoint.safetensors")["recipe"],
        "letters": next(line for line in reversed(log) if line["stage"] == "letters"),
        "end": log[-1],
        "rows": {row["key"]: _told(row) for row in rows},
        "pairs along": steps[0]["pairs"] if steps else None,
        "along": {one["step"]: {figure: one.get(figure) for figure in WHAT} for one in steps},
    }


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row's figures, each with its interval, and from how many candidates it was chosen."""
    figures = {name: row["figures"][name] for name in COLUMNS if name in row["figures"]}
    told = {name: [figure[key] for key in ("value", "low", "high")] for name, figure in figures.items()}
    return {"candidates": row["candidates"], **told}


def main() -> None:
    """Write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path, help="the training's folder below runs/, such as mini/2")
    training = Path("runs", parser.parse_args().training)
    target = RECORDS / f"{name_of(training)}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(record_of(training), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"record: {target}")


if __name__ == "__main__":
    main()
