"""Adds the commands `services estimate` and `services ask-anew` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands `services estimate` and `services ask-anew`."""
    register("services estimate", "pixcore_services.commands:estimate", summary="What services will cost.")
    register("services ask-anew", "pixcore_services.commands:ask_anew", summary="What services say now.")
