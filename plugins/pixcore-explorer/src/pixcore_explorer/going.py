"""What a run that goes on leaves in its folder for whoever looks at it: where it is, and each sample's scores.

Two files that are gone when the run is finished. A run whose process is no more left them behind: it failed.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pixcore.files import can_be_written, read_object, write_json

STATE, SAMPLES = ".going.json", ".going-samples.jsonl"

_QUIET = 120.0  # seconds without a word after which a run on another machine counts as stopped
_TEXT = 300


def begin(run: str, config: Mapping[str, Any]) -> None:
    """Note that a run starts."""
    state = {"process": os.getpid(), "host": platform.node(), "began": time.time(), "told": time.time()}
    write_json(Path(run) / STATE, {**state, "config": config, "stage": None})


def advance(run: str, stage: str, done: int, total: int, seconds: float) -> None:
    """Note how far a stage is; `seconds` since this command began with it."""
    path = Path(run) / STATE
    if path.exists():
        state = read_object(path)
        before = state["stage"] or {}
        first = before.get("first", done) if before.get("name") == stage else done
        told = {"name": stage, "done": done, "total": total, "seconds": seconds, "first": first}
        write_json(path, {**state, "told": time.time(), "stage": told})


def add(run: str, record: Mapping[str, Any]) -> None:
    """Note what a sample scored."""
    probings = {
        name: {
            "prompt": line.get("prompt", "")[:_TEXT],
            "text": line.get("text", "")[:_TEXT],
            "correct": line.get("correct"),
            "error": line.get("error"),
            "iou": line.get("iou", {}),
        }
        for name, line in record["probings"].items()
    }
    line = {"id": record["sample_id"], "pair": record["pair"], "categories": record["categories"], "probings": probings}
    path = Path(run) / SAMPLES
    with can_be_written(path), path.open("a", encoding="ascii") as file:
        file.write(json.dumps(line) + "\n")


def end(run: str) -> None:
    """Remove what was noted."""
    for name in (STATE, SAMPLES):
        (Path(run) / name).unlink(missing_ok=True)


def state_of(folder: Path) -> dict[str, Any] | None:
    """Read where a run is; None where none goes on.

    Returns:
        What `begin` and `advance` noted, with "alive": whether somebody still works on it.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    state = read_object(path)
    if state["host"] == platform.node() and os.name == "posix":  # elsewhere a process can't be asked without harm
        alive = _is_alive(state["process"])
    else:
        alive = time.time() - state["told"] < _QUIET
    return {**state, "alive": alive}


def samples_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Read the samples that were noted; a line that is just being written is left for the next time."""
    path = folder / SAMPLES
    if path.is_file():
        for line in path.read_text(encoding="ascii").split("\n")[:-1]:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
