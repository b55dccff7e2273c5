"""Long work in memory that does not grow: `python -m tests.soak predictions`, `python -m tests.soak run`.

Each does the work at three lengths, in a process of its own, and tells its peak: what grows with the length is what a
line or a sample costs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.workplace import TOY, TOY_RUN

SIZE = [16, 12]
PROBINGS = ("question", "letter", "segment")
MASKS = ({"size": [12, 16], "counts": [27, 4, 8, 4, 8, 4, 137]}, {"size": [12, 16], "counts": [123, 4, 8, 4, 8, 4, 41]})
"""Boxes on the left and on the right."""


def predictions(folder: Path, lines: int) -> list[str]:
    """Write a predictions file of a model that segments by itself; give the command that scores it."""
    samples = lines // len(PROBINGS) // 2 * 2  # they come in pairs
    path = folder / "predictions.jsonl"
    with path.open("w") as file:
        for index in range(samples):
            for probing in PROBINGS:
                line = {"sample_id": f"s{index}", "protocol": probing, "text": "there is a bright box on the left"}
                line |= {"verdict": {"correct": index % 5 > 0}} if probing != "segment" else {}
                line |= {"mask": MASKS[index % 3 > 0]} if probing != "letter" else {}
                file.write(json.dumps(line) + "\n")
    options = [f"pairs={samples // 2}", f"size={SIZE}"]
    return ["score", str(path), "--benchmark", "toy-boxes", *(word for one in options for word in ("--set", one))]


def run(folder: Path, samples: int) -> list[str]:
    """Write the config of a run of the toy model; give the command that starts it."""
    document = {
        **TOY_RUN,
        "benchmark": {"name": "toy-boxes", "pairs": samples // 2, "size": SIZE},
        "protocols": ["letter", "segment"],
        "selections": ["toy-first"],
        "control": None,
        "writers": ["predictions"],
        "output": str(folder / "out"),
        "store": str(folder / "store"),
    }
    folder.joinpath("run.yaml").write_text(yaml.safe_dump(document))
    return ["run", str(folder / "run.yaml")]


KINDS: dict[str, tuple[Callable[[Path, int], list[str]], int]] = {
    "predictions": (predictions, 100_000),
    "run": (run, 5000),
}


def peak(command: list[str], plugins: str = "toy,scoring,statistics") -> tuple[int, float]:
    """Run a command with some plugins; give its peak of resident memory in KiB, and the processor's seconds."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TOY), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PIXCORE_PLUGINS": plugins,
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the command failed: {said.decode()[-500:]}")
    return used.ru_maxrss, used.ru_utime + used.ru_stime


def main() -> int:
    """Tell the peaks at a tenth, half and all of the length."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("--length", type=int, help="Lines of predictions, or samples of a run.")
    asked = parser.parse_args()
    make, usual = KINDS[asked.kind]
    length = asked.length or usual
    found: list[tuple[int, int]] = []
    for part in (length // 10, length // 2, length):
        with tempfile.TemporaryDirectory() as name:
            start = time.monotonic()
            memory, seconds = peak([sys.executable, "-m", "pixcore", *make(Path(name), part)])
        found.append((part, memory))
        print(f"{part:8} {memory / 1024:8.1f} MiB {seconds:8.1f} s of the processor, {time.monotonic() - start:.0f} s")
    grown = 1024 * (found[-1][1] - found[1][1]) / (found[-1][0] - found[1][0])
    print(f"from {found[1][0]} to {found[-1][0]}: {grown:.0f} bytes each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
