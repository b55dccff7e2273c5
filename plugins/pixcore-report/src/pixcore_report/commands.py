"""`pixcore report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click

from pixcore.plugins import registry
from pixcore.runs import results
from pixcore.runs.folder import open_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write the tables, predictions and report of the run in folder RUN again from its records; compute nothing."""
    job = open_run(run, registry())
    results.write(job, run, registry())
    results.show(run)
    click.echo(f"report: {run / 'report.html'}", err=True)
