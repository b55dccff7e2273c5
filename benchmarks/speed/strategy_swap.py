"""Another selection strategy on a finished run: how long it takes as a share of the whole run.

    python benchmarks/speed/strategy_swap.py [--pairs N]

Runs the demo's config on N pairs of mini-world in fresh folders with the oracle alone, then with one other strategy
after another, and takes their median. All are timed from the command line, as a user would, so the share includes
starting Python. Writes `strategy_swap.json` beside itself.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
OTHERS = ("mask-score", "phrase-overlap", "random", "attention-inside", "consensus")


def run(folder: Path, pairs: int, selections: str) -> float:
    started = time.perf_counter()
    settings = [f"benchmark.pairs={pairs}", f"selections={selections}", f"output={folder}/out", f"store={folder}/store"]
    changes = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "pixcore", "run", str(HERE.parents[1] / "demo.yaml"), *changes]
    # a machine that forbids byte code has Python compile every module anew each time
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=150)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder, "first"), 1, "[oracle]")  # compiles the modules
        whole = run(Path(folder), pairs, "[oracle]")
        others = {name: run(Path(folder), pairs, f"[{name}]") for name in OTHERS}
    swapped = statistics.median(others.values())
    result = {"pairs": pairs, "whole run, s": whole, "another strategy, s": others, "share": swapped / whole}
    (HERE / "strategy_swap.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"whole run {whole:.1f} s, another strategy {swapped:.1f} s: {whole / swapped:.1f} times less")


if __name__ == "__main__":
    main()
