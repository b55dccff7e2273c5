"""Adds the command `score` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command `score`."""
    register("score", "pixcore_scoring.command:score", summary="Score predictions made elsewhere.")
