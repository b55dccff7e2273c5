"""Adds commands that get and check benchmarks to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add commands that get and check benchmarks."""
    register("benchmarks fetch", "pixcore_datasets.commands:fetch_command", summary="Get a benchmark's files.")
    register(
        "benchmarks check", "pixcore_datasets.commands:check_command", summary="Verify a benchmark's files and samples."
    )
