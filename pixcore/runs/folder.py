"""A run is a folder of `run.json`, `summary.json` and what run writers leave there, each file whole or not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pixcore.config import resolve
from pixcore.errors import DataError
from pixcore.files import RUN, _explained, read_object
from pixcore.plugins import Registry
from pixcore.runs.plan import Run, Scope


def prepare(folder: Path, given: str = "output:") -> None:
    """Make a run's folder, before anything is computed.

    Args:
        folder: The folder.
        given: The key or option that named it, for the hint of an error.

    Raises:
        StoreError: It can't be written.
    """
    with _explained(folder, given):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def open_run(folder: Path, registry: Registry) -> Run:
    """Open a run from its folder, to read its results; nothing is computed.

    Raises:
        DataError: The folder holds no run, or its records are not where it says, or not those of what is installed.
        PluginError: A component of the run is not installed any more.
    """
    document = read_object(folder / RUN)
    try:
        scope = document["scope"]
        shard = tuple(scope["shard"]) if scope["shard"] else None
        used = {Path(path) for paths in document["stores"].values() for path in paths}
        run = Run(resolve(document["config"], registry), Scope(scope["limit"], tuple(scope["samples"]), shard))
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / RUN} lacks {error}", hint="run the config again: records are kept") from error
    for path in sorted(used):
        if not path.exists():
            raise DataError(
                f"the records of run {folder} are not at {path}",
                hint="start where the run was started, or run the config again",
            )
    if not {stage.store.path for stage in run.stages()} <= used:
        raise DataError(
            f"run {folder} was made by other versions of its plugins, weights or files than those that are here",
            hint="run the config again",
        )
    return run
