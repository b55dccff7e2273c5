"""Adds the commands under `store`, and shows a run of which nothing has changed without working on it."""

from __future__ import annotations

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
    """Show a run that is finished as it stands; note of any other what it works on."""
    from pixcore_store.unchanged import carry_out

    return carry_out(job)
