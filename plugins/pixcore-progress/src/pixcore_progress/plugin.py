"""Shows a run's progress as bars where a person looks on."""

from __future__ import annotations

from typing import Any

from pixcore import hookimpl


@hookimpl
def show_progress(console: Any) -> Any:
    """Show bars on a terminal; elsewhere lines do."""
    if not console.is_terminal:
        return None
    from pixcore_progress.bars import BarMonitor

    return BarMonitor(console)
