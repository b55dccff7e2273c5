"""How much of a short run is importing: the demo with a few samples, and its imports alone.

    python benchmarks/speed/imports.py [--limit N]

A first run of two samples tells which modules are imported. Then, in turn: the demo in fresh folders, all those imports
in their order and nothing else, and what of them is PyTorch, and PyTorch with transformers as the demo's adapter needs
it. Processor time. Writes `imports.json` beside itself.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import command_seconds, demo, write

ALL = """
import contextlib, importlib, pathlib, sys
for name in pathlib.Path(sys.argv[1]).read_text().split():
    with contextlib.suppress(Exception):
        importlib.import_module(name)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = [sys.executable, "-X", "importtime", *demo(folder / "first", limit=2)]
        told = subprocess.run(first, check=True, capture_output=True, text=True).stderr
        modules = re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", told, re.MULTILINE)
        (folder / "modules").write_text("\n".join(modules))
        best: dict[str, float] = {}
        for number in range(asked.rounds):
            ways = {
                "run": demo(folder / str(number), limit=asked.limit),
                "imports": ["-c", ALL, str(folder / "modules")],
                "PyTorch": ["-c", "import torch"],
                "PyTorch and transformers": ["-c", "import pixcore_mini.adapter"],
            }
            for way, command in ways.items():
                best[way] = min(best.get(way, float("inf")), command_seconds([sys.executable, *command]))
    shares = {way: best[way] / best["run"] for way in best if way != "run"}
    write("imports", {**vars(asked), "modules": len(modules), "s": best, "of the run": shares})
    print(f"the run {best['run']:.1f} s; " + ", ".join(f"{way} {100 * share:.0f} %" for way, share in shares.items()))


if __name__ == "__main__":
    main()
