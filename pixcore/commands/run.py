"""The command `pixcore run`: take a benchmark through the pipeline that a config describes."""

from __future__ import annotations

import re
from pathlib import Path

import click

from pixcore import config as configs
from pixcore.figures.rows import to_dict
from pixcore.files import write_json
from pixcore.plugins import CORE, registry
from pixcore.runs import results, writers
from pixcore.runs.drift import DRIFT, Drift
from pixcore.runs.estimate import estimate, table
from pixcore.runs.execute import execute
from pixcore.runs.folder import prepare
from pixcore.runs.observers import Observers
from pixcore.runs.plan import Run, Scope
from pixcore.runs.progress import monitor_for
from pixcore.terminal import Console


def _shard(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", value)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter("expected i/n with 1 <= i <= n, such as 2/8")
    return int(found[1]), int(found[2])


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value: --set points.k=3")
@click.option("--limit", type=click.IntRange(min=1), help="The first samples alone.")
@click.option("--sample", "samples", multiple=True, metavar="ID", help="This sample alone; may be given repeatedly.")
@click.option("--shard", callback=_shard, metavar="I/N", help="The i-th of n parts: one machine's share, no tables.")
@click.option("--estimate", "estimating", is_flag=True, help="Say what services will be asked, and ask nothing.")
@click.option("--fresh-judge", is_flag=True, help="Ask services anew, and say what changed.")
def run(
    config: Path,
    settings: tuple[str, ...],
    limit: int | None,
    samples: tuple[str, ...],
    shard: tuple[int, int] | None,
    estimating: bool,
    fresh_judge: bool,
) -> int:
    """Take a benchmark through the pipeline that CONFIG describes.

    Continues where it stopped, prints the table and writes the run's folder.
    """
    document = configs.apply_settings(configs.read_yaml(config), settings)
    resolved = configs.resolve(document, registry())
    guests = writers.chosen(registry(), resolved.config.writers or ())
    prepare(resolved.config.output)
    scope = Scope(limit, samples, shard)
    drift = Drift() if fresh_judge else None
    job = Run(resolved, scope, on_record=drift)
    if estimating:
        _show_estimate(job)
        return 0
    messages = Console(stderr=True)
    observers = Observers(job, registry())
    observers.start()
    failures = execute(job, observers.monitor(monitor_for(messages)))
    status = 0
    if shard is None:
        written = results.write(job, resolved.config.output, guests)
        status = written.show(messages)
        if "writers" not in document and all(guest.plugin == CORE for guest in guests):
            messages.print("no report: pip install pixcore-report, then the same command writes one")
        observers.finish(to_dict(written.summary))
    if drift is not None:
        write_json(resolved.config.output / DRIFT, drift.document())
        for line in drift.lines():
            messages.print(line, soft_wrap=True, highlight=False)
    if failures:
        messages.print(f"{failures} failed; the next run tries them again", style="yellow")
    return status


def _show_estimate(job: Run) -> None:
    lines = estimate(job)
    console = Console()
    if not lines:
        console.print("This run asks no service.")
        return
    console.print(table(lines, job.spending.spent))
    budget = job.resolved.config.budget
    if budget is not None:
        limits = ", ".join(f"{value:g} {unit}" for unit, value in budget.model_dump(exclude_none=True).items())
        console.print(f"budget: {limits}")
