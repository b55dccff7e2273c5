"""Adds the commands `new`, `check`, `schema` and `verify` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands `new`, `check`, `schema` and `verify`."""
    register("new", "pixcore_testing.new:new", summary="A package for a plugin of your own, which works as it is.")
    register("check", "pixcore_testing.check:check", summary="Hold what a plugin offers to the contract.")
    register(
        "schema",
        "pixcore_testing.schema:schema",
        summary="The config's JSON schema, for an editor's completion.",
    )
    register(
        "verify", "pixcore_testing.verify:verify", summary="A model on ten fixed images, beside what is expected of it."
    )
