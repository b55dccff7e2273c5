"""The command `pixcore export`: write a run as other tools read it."""

from __future__ import annotations

import shutil
from functools import partial
from importlib import import_module
from pathlib import Path

import click
from pixcore_report.reading import open_run

from pixcore.errors import DataError
from pixcore.files import prepare
from pixcore.plugins import registry
from pixcore.terminal import Console
from pixcore_export.base import Exporter

FORMATS = {
    "csv": "pixcore_export.as_csv:export_csv",
    "parquet": "pixcore_export.as_parquet:export_parquet",
    "coco": "pixcore_export.as_coco:export_coco",
    "datasets": "pixcore_export.as_datasets:export_datasets",
    "fiftyone": "pixcore_export.as_fiftyone:export_fiftyone",
    "labelme": "pixcore_export.as_labelme:export_labelme",
}
"""By name, what writes a format; imported when it is asked for."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(list(FORMATS)), required=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new or an empty folder.")
def export(run: Path, form: str, out: Path) -> None:
    """Write the run in folder RUN as other tools read it; nothing is computed."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is there and not empty", hint="--out takes a new or an empty folder")
    exporter = exporter_of(form)
    job = open_run(run, registry())
    prepare(out, "--out")
    console = Console(stderr=True)
    try:
        exporter(job, out, partial(console.print, style="yellow", highlight=False, soft_wrap=True))
    except BaseException:
        _empty(out)  # so that the same command can be given again
        raise
    written = sorted(one.name + "/" * one.is_dir() for one in out.iterdir())
    click.echo(f"wrote {out}: {', '.join(written)}")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def exporter_of(form: str) -> Exporter:
    """Import what writes a format.

    Raises:
        PluginError: A package that it needs is not installed.
    """
    module, _, name = FORMATS[form].partition(":")
    exporter: Exporter = getattr(import_module(module), name)
    return exporter
