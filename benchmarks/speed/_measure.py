"""What the measurements share: processor time, of a call or of a command, and JSON beside the script.

A machine that does other work makes wall time mean little, so everything here is processor time. What is compared is
measured in turn, round after round, and the smallest of each counts: other work can only add to it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PYTHON = (sys.executable, "-c", "pass")
"""What every command costs at least."""


def in_turn(ways: Mapping[str, Callable[[], Any]], rounds: int = 5) -> dict[str, float]:
    """Give the processor seconds of each of several calls."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, work in ways.items():
            started = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - started)
    return best


def commands(ways: Mapping[str, Sequence[str]], rounds: int = 5) -> dict[str, float]:
    """Give the processor seconds of each of several commands, children included."""
    for command in ways.values():
        command_seconds(command)  # compiles the modules
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, command in ways.items():
            best[name] = min(best[name], command_seconds(command))
    return best


def command_seconds(command: Sequence[str]) -> float:
    """Run a command; give the processor seconds that it and its children took."""
    # where byte code may not be written, Python compiles every module anew each time
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def demo(folder: Path | str, *settings: str, limit: int | None = None) -> list[str]:
    """Give the command of the demo with its output and store in a folder, but for Python."""
    changes = [word for one in (*settings, f"output={folder}/out", f"store={folder}/store") for word in ("--set", one)]
    few = [] if limit is None else ["--limit", str(limit)]
    return ["-m", "pixcore", "run", str(HERE.parents[1] / "demo.yaml"), *changes, *few]


def read(name: str) -> dict[str, Any]:
    """Read what was written of a measurement last."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def write(name: str, result: Mapping[str, Any]) -> None:
    """Write a measurement's numbers beside it."""
    (HERE / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
