"""Shows a run's progress as bars where a person looks on, and where its time went."""

from __future__ import annotations

from typing import Any

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def show_progress(console: Any) -> Any:
    """Show bars on a terminal that can draw a line anew, and lines elsewhere."""
    if console.is_interactive:
        from pixcore_progress.bars import BarMonitor

        return BarMonitor(console)
    from pixcore_progress.lines import LineMonitor

    return LineMonitor(console)


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command `profile run`."""
    register("profile run", "pixcore_progress.command:profile_run", summary="Where a run's time and memory go.")
