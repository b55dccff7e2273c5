"""The finished demo, run again with nothing to do, as many times `python -c pass`.

    python benchmarks/speed/again.py [--pairs N] [--limit N]

Runs the demo in fresh folders, once to make its records and once to note what they follow from; then, in turn, the same
command and a Python that does nothing. Processor time. Writes `again.json` beside itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile

from _measure import PYTHON, command_seconds, commands, demo, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=150)
    parser.add_argument("--limit", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        again = [sys.executable, *demo(folder, f"benchmark.pairs={asked.pairs}", limit=asked.limit)]
        whole = command_seconds(again)
        seconds = commands({"python": PYTHON, "again": again}, rounds=7)
    ratio = seconds["again"] / seconds["python"]
    write("again", {**vars(asked), "whole run, s": whole, "s": seconds, "times python -c pass": ratio})
    print(f"again {1000 * seconds['again']:.0f} ms, {ratio:.1f} times python -c pass; the whole run {whole:.1f} s")


if __name__ == "__main__":
    main()
