"""What a run needs of a store while it has no `run.json` yet, noted in its folder: it may be stopped half-way."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from pixcore.errors import DataError, StoreError
from pixcore.files import read_object, write_json
from pixcore.runs.plan import Run

BEGUN = ".begun.json"
"""In a run's folder from its beginning to its end: {"began": when, "stores": [files]}."""


def begin(job: Run) -> None:
    """Note which files of its store a run works on."""
    stores = sorted({str(stage.store.path) for stage in job.stages()})
    with suppress(StoreError):  # a run is no worse for it
        write_json(job.resolved.config.output / BEGUN, {"began": time.strftime("%Y-%m-%d %H:%M"), "stores": stores})


def end(folder: Path) -> None:
    """Forget it: the run is finished, and `run.json` says the same."""
    with suppress(OSError):
        (folder / BEGUN).unlink(missing_ok=True)


def noted(path: Path) -> tuple[str, set[str]]:
    """Read the note of a run that was stopped half-way, or is at work: since when, and the names of its stores' files.

    Raises:
        StoreError: It is no such note.
    """
    try:
        note = read_object(path)
    except DataError as error:
        raise StoreError(error.message, hint="remove it, or run it again") from error
    if not isinstance(note.get("stores"), list):
        raise StoreError(f"{path} does not name stores", hint="remove it, or run it again")
    return str(note.get("began")), {Path(one).name for one in note["stores"]}
