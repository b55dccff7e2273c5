"""The commands `services estimate` and `services ask-anew`, which `run --estimate` and `--fresh-judge` stand for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pixcore.commands.run import about_a_run, carry_out, figures_written, json_option, planned
from pixcore.files import write_json
from pixcore.runs.plan import Run
from pixcore.terminal import Console
from pixcore_services.drift import DRIFT, Drift
from pixcore_services.estimate import Left, Line, expected, hours, left, table
from pixcore_services.spending import Spending


@click.command()
@about_a_run
@json_option
def estimate(written: Path | None = None, **about: Any) -> None:
    """Say what the run of CONFIG will ask of services, and how long it will take; ask and compute nothing.

    Times are those of the records that are there: `pixcore run CONFIG --limit 20` makes some. Where the budget is in
    dollars and a price is not known, the run would end with an error, and so does this.
    """
    job = planned(**about, single="an estimate")
    lines, computed = expected(job), left(job)
    document = {"services": [asdict(one) for one in lines], "computed": [asdict(one) for one in computed]}
    spending = Spending.under(job.context.allowance)
    if not figures_written(written, lambda: document):
        _show(job, lines, computed, spending)
    for line in lines:
        spending.check_priced(line.expense)


def _show(job: Run, lines: list[Line], computed: list[Left], spending: Spending) -> None:
    console = Console()
    if computed:
        console.print(hours(computed))
    if not lines:
        console.print("This run asks no service.")
        return
    console.print(table(lines, spending.spent))
    budget = job.resolved.config.budget
    if budget is not None:
        limits = ", ".join(f"{value:,.10g} {unit}" for unit, value in budget.model_dump(exclude_none=True).items())
        console.print(f"budget: {limits}")


@click.command()
@about_a_run
@json_option
def ask_anew(written: Path | None = None, **about: Any) -> int:
    """Run CONFIG, asking services anew, and say what changed; `drift.json` in the run's folder has all of it."""
    drift = Drift()
    job = planned(**about, on_record=drift, single="asking services anew")
    status = carry_out(job, output=Console(stderr=str(written) == "-"))
    write_json(job.resolved.config.output / DRIFT, drift.document())
    figures_written(written, drift.document)
    for line in drift.lines():
        Console(stderr=True).print(line, soft_wrap=True, highlight=False)
    return status
