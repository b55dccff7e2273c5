"""A run that is finished as it stands is shown as it was written: nothing is drawn, read or written anew.

What a run's results follow from is written down beside them when they are whole, in `.unchanged`: the resolved config,
the scope and the fingerprints of weights; which packages are installed; and, by size and time of change, the files of
pixcore and all its plugins, of every other module that was at work, of the stage stores, of the run's folder, and what
the benchmark read. A benchmark says in its class that its samples follow from its config alone (`drawn`), or also from
what Python's own functions open and list (`opens_files`), which is heard while its samples are read
(`pixcore_store.heard`); of any other it can't be known.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pixcore.commands import run as command
from pixcore.entries import entry_points
from pixcore.errors import DataError, StoreError
from pixcore.figures.rows import Summary
from pixcore.files import SUMMARY, read_object, write_json
from pixcore.plugins import registry
from pixcore.runs import results, writers
from pixcore.runs.plan import Run
from pixcore.runs.results import Written
from pixcore.stages.store import content_key
from pixcore.terminal import Console
from pixcore_store.heard import hearing, stamp

UNCHANGED = ".unchanged"
"""In the run's folder: what its results follow from."""


def carry_out(job: Run) -> int:
    """Show a run of which nothing has changed; carry any other out, and note what its results follow from.

    Returns:
        The command's exit status.
    """
    folder, benchmarks = job.resolved.config.output, job.resolved.components.several("benchmark")
    known = all(one.says("drawn", "opens_files") for one in benchmarks)
    follows = _follows_from(job) if known else ""
    note = _noted(folder / UNCHANGED) if known else {}
    if note.get("follows from") == follows and all(stamp(path) == then for path, then in note["files"].items()):
        summary = TypeAdapter(Summary).validate_python(read_object(folder / SUMMARY))
        messages = Console(stderr=True)
        messages.print("nothing has changed since these results were written", style="dim")
        paths = {name: Path(path) for name, path in note["written"].items()}
        return Written(summary, paths, []).show(messages, Console())
    opens = any(one.says("opens_files") for one in benchmarks)
    # as they are before they are read: data and code may be written while the run is at work
    read = {path: stamp(path) for path in (_modules() if known else ())}
    with hearing() if opens else nullcontext(dict[str, list[int]]()) as heard:
        _ = job.items  # its samples, whose images are read
    read |= heard
    seen: list[Written] = []

    def write(*about: Any) -> Written:
        seen.append(results.write(*about))
        return seen[0]

    status = command.carry_out(job, write=write)
    if known and seen and status == 0 and not seen[0].summary.failed and not _owed(job):
        for stage in job.stages():
            stage.store.close()  # what it wrote ahead goes into its file
        written = {name: str(path) for name, path in seen[0].paths.items()}
        later = {*_imported(), *_stores(job), *_inside(folder)} - read.keys()
        files = read | {path: stamp(path) for path in sorted(later)}
        with suppress(StoreError):  # a run is no worse for it
            write_json(folder / UNCHANGED, {"follows from": follows, "written": written, "files": files}, indent=None)
    return status


def _follows_from(job: Run) -> str:
    """Hash what can change the results and is no file: what was asked for, and what is installed."""
    packages = [name for folder in sys.path for name in _listed(folder) if name.endswith((".dist-info", ".egg-info"))]
    return content_key(
        {
            "config": job.resolved.document(),
            "scope": {
                key: list(value) if isinstance(value, tuple) else value for key, value in vars(job.scope).items()
            },
            "weights": job.resolved.components.told(lambda one: one.config.fingerprint()),
            "packages": sorted(packages),
            "plugins": [list(entry) for entry in entry_points()],
            "chosen": os.environ.get("PIXCORE_PLUGINS"),
            "python": sys.version,
        }
    )


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError:
        return []


def _owed(job: Run) -> bool:
    """Whether a run writer could not tell all of a run, as where a tracker can't be reached."""
    config = job.resolved.config
    return any(guest.loaded.owes(config.output) for guest in writers.chosen(registry(), config.writers or ()))


def _noted(path: Path) -> dict[str, Any]:
    """Read what was noted of a run; nothing where that is not there, or not whole."""
    with suppress(DataError):
        note = read_object(path)
        if all(isinstance(note.get(key), dict) for key in ("files", "written")):
            return note
    return {}


def _imported() -> Iterator[str]:
    """The files of all modules that are imported."""
    yield from (path for module in list(sys.modules.values()) if (path := getattr(module, "__file__", None)))


def _modules() -> Iterator[str]:
    """These, and whatever lies beside those of pixcore and its plugins."""
    yield from _imported()
    named = {target.partition(":")[0].partition(".")[0] for _, target, _ in entry_points()}
    beside = {name for folder in sys.path for name in _listed(folder) if name.startswith("pixcore_")}
    for name in ("pixcore", *named, *(name for name in beside if name.isidentifier())):
        for folder in getattr(find_spec(name), "submodule_search_locations", None) or ():
            yield from _inside(Path(folder))


def _stores(job: Run) -> Iterator[str]:
    for stage in job.stages():
        yield from (str(stage.store.path), f"{stage.store.path}-wal")


def _inside(folder: Path) -> Iterable[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (os.path.join(place, name) for name in names if name != UNCHANGED)
