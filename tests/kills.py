"""Kill a run at any moment, the writing of its folder included: `python -m tests.kills --times 200 --seed N`.

A moment is a file opened to be written, put in place or removed, or a sample that a run writer sees; so no clock and no
load decides where a run dies. After each kill every file of the run's folder is whole or not there, and the same
command again ends with the files of a run that nobody disturbed, byte for byte but for dates.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.workplace import TOY, TOY_RUN

RUN = {
    **TOY_RUN,
    "benchmark": {"name": "toy-boxes", "pairs": 3, "size": [16, 12]},
    "model": {"name": "toy", "log": "answered.log"},
    "selections": ["toy-first", "toy-random"],
    "protocols": ["letter", "segment"],
    "batch_size": 1,
    "writers": ["predictions", "report", "toy-count"],
    "output": "out",
    "store": "store",
}
_OF_NOW = re.compile(rb'seconds("|</dt><dd>|": *)[0-9.]+|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([+-]\d{4})?')


def files(folder: Path) -> dict[str, bytes]:
    """The files of a run's folder, without dates and how long it took."""
    found = {path.name: path.read_bytes() for path in sorted(folder.glob("out/*")) + sorted(folder.glob("out/.*"))}
    return {name: _OF_NOW.sub(b"", content) for name, content in found.items()}


def start(folder: Path, dies_at: int) -> int:
    """Run in a folder, and die at a moment (0: never); give the status."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TOY), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PIXCORE_PLUGINS": "toy,report",
        "TOY_DIES_AT": str(dies_at),
        "TOY_COUNTS": str(folder / "moments"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pixcore", "run", "run.yaml"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True).returncode


def undisturbed(folder: Path) -> tuple[dict[str, bytes], int, int]:
    """Run twice; give the files, and how many moments a run has that computes all, and one that only writes."""
    folder.mkdir()
    folder.joinpath("run.yaml").write_text(yaml.safe_dump(RUN))
    moments = []
    for _ in range(2):
        assert start(folder, 0) == 0
        moments.append(int(folder.joinpath("moments").read_text()))
    return files(folder), moments[0], moments[1]


def campaign(folder: Path, times: int, seed: int) -> Iterator[tuple[int, str | None]]:
    """Kill so many runs; give each moment, and what is wrong after it; a moment of 0 is a run that ends.

    Of each four the first starts from nothing, and the last two write over a whole folder.
    """
    calm, whole, writing = undisturbed(folder / "calm")
    rng = random.Random(seed)
    trial = folder / "trial"
    for number in range(times):
        if number % 4 == 0:
            subprocess.run(["rm", "-rf", str(trial)], check=True)
            trial.mkdir()
            trial.joinpath("run.yaml").write_text(yaml.safe_dump(RUN))
        moment = 1 + rng.randrange(writing if number % 4 else whole)
        status = start(trial, moment)
        yield moment, _wrong(trial, calm, status)
        if number % 2:
            status = start(trial, 0)
            yield 0, f"the same command again ends with {status}" if status else _differs(files(trial), calm)


def _wrong(trial: Path, calm: dict[str, bytes], status: int) -> str | None:
    """After a kill each file is whole; half of one has a name of its own."""
    if status not in (-signal.SIGKILL, 0):
        return f"it ended with {status}"
    known = {name: content for name, content in files(trial).items() if not name.endswith(".part")}
    if "count.json" in known and known["count.json"] != calm["count.json"]:
        del known["count.json"]  # the toy's writer writes as no writer should: over the old file
    return _differs(known, {name: calm[name] for name in known})


def _differs(found: dict[str, bytes], calm: dict[str, bytes]) -> str | None:
    if found == calm:
        return None
    names = sorted(name for name in found.keys() | calm.keys() if found.get(name) != calm.get(name))
    return f"other files than those of an undisturbed run: {', '.join(names)}"


def main() -> int:
    """Kill; 0 where every run ended as if nobody had."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    killed = broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for moment, wrong in campaign(Path(folder), asked.times, asked.seed):
            killed += moment > 0
            if wrong is not None:
                broken += 1
                print(f"seed {asked.seed}, killed at moment {moment}: {wrong}", flush=True)
    print(json.dumps({"seed": asked.seed, "kills": killed, "wrong": broken}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
