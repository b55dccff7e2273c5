"""The command `pixcore report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click

from pixcore.commands.run import figures_written, json_option
from pixcore.files import SUMMARY, read_object
from pixcore.plugins import registry
from pixcore.runs import results, writers
from pixcore.terminal import Console
from pixcore_report.reading import open_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def report(run: Path, written: Path | None = None) -> int:
    """Write the tables, predictions and report of the run in folder RUN again from its records; compute nothing."""
    job = open_run(run, registry())
    named = [*(job.resolved.config.writers or ()), "report"]
    made = results.write(job, run, writers.chosen(registry(), named))
    status = made.show(Console(stderr=True), Console(stderr=str(written) == "-"))
    figures_written(written, lambda: read_object(run / SUMMARY))
    return status
