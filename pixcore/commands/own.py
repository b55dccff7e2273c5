"""What the core itself adds, by the hooks that every plugin has."""

from __future__ import annotations

from pixcore.hookspecs import Register, RegisterCommand, RegisterWriter, hookimpl


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the core's own commands."""
    register("run", "pixcore.commands.run:run", summary="Take a benchmark through the pipeline, or go on with it.")
    register("plugins", "pixcore.commands.plugins:plugins", summary="What is installed, and what failed to load.")


@hookimpl
def register_executors(register: Register) -> None:
    """Add the executor that works in this process."""
    register("local", "pixcore.runs.execute:Local", summary="In this process, stage after stage.", default=True)


@hookimpl
def register_run_writers(register: RegisterWriter) -> None:
    """Add the writer of `predictions.jsonl`."""
    register("predictions", "pixcore.runs.writers:PredictionsWriter", summary="predictions.jsonl", default=True)
