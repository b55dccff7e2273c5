"""The command `pixcore annotate`: the manual pass over a benchmark's masks, in the browser."""

from __future__ import annotations

import getpass
import re
import webbrowser
from pathlib import Path

import click

from pixcore.errors import ConfigError, DataError
from pixcore.terminal import Console
from pixcore_annotate.desks import Drawing, Reviewing
from pixcore_annotate.instances import ade_instances, coco_instances, items_from_coco, items_from_table
from pixcore_annotate.journal import Journal
from pixcore_annotate.merge import export, merge
from pixcore_annotate.project import Item, check_free, read_tasks, write_tasks
from pixcore_annotate.review import Reviews
from pixcore_annotate.segmenting import Segmenter
from pixcore_annotate.server import Server


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--annotator", help="Your name; your login by default.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="A fixed port; a free one by default.")
@click.option("--browser/--no-browser", default=True, help="Open the page.")
@click.option("--objects", type=click.Path(path_type=Path), help="Begin: a table of objects (parse-objects).")
@click.option("--images", type=click.Path(path_type=Path), help="The folder of images, where it lies outside FOLDER.")
@click.option(
    "--instances",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Begin: COCO's file, ADE20K's folder. A COCO file needs no --objects: its own expressions and classes count.",
)
@click.option("--masks", "generator", metavar="NAME", help="What makes masks of clicks: a mask generator.")
@click.option("--review", metavar="NAME", help="Look at NAME's decisions: accept or return each.")
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
    generator: str | None,
    review: str | None,
    target: Path | None,
    prefer: str | None,
) -> None:
    """Keep, drop or draw masks for the items in FOLDER, on a page that only this machine can reach."""
    console = Console(stderr=True)
    if target is not None:
        _export(console, folder, target, prefer)
        return
    if objects is not None or instances:
        check_free(folder)  # before all images are read
        items = _begun(objects, images, instances)
        write_tasks(folder, items)
        console.print(f"items: {len(items)}, candidate masks: {sum(len(item.instances) for item in items)}")
    tasks = read_tasks(folder)
    if not tasks:
        raise DataError(f"{folder} has no items", hint="its tasks.json is empty")
    name = annotator or _login() or "me"
    desk = (
        Drawing(Journal(folder, name, tasks), Segmenter(generator))
        if review is None
        else Reviewing(_reviewed(folder, review, name, tasks), Reviews(folder, name, tasks))
    )
    server = Server(folder, desk, port=port, images=images)
    doing = "annotate" if review is None else f"review {review}"
    console.print(f"{name}, {doing} at {server.address} (Ctrl-C ends; every decision is saved at once)", soft_wrap=True)
    if browser:
        webbrowser.open(server.address)
    server.run()


def _login() -> str:
    """Give the user's login as a name that a file can have; nothing where a container's user has none."""
    try:
        return re.sub(r"[^A-Za-z0-9_.-]", "-", getpass.getuser()).lstrip("_.-")[:40]
    except (KeyError, OSError):
        return ""


def _begun(objects: Path | None, images: Path | None, instances: tuple[Path, ...]) -> list[Item]:
    """Make the items that work begins with."""
    if objects is not None:
        if images is None:
            raise ConfigError("--objects needs the folder of images", hint="--images FOLDER")
        return items_from_table(
            objects, images, [ade_instances(path) if path.is_dir() else coco_instances(path) for path in instances]
        )
    if len(instances) > 1 or instances[0].is_dir():
        raise ConfigError("--instances alone is one COCO file", hint="--objects TABLE says what is asked about")
    return items_from_coco(instances[0], images or instances[0].parent)


def _reviewed(folder: Path, who: str, reviewer: str, tasks: dict[str, Item]) -> Journal:
    """Find the decisions to be reviewed, which are somebody else's."""
    known = Journal.writers(folder)
    if who not in known:
        raise DataError(f"nobody called {who!r} has decided anything", hint=f"there are: {', '.join(known) or 'none'}")
    if who == reviewer:
        raise ConfigError(f"{who} can't review {who}", hint="a second person does: --annotator NAME")
    return Journal(folder, who, tasks)


def _export(console: Console, folder: Path, target: Path, prefer: str | None) -> None:
    merged = merge(folder, prefer=prefer)
    for conflict in merged.conflicts:
        said = "; ".join(f"{who}: {what}" for who, what in conflict.said.items())
        console.print(f"conflict about item {conflict.item}, {conflict.about}: {said}", highlight=False, soft_wrap=True)
    path = export(folder, merged.states, target)
    left = sum(conflict.item not in merged.states for conflict in merged.conflicts)
    returned = f" ({len(merged.returned)} of them returned by a reviewer)" if merged.returned else ""
    console.print(
        f"{path}: {len(merged.states)} items; {len(merged.undecided)} undecided{returned} and {left} in conflict "
        "are left out",
        soft_wrap=True,
    )
