"""The commands `pixcore benchmarks fetch` and `check`: get a benchmark's files, and verify them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pixcore.components import Context
from pixcore.errors import DataError
from pixcore.plugins import Kind, registry
from pixcore.terminal import Console
from pixcore_datasets.data_files import DataFile, Fetchable, check, fetch
from pixcore_datasets.options import benchmark_config

_ROOT = click.option("--root", type=click.Path(path_type=Path), required=True, help="The benchmark's folder.")


@click.command(name="fetch")
@click.argument("name")
@_ROOT
@click.option("--revision", help="A branch, tag or commit of the data sets on the hub; the newest by default.")
def fetch_command(name: str, root: Path, revision: str | None) -> int:
    """Get the files of benchmark NAME that are missing from --root.

    Notes revision and SHA-256 of each file in pieces.json, which `check` compares with.
    """
    console = Console(stderr=True)
    failed = fetch(root, _pieces(name), revision=revision, report=lambda line: console.print(line, highlight=False))
    for finding in failed:
        console.print(f"{finding.path}: {finding.problem}", highlight=False, soft_wrap=True)
    needed = [finding for finding in failed if not finding.optional]
    if needed:
        names = ", ".join(finding.path for finding in needed)
        raise DataError(
            f"benchmark {name}: could not get {names}", hint="get them by hand, then pixcore benchmarks check"
        )
    console.print(f"{name}: {root} has what it needs", style="bold")
    return 0


@click.command(name="check")
@click.argument("name")
@_ROOT
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the benchmark.")
def check_command(name: str, root: Path, settings: tuple[str, ...]) -> int:
    """Verify the folder of benchmark NAME: every file, its checksum where it was fetched, every sample and picture."""
    console, pieces = Console(), _pieces(name)
    registration = registry().get(Kind.BENCHMARK, name)
    made = registration.create(benchmark_config(registration, root, settings), Context())
    findings = check(root, getattr(made, "needed_files", pieces))
    for finding in findings:
        state = "ok" if not finding.problem else "absent" if finding.optional else "PROBLEM"
        console.print(f"{state:8}{finding.path}{': ' + finding.problem if finding.problem else ''}", soft_wrap=True)
    problems = [finding for finding in findings if finding.problem and not finding.optional]
    if problems:
        raise DataError(f"benchmark {name}: {problems[0].path} {problems[0].problem}", hint="see the list above")
    ids = set[str]()
    absent = unscored = pictures = 0
    decoded = set[tuple[str, tuple[int, int] | None]]()
    gone: dict[str, None] = {}
    damaged: dict[str, str] = {}
    for sample in made.samples():
        if sample.id in ids:
            raise DataError(f"benchmark {name} has two samples with the id {sample.id!r}", hint="ids must be unique")
        ids.add(sample.id)
        absent += sample.absent
        unscored += sample.mask is None or sample.expression is None
        try:
            picture = (sample.image.digest, sample.image.known_size)
        except DataError:
            gone[sample.image.name] = None
            continue
        pictures += 1
        if picture in decoded:  # several samples are of one
            continue
        decoded.add(picture)
        try:
            sample.image.pil()
        except DataError as error:
            damaged[sample.image.name] = str(error)
    if not ids:
        raise DataError(f"benchmark {name} has no samples", hint="check its options and folder")
    console.print(
        f"{len(ids)} samples, {absent} with an empty mask, {unscored} not scored for grounding, {pictures} images there"
    )
    if gone:
        first = ", ".join(list(gone)[:3]) + (", ..." if len(gone) > 3 else "")
        console.print(f"{len(gone)} picture(s) are not there: no model can look at them ({first})", soft_wrap=True)
    for note in getattr(made, "notes", ()):
        console.print(note, soft_wrap=True)
    for problem in damaged.values():
        console.print(f"PROBLEM {problem}", soft_wrap=True)
    if damaged:
        first, why = next(iter(damaged.values())), "each is listed above"
        raise DataError(f"benchmark {name}: {len(damaged)} picture(s) can't be used; the first: {first}", hint=why)
    return 0


def _pieces(name: str) -> list[DataFile]:
    component: Any = registry().get(Kind.BENCHMARK, name).component_class
    if not isinstance(component, Fetchable):
        raise DataError(f"the benchmark {name!r} has no files to get", hint=f"pixcore check {name} reads its samples")
    return list(component.data_files())
