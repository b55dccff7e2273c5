"""The command `profile run`, which `pixcore run --profile` calls."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from pixcore.commands.run import about_a_run, carry_out, figures_written, json_option, planned
from pixcore.errors import ConfigError
from pixcore.files import RUN, read_json, write_json
from pixcore.plugins import CORE, Guest
from pixcore.runs import results
from pixcore.runs.plan import Run
from pixcore.terminal import Console
from pixcore_progress.profile import Profile, followed, followed_writer


@click.command("run")
@about_a_run
@json_option
def profile_run(written: Path | None = None, **about: Any) -> int:
    """Run CONFIG, and show where time and memory went.

    By stage, and in it by component, store, scoring and writer: as a table at the end, and in run.json under "profile".
    Records that are there cost nothing, so a fresh store shows most.
    """
    profile = Profile()

    def write(job: Run, folder: Path, guests: Iterable[Guest]) -> results.Written:
        with profile.part("scoring", "results"):
            written = results.write(job, folder, [followed_writer(one, profile) for one in guests])
        write_json(folder / RUN, {**read_json(folder / RUN), "profile": profile.document()})
        return written

    with profile.part("reading the config", "start"):
        job = followed(_made_here(planned(**about, single="a profile")), profile)
    with profile.part("reading the benchmark", "start"):
        len(job.items)
    with profile.part("looking for records", "start"):
        status = carry_out(job, output=Console(stderr=str(written) == "-"), write=write)
    if not figures_written(written, lambda: {"profile": profile.document()}):
        Console().print(profile.table())
    return status


def _made_here(job: Run) -> Run:
    """Give back a run whose records are made in this process, into which alone a profile sees.

    Raises:
        ConfigError: Its executor may have them made elsewhere.
    """
    for executor in job.resolved.components.several("executor"):
        if executor.registration.plugin != CORE:
            said = f"a profile sees this process alone, and the executor {executor.name!r} may work in others"
            raise ConfigError(said, hint="--executor local")
    return job
