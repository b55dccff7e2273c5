"""What a run needs of a store while it has no `run.json` yet, noted in its folder: it may be stopped half-way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pixcore.errors import DataError, StoreError
from pixcore.files import read_object, write_json

BEGUN = ".begun.json"
"""In a run's folder from its beginning to its end: {"began": when, "stores": [files]}."""


def begin(folder: Path, stores: Sequence[str]) -> None:
    """Note which files of its store a run works on."""
    write_json(folder / BEGUN, {"began": time.strftime("%Y-%m-%d %H:%M"), "stores": list(stores)})


def end(folder: Path) -> None:
    """Forget it: the run is finished, and `run.json` says the same."""
    (folder / BEGUN).unlink(missing_ok=True)


def noted(path: Path, store: Path) -> tuple[str, set[str]]:
    """Read the note of a run that was stopped half-way, or is at work.

    Returns:
        Since when, and the names of its files in `store`: a file that is there in another folder is none of them.

    Raises:
        StoreError: It is no such note.
    """
    try:
        note = read_object(path)
    except DataError as error:
        raise StoreError(error.message, hint="remove it, or run it again") from error
    stores = note.get("stores")
    if not isinstance(stores, list) or not all(isinstance(one, str) for one in stores):
        raise StoreError(f"{path} does not name stores", hint="remove it, or run it again")
    own = (one for one in map(Path, stores) if not one.exists() or one.parent.samefile(store))
    return str(note.get("began")), {one.name for one in own}
