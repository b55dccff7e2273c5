"""What a run that goes on leaves in its folder for whoever looks at it: its config, and where it is.

The file is gone when the run, or its part, is finished; a run whose process is no more left it behind: it failed. Its
samples are read from the store by who looks, so that a run pays nothing for being looked at.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixcore.errors import DataError
from pixcore.files import SUMMARY, is_alive, read_object, write_json

STATE = ".going.json"
NODES = ".nodes.json"
"""Beside it while a cluster is at work: {"told": when, "nodes": what each node does, in words}."""

_QUIET = 120.0  # seconds without a word after which a run on another machine counts as stopped


def begin(run: str, config: Mapping[str, Any]) -> None:
    """Note that a run starts."""
    state = {"process": os.getpid(), "host": platform.node(), "began": time.time(), "told": time.time()}
    write_json(Path(run) / STATE, {**state, "config": config, "stage": None})


def advance(run: str, stage: str, done: int, total: int, seconds: float) -> None:
    """Note how far a stage is; `seconds` since this command began with it."""
    state = _noted(Path(run))
    if state is not None:
        before = state["stage"] or {}
        first = before["first"] if before.get("name") == stage else [done, seconds]  # until then a model was loaded
        told = {"name": stage, "done": done, "total": total, "seconds": seconds, "first": first}
        write_json(Path(run) / STATE, {**state, "told": time.time(), "stage": told})


def end(run: str) -> None:
    """Remove what was noted, unless it is of another process, at work on another part of the run."""
    state = _noted(Path(run))
    if state is not None:
        own = (state["process"], state["host"]) == (os.getpid(), platform.node())
        if own or not _is_at_work(state):
            (Path(run) / STATE).unlink(missing_ok=True)


def state_of(folder: Path) -> dict[str, Any] | None:
    """Read where a run is; None where none goes on.

    Returns:
        What `begin` and `advance` noted, with "alive": whether somebody still works on it.
    """
    state = _noted(folder)
    if state is None:
        return None
    alive = _is_at_work(state)
    if not alive and (summary := folder / SUMMARY).is_file() and summary.stat().st_mtime >= state["told"]:
        return None  # somebody wrote the results since
    return {**state, "alive": alive}


def _noted(folder: Path) -> dict[str, Any] | None:
    """Read what was noted; None where nothing is, or where another process removes it just now."""
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        return read_object(path)
    except DataError:
        if path.is_file():
            raise
        return None


def _is_at_work(state: Mapping[str, Any]) -> bool:
    if state["host"] == platform.node() and os.name == "posix":  # elsewhere a process can't be asked without harm
        return is_alive(state["process"])
    return bool(time.time() - state["told"] < _QUIET)


def nodes_of(folder: Path) -> str:
    """Read what each node of a cluster does, in words; "" without a cluster that is at work."""
    path = folder / NODES
    try:
        said = read_object(path) if path.is_file() else {}
    except DataError:  # it is removed just now
        return ""
    return str(said["nodes"]) if time.time() - said.get("told", 0) < _QUIET else ""
