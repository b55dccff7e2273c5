"""`pixcore run`: the main job."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console

from pixcore import config as configs
from pixcore.commands import results
from pixcore.plugins import registry
from pixcore.progress import monitor_for
from pixcore.run_folder import prepare
from pixcore.runner import Run, Scope


def _shard(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    index, slash, count = value.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise click.BadParameter("expected i/n with 1 <= i <= n, such as 2/8")
    return int(index), int(count)


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value: --set points.k=3")
@click.option("--limit", type=click.IntRange(min=1), help="The first samples alone.")
@click.option("--sample", "samples", multiple=True, metavar="ID", help="This sample alone; may be given repeatedly.")
@click.option("--shard", callback=_shard, metavar="I/N", help="The i-th of n parts: one machine's share, no tables.")
def run(
    config: Path,
    settings: tuple[str, ...],
    limit: int | None,
    samples: tuple[str, ...],
    shard: tuple[int, int] | None,
) -> int:
    """Take a benchmark through the pipeline that CONFIG describes.

    Continues where it stopped, prints the table and writes the run's folder.
    """
    document = configs.apply_settings(configs.read_yaml(config), settings)
    resolved = configs.resolve(document, registry())
    prepare(resolved.config.output)
    scope = Scope(limit, samples, shard)
    job = Run(resolved, scope)
    messages = Console(stderr=True)
    started = time.perf_counter()
    failures = job.execute(monitor_for(messages))
    computed = time.perf_counter() - started
    if shard is None:
        results.write(job, resolved.config.output, registry(), seconds=computed)
        results.show(resolved.config.output)
        messages.print(f"report: {resolved.config.output / 'report.html'}", style="bold", soft_wrap=True)
    if failures:
        messages.print(f"{failures} failed; the next run tries them again", style="yellow")
    return 0
