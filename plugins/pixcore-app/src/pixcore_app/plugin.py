"""Adds the command `app`."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command `app`."""
    register("app", "pixcore_app.command:app", summary="A live demo in the browser: an image, words, maps, masks.")
