"""`make speed`: every measurement in this folder, one after the other, with its own line or table.

Each is a script of its own that compares two ways in one run and leaves its raw numbers as JSON beside itself; none is
a test, and nothing asserts a time. `scale.py` takes an hour, and is a command of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    for script in sorted(HERE.glob("*.py")):
        if script.name not in (Path(__file__).name, "_measure.py", "scale.py"):
            print(f"\n== {script.stem}", flush=True)
            subprocess.run([sys.executable, str(script)], check=True)


if __name__ == "__main__":
    main()
