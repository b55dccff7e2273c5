"""Adds the command `ground` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command `ground`."""
    register(
        "ground",
        "pixcore_ground.command:ground",
        summary="One image, one expression: phrases, points, masks, as a picture.",
    )
