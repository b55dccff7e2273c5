"""Adds the commands under `store` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands under `store`."""
    register("store merge", "pixcore_store.commands:merge", summary="One store of several that were made apart.")
    register("store check", "pixcore_store.commands:check", summary="Whether every record is as it was written.")
    register("store ls", "pixcore_store.commands:ls", summary="What lies in a store.")
    register("store prune", "pixcore_store.commands:prune", summary="Remove what no run needs.")
