"""The commands `store merge`, `store check`, `store ls` and `store prune`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from pixcore.errors import StoreError
from pixcore.files import RUN, read_file
from pixcore.terminal import Console
from pixcore_store.folders import EXCHANGES, StoreFile, files_of, found_below, in_use, reading, stores_in
from pixcore_store.halfway import BEGUN, noted
from pixcore_store.merging import merge as merged_into

_FOLDER = click.Path(path_type=Path)
_NAMED = 5  # conflicts that are named
_MADE = re.compile(r".+-[0-9a-f]{20}\.sqlite")  # as a run calls its stores: another database is not ours to remove


@click.command()
@click.argument("stores", nargs=-1, required=True, type=_FOLDER)
@click.option("-o", "--output", "target", required=True, type=_FOLDER, help="The folder that gets all records.")
def merge(stores: tuple[Path, ...], target: Path) -> int:
    """Put the records of several folders of STORES into one.

    They were made apart, by the parts of a run (`pixcore run --shard`), and are only read. Where two hold other records
    under one key the first stays, each such record is told, and the exit status is 1.
    """
    console = Console(stderr=True)
    plain: Any = {"soft_wrap": True, "highlight": False}  # what names of files and samples are
    found = merged_into(list(stores), target, lambda line: console.print(line, style="dim", **plain))
    console.print(
        f"{target}: {found.records} records new, {found.same} there already, {found.failures} failures, "
        f"{found.exchanges} answers of services",
        **plain,
    )
    for path, what in found.conflicts[:_NAMED]:
        said = f"conflict: {path} has another record of {what} than {target}; the one there stays"
        console.print(said, style="yellow", **plain)
    if len(found.conflicts) > _NAMED:
        console.print(f"conflict: {len(found.conflicts)} in all", style="yellow")
    return 1 if found.conflicts else 0


@click.command()
@click.argument("store", type=_FOLDER)
def check(store: Path) -> int:
    """Read every record in the folder STORE, and tell which files are damaged; the exit status is 1 if one is."""
    console, damaged = Console(), 0
    for path in stores_in(store):
        try:
            file, count = StoreFile.read(path), 0
            file.check_version()
            with reading(path) as database:
                said = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if said != "ok":
                raise StoreError(f"it is damaged: {said}", hint="move it away and run again")
            beside = file.in_memory()
            for rows in file.rows():
                beside.put_rows(rows)
                count += sum(beside.get(row.key) is not None for row in rows)
                beside.clear()
            paid = sum(map(len, file.exchanges()))
            said = f"{path}: records {count}{f', answers of services {paid}' if paid else ''}, all as they were written"
            console.print(said, soft_wrap=True)
        except StoreError as error:
            damaged += 1
            console.print(f"{path}: {error.message}", style="yellow", soft_wrap=True)
    return 1 if damaged else 0


@click.command()
@click.argument("store", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def ls(store: Path, as_json: bool) -> int:
    """List what lies in the folder STORE: each stage's file, its components, records, failures, size and hours.

    A file that can't be read is told, and the exit status is 1.
    """
    listed: list[dict[str, Any]] = []
    damaged: list[StoreError] = []
    for path in stores_in(store):
        try:
            listed.append(_told(path))
        except StoreError as error:
            damaged.append(error)
    for one in damaged:
        Console(stderr=True).print(one.message, style="yellow", soft_wrap=True)
    if as_json:
        click.echo(json.dumps(listed, indent=1))
        return 1 if damaged else 0
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "made from"):
        table.add_column(heading)
    for heading in ("records", "failed", "MiB", "hours"):
        table.add_column(heading, justify="right")
    table.add_column("file", no_wrap=True, style="dim")
    for entry in listed:
        size, hours = f"{entry['bytes'] / 2**20:.1f}", f"{entry['seconds'] / 3600:.2f}"
        counts = str(entry["records"]), str(entry["failures"])
        table.add_row(entry["stage"], entry["made from"], *counts, size, hours, entry["file"])
    Console().print(table)
    return 1 if damaged else 0


def _told(path: Path) -> dict[str, Any]:
    """What `ls` says of a file."""
    file = StoreFile.read(path)
    with reading(path) as database:
        records, failures = database.execute("SELECT count(body), count(*) - count(body) FROM records").fetchone()
        exchanges = database.execute("SELECT count(*) FROM exchanges").fetchone()[0]
    return {
        "file": path.name,
        "stage": file.stage,
        "made from": file.components(),
        "records": exchanges if file.stage == EXCHANGES else records,
        "failures": failures,
        "bytes": path.stat().st_size,
        "seconds": round(sum(file.spent().elements()), 1),
    }


@click.command()
@click.argument("store", type=_FOLDER)
@click.option("--runs", required=True, type=_FOLDER, help="The folder below which all runs lie that are to be kept.")
@click.option("--half-way", is_flag=True, help="Also what runs need that were stopped half-way, and will not go on.")
@click.option("--delete", is_flag=True, help="Remove the files; without it they are only listed.")
def prune(store: Path, runs: Path, half_way: bool, delete: bool) -> None:
    """List what no run needs of the folder STORE, or remove it.

    A run needs what its run.json names, or from its beginning to its end .begun.json beside it: a run that was stopped
    half-way goes on from there, and its files stay unless --half-way gives it up. What another config made in the same
    folder is needed no more. A file that a run is at work on stays, and what paid services answered is never removed.
    """
    needed: set[str] = set()
    found = sorted(found_below(runs, RUN, BEGUN))
    documents, stopped = ([path for path in found if path.name == name] for name in (RUN, BEGUN))
    if not documents and not stopped:
        raise StoreError(f"no run lies below {runs}", hint="name the folder that holds the runs' folders")
    console, total = Console(), 0
    for document in documents:
        try:
            stores = json.loads(read_file(document))["stores"]
            needed |= {Path(path).name for paths in stores.values() for path in paths}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"{document} is no run's: {error}", hint="move it away, or run it again") from error
    plain: Any = {"soft_wrap": True, "highlight": False}
    there = {path.name: path for path in stores_in(store)}
    made = {name: path for name, path in there.items() if _MADE.fullmatch(name)}
    files = [path for name, path in made.items() if name not in needed and not name.startswith(f"{EXCHANGES}-")]
    notes = {begun: note for begun in stopped if (note := noted(begun, store))[1] & there.keys()}
    if files and not notes and not needed & there.keys():
        said = f"no run below {runs} uses {store}: are these its runs?"
        console.print(said, style="yellow", **plain)
    for begun, (since, names) in notes.items():
        own = [path for path in files if path.name in names]
        what = "given up" if half_way else "kept, as it goes on from there; --half-way gives it up"
        room = _mib(sum(map(_size, own)))
        said = f"half-way since {since}: {begun.parent}, {len(own)} files that no other run needs, {room}"
        console.print(f"{said}; {what}", style="yellow", **plain)
        files = files if half_way else [path for path in files if path not in own]
    for path in files:
        if delete and in_use(path):
            console.print(f"in use: {path}", style="yellow", **plain)
            continue
        size = _size(path)
        total += size
        console.print(f"{'removed' if delete else 'not needed'}: {path}, {_mib(size)}", **plain)
        for one in files_of(path) if delete else ():
            _remove(one)
    for begun, (_, names) in notes.items() if delete and half_way else ():
        if not any((store / name).exists() for name in names - needed):
            _remove(begun)
    done = "freed" if delete else "to be freed with --delete"
    console.print(f"{_mib(total)} {done}; runs that need the rest: {len(documents)}", **plain)


def _size(path: Path) -> int:
    """How many bytes a store's files have."""
    return sum(one.stat().st_size for one in files_of(path))


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"can't remove {path}: {error.strerror}", hint="is the folder writable?") from error
