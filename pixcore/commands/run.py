"""The command `pixcore run`: take a benchmark through the pipeline that a config describes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pixcore import config as configs
from pixcore.errors import ConfigError
from pixcore.figures.rows import to_dict
from pixcore.files import SUMMARY, json_text, prepare, read_object, write_json
from pixcore.notices import notice
from pixcore.plugins import CORE, GuestKind, registry
from pixcore.runs import results, writers
from pixcore.runs.execute import execute
from pixcore.runs.observers import Observers
from pixcore.runs.plan import Run, Scope
from pixcore.runs.progress import display_for
from pixcore.stages.base import OnRecord
from pixcore.terminal import Console

_IN_PLACE = {"estimate": "services estimate", "profile": "profile run", "fresh_judge": "services ask-anew"}


def _file(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is None or str(value) == "-" or context.resilient_parsing:  # the last, where a shell completes a line
        return value
    if not value.name:
        raise ConfigError("--json names no file", hint="give its name, or - to print the figures")
    prepare(value.parent, "--json")  # before anything is computed
    return value


_FILE = click.Path(path_type=Path, dir_okay=False)
limit_option = click.option("--limit", type=click.IntRange(1, 10**9), help="The first samples alone.")
json_option = click.option("--json", "written", type=_FILE, callback=_file, help="All figures; - prints them.")


def _shard(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", value)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter("expected i/n with 1 <= i <= n, such as 2/8")
    return int(found[1]), int(found[2])


def about_a_run(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument and the options that say which run, and which part of it, it is about."""
    for option in (
        click.option("--executor", metavar="NAME", help="Where records are made: local, or what a plugin offers."),
        click.option("--shard", callback=_shard, metavar="I/N", help="The i-th of n parts, in a store of its own."),
        click.option("--sample", "samples", multiple=True, metavar="ID", help="This sample alone; may be repeated."),
        limit_option,
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value: --set points.k=3"),
        click.argument("config", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


def figures_written(written: Path | None, document: Callable[[], Mapping[str, Any]]) -> bool:
    """Write figures, made if they are wanted, where `--json` says; whether they stand alone on the terminal."""
    if on_terminal := str(written) == "-":
        click.echo(json_text(document()))
    elif written is not None:
        write_json(written, document(), "--json")
    return on_terminal


@click.command()
@about_a_run
@json_option
@click.option("--estimate", is_flag=True, help="Say what it costs, and how long it takes.")
@click.option("--profile", is_flag=True, help="Say where time and memory went.")
@click.option("--fresh-judge", is_flag=True, help="Ask services anew; say what changed.")
def run(written: Path | None, **about: Any) -> Any:
    """Take a benchmark through the pipeline that CONFIG describes.

    Continues where it stopped, prints the table and writes the run's folder.
    """
    told = [command for flag, command in _IN_PLACE.items() if about.pop(flag)]
    if len(told) > 1:
        raise ConfigError("--estimate, --profile and --fresh-judge exclude each other", hint="leave all but one out")
    if not told and written is not None and about["shard"] is not None:
        raise ConfigError("--json has no figures to write of a part", hint="leave it out, or --shard")
    if not told and not (job := planned(**about)).resolved.config.seeds:
        with redirect_stdout(sys.stderr if str(written) == "-" else sys.stdout):
            status: int | None = registry().ask("carry_out_run", job=job)
            status = carry_out(job) if status is None else status
        figures_written(written, lambda: read_object(job.resolved.config.output / SUMMARY))
        return status
    command: click.Command = registry().guest(GuestKind.COMMAND, *told or ["seeds"]).loaded
    return command.callback(**about, written=written) if command.callback is not None else None


def planned(
    config: Path,
    settings: tuple[str, ...],
    limit: int | None,
    samples: tuple[str, ...],
    shard: tuple[int, int] | None,
    executor: str | None = None,
    on_record: OnRecord | None = None,
    single: str = "",
) -> Run:
    """Plan a run, as `about_a_run` says which, and make its folder.

    With `on_record`, told of records before and after, services are asked anew; `single` names what excludes seeds.
    """
    document = configs.apply_settings(configs.read_yaml(config), settings)
    if executor is not None and configs.name_in(document.get("executor")) != executor:
        document["executor"] = executor
    resolved = configs.resolve(document, registry())
    if single and (seeds := resolved.config.seeds):
        said = f"{single} is of one run, and the config has the seeds {', '.join(map(str, seeds))}"
        raise ConfigError(said, hint="--set 'seeds=[]', and one of them as seed:")
    if shard is not None:  # parts may be at work on several machines, and SQLite is safe on one's own disk alone
        store = resolved.config.store
        own = store.parent / f"{store.name or 'store'}-{shard[0]}-of-{shard[1]}"
        resolved = replace(resolved, config=resolved.config.model_copy(update={"store": own}))
        notice(f"this part has its own store, {own}, on a local disk; pixcore store merge unites all in {store}")
    prepare(resolved.config.output)
    return Run(resolved, Scope(limit, samples, shard), on_record=on_record)


def carry_out(
    job: Run, messages: Console | None = None, output: Console | None = None, write: Callable[..., Any] = results.write
) -> int:
    """Execute a run, write its results and show them, on the terminal if nowhere else; the exit status comes back."""
    config = job.resolved.config
    guests = writers.chosen(registry(), config.writers or ())
    messages = messages or Console(stderr=True)
    observers = Observers(job, registry(), display_for(messages, registry()))
    failures, status = execute(job, observers), 0
    if job.scope.shard is None:
        written = write(job, config.output, guests)
        status = written.show(messages, output or Console())
        if config.writers and all(one.plugin == CORE for one in registry().guests(GuestKind.WRITER) if one.default):
            messages.print("no report: pip install pixcore-report, then the same command writes one")
        observers.finish(to_dict(written.summary))
    else:
        observers.finish()
    if failures:
        messages.print(f"{failures} failed; the next run tries them again", style="yellow")
    return status
