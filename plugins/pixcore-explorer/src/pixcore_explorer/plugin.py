"""Adds the command `view` to pixcore, and listens to runs so that the page can show them while they go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command `view`."""
    register("view", "pixcore_explorer.command:view", summary="Look through runs in the browser.")


@hookimpl
def run_started(run: str, config: Mapping[str, Any]) -> None:
    """Note that a run goes on."""
    from pixcore_explorer import going

    going.begin(run, config)


@hookimpl
def stage_advanced(run: str, stage: str, done: int, total: int, seconds: float) -> None:
    """Note how far a stage is."""
    from pixcore_explorer import going

    going.advance(run, stage, done, total, seconds)


@hookimpl
def part_finished(run: str) -> None:
    """Forget what was noted: nobody works on this part any more."""
    from pixcore_explorer import going

    going.end(run)


@hookimpl
def run_finished(run: str) -> None:
    """Forget what was noted: the run's own files say it now."""
    from pixcore_explorer import going

    going.end(run)
