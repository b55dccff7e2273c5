"""Adds the command `emergence` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command `emergence`."""
    register(
        "emergence", "pixcore_emergence.command:emergence", summary="When and where grounding emerges, as figures."
    )
