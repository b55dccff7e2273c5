"""Adds the command `export`."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command `export`."""
    register(
        "export", "pixcore_export.command:export", summary="A run for other tools: tables, COCO, FiftyOne, datasets."
    )
