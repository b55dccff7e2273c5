"""The command `profile run`, which `pixcore run --profile` calls."""

from __future__ import annotations

from typing import Any

import click

from pixcore.commands.run import about_a_run, planned
from pixcore.figures.rows import to_dict
from pixcore.files import RUN, read_json, write_json
from pixcore.plugins import registry
from pixcore.runs import results, writers
from pixcore.runs.execute import execute
from pixcore.runs.observers import Observers
from pixcore.runs.progress import display_for
from pixcore.terminal import Console
from pixcore_progress.profile import Profile, followed, followed_writer


@click.command("run")
@about_a_run
def profile_run(**about: Any) -> int:
    """Run CONFIG, and show where time and memory went.

    By stage, and in it by component, store, scoring and writer: as a table at the end, and in run.json under "profile".
    Records that are there cost nothing, so a fresh store shows most.
    """
    profile = Profile()
    with profile.part("reading the config", "start"):
        job = followed(planned(**about), profile)
        config, messages = job.resolved.config, Console(stderr=True)
        guests = [followed_writer(one, profile) for one in writers.chosen(registry(), config.writers or ())]
        observers = Observers(job, registry(), display_for(messages, registry()))
    with profile.part("reading the benchmark", "start"):
        observers.start()
        len(job.items)
    with profile.part("looking for records", "start"):
        failures = execute(job, observers)
    status = 0
    if job.scope.shard is None:
        with profile.part("scoring", "results"):
            written = results.write(job, config.output, guests)
        status = written.show(messages, Console())
        write_json(config.output / RUN, {**read_json(config.output / RUN), "profile": profile.document()})
        observers.finish(to_dict(written.summary))
    Console().print(profile.table())
    if failures:
        messages.print(f"{failures} failed; the next run tries them again", style="yellow")
    return status
