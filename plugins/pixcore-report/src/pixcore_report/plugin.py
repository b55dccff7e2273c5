"""Adds the commands `report` and `compare` to pixcore, and a report to every run."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand, RegisterWriter


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands `report` and `compare`."""
    register("report", "pixcore_report.commands:report", summary="Write a run's report again.")
    register(
        "compare",
        "pixcore_report.compare:compare_command",
        summary="Two runs side by side: differences, and what flipped.",
    )


@hookimpl
def register_run_writers(register: RegisterWriter) -> None:
    """Add the writer that leaves a report with every run."""
    register("report", "pixcore_report.writer:ReportWriter", summary="report.html", default=True)
