"""What a command costs before its work: `pixcore --help` and `pixcore plugins`, beside a Python that does nothing.

    python benchmarks/speed/start.py

Processor time of each command, as many times that of `python -c pass`. The help screen is shown as it was made last
(`pixcore.entries`), so the first of the runs, which does not count, makes it. Writes `start.json` beside itself.
"""

from __future__ import annotations

import sys

from _measure import PYTHON, commands, write

PIXCORE = (sys.executable, "-m", "pixcore")


def main() -> None:
    ways = {"python": PYTHON, "--help": (*PIXCORE, "--help"), "plugins": (*PIXCORE, "plugins")}
    seconds = commands(ways, rounds=15)
    ratios = {name: seconds[name] / seconds["python"] for name in ways if name != "python"}
    write("start", {"s": seconds, "times python -c pass": ratios})
    for name, ratio in ratios.items():
        print(f"pixcore {name:8} {1000 * seconds[name]:.0f} ms, {ratio:.1f} times python -c pass")


if __name__ == "__main__":
    main()
