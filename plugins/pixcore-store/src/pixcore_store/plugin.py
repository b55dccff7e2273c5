"""Adds the commands under `store`, notes what a run needs, and shows one of which nothing has changed as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands under `store`."""
    register("store merge", "pixcore_store.commands:merge", summary="One store of several that were made apart.")
    register("store check", "pixcore_store.commands:check", summary="Whether every record is as it was written.")
    register("store ls", "pixcore_store.commands:ls", summary="What lies in a store.")
    register("store prune", "pixcore_store.commands:prune", summary="Remove what no run needs.")


@hookimpl
def carry_out_run(job: Any) -> int:
    """Show a run that is finished as it stands; carry out any other, with as many files open as its stages have."""
    from pixcore_store.limits import open_more_files
    from pixcore_store.unchanged import carry_out

    open_more_files()
    return carry_out(job)


@hookimpl
def run_started(run: str, stores: Sequence[str]) -> None:
    """Note what the run works on, whichever command has begun it: it may be stopped half-way."""
    from pixcore_store import halfway

    halfway.begin(Path(run), stores)


@hookimpl
def run_finished(run: str) -> None:
    """Forget it: `run.json` says the same. Of a part no end is noted: what unites the parts needs its records."""
    from pixcore_store import halfway

    halfway.end(Path(run))
