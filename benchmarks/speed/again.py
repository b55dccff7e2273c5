"""The finished demo, run again with nothing to do, as many times `python -c pass`.

    python benchmarks/speed/again.py [--pairs N] [--limit N]

Runs the demo in fresh folders, once to make its records and once to note what they follow from; then, in turn, the same
command and a Python that does nothing. Processor time. Writes `again.json` beside itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile

from _measure import HERE, PYTHON, command_seconds, commands, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=150)
    parser.add_argument("--limit", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"benchmark.pairs={asked.pairs}", f"output={folder}/out", f"store={folder}/store"]
        changes = [word for setting in settings for word in ("--set", setting)]
        demo = [sys.executable, "-m", "pixcore", "run", str(HERE.parents[1] / "demo.yaml"), *changes]
        demo += ["--limit", str(asked.limit)]
        whole = command_seconds(demo)
        seconds = commands({"python": PYTHON, "again": demo}, rounds=7)
    ratio = seconds["again"] / seconds["python"]
    write("again", {**vars(asked), "whole run, s": whole, "s": seconds, "times python -c pass": ratio})
    print(f"again {1000 * seconds['again']:.0f} ms, {ratio:.1f} times python -c pass; the whole run {whole:.1f} s")


if __name__ == "__main__":
    main()
