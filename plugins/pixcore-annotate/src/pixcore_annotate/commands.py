"""The command `pixcore annotate`: the manual pass over a benchmark's masks, in the browser."""

from __future__ import annotations

import getpass
import re
import webbrowser
from pathlib import Path

import click

from pixcore.errors import ConfigError, DataError
from pixcore.terminal import Console
from pixcore_annotate.instances import ade_instances, coco_instances, items_from_table
from pixcore_annotate.merge import export, merge
from pixcore_annotate.project import Journal, read_tasks, write_tasks
from pixcore_annotate.server import Server


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--annotator", help="Your name; your login by default.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="A fixed port; a free one by default.")
@click.option("--browser/--no-browser", default=True, help="Open the page.")
@click.option("--objects", type=click.Path(path_type=Path), help="Begin: a table of objects (parse-objects).")
@click.option("--images", type=click.Path(path_type=Path), help="The folder of images, where it lies outside FOLDER.")
@click.option(
    "--instances", type=click.Path(path_type=Path), multiple=True, help="Begin: COCO's file, ADE20K's folder."
)
@click.option("--export", "target", type=click.Path(path_type=Path), help="Merge all annotators into this benchmark.")
@click.option("--prefer", metavar="NAME", help="Whose decision stands where annotators differ.")
def annotate(
    folder: Path,
    annotator: str | None,
    port: int,
    browser: bool,
    objects: Path | None,
    images: Path | None,
    instances: tuple[Path, ...],
    target: Path | None,
    prefer: str | None,
) -> None:
    """Keep, drop or draw masks for the items in FOLDER, on a page that only this machine can reach."""
    console = Console(stderr=True)
    if target is not None:
        _export(console, folder, target, prefer)
        return
    if objects is not None:
        if images is None:
            raise ConfigError("--objects needs the folder of images", hint="--images FOLDER")
        finders = [ade_instances(path) if path.is_dir() else coco_instances(path) for path in instances]
        items = items_from_table(objects, images, finders)
        write_tasks(folder, items)
        console.print(f"{len(items)} items, {sum(len(item.instances) for item in items)} candidate masks")
    tasks = read_tasks(folder)
    if not tasks:
        raise DataError(f"{folder} has no items", hint="its tasks.json is empty")
    name = annotator or re.sub(r"[^A-Za-z0-9_.-]", "-", getpass.getuser()) or "me"
    server = Server(folder, tasks, Journal(folder, name, tasks), port=port, images=images)
    console.print(
        f"{name}, annotate at {server.address} (Ctrl-C ends; every decision is saved at once)", soft_wrap=True
    )
    if browser:
        webbrowser.open(server.address)
    server.run()


def _export(console: Console, folder: Path, target: Path, prefer: str | None) -> None:
    merged = merge(folder, prefer=prefer)
    for conflict in merged.conflicts:
        said = "; ".join(f"{who}: {what}" for who, what in conflict.said.items())
        console.print(f"conflict about item {conflict.item}, {conflict.about}: {said}", highlight=False, soft_wrap=True)
    path = export(folder, merged.states, target)
    left = len(merged.conflicts) if prefer is None else 0
    console.print(
        f"{path}: {len(merged.states)} items; {len(merged.undecided)} undecided and {left} in conflict are left out",
        soft_wrap=True,
    )
