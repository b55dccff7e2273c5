"""Adds the commands `emergence` and `layers` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands `emergence` and `layers`."""
    register(
        "emergence", "pixcore_emergence.command:emergence", summary="When and where grounding emerges, as figures."
    )
    register("layers", "pixcore_emergence.layers_command:layers", summary="Which decoder layer grounds, from one run.")
