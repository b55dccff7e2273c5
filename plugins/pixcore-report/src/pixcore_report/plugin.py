"""Adds the commands `report`, `compare`, `seeds` and `figures` to pixcore, and a report to every run."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand, RegisterWriter


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands `report`, `compare`, `seeds` and `figures`."""
    register("report", "pixcore_report.commands:report", summary="Write a run's report again.")
    register(
        "compare",
        "pixcore_report.compare:compare_command",
        summary="Two runs side by side: differences, and what flipped.",
    )

    register("figures", "pixcore_report.figures:figures", summary="The plots that a reviewer asks for.")
    register("seeds", "pixcore_report.seeds:seeds", summary="One run a seed, and what the seed changes.")


@hookimpl
def register_run_writers(register: RegisterWriter) -> None:
    """Add the writer that leaves a report with every run."""
    register("report", "pixcore_report.writer:ReportWriter", summary="report.html", default=True)
