"""A run is a folder of `run.json`, `summary.json`, `predictions.jsonl`, `report.html`, each whole or not there."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pixcore.config import resolve
from pixcore.errors import DataError, StoreError
from pixcore.plugins import Registry
from pixcore.runs.plan import Run, Scope

RUN, SUMMARY, PREDICTIONS, REPORT = "run.json", "summary.json", "predictions.jsonl", "report.html"


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


@contextmanager
def replacing(path: Path, given: str = "output:") -> Iterator[IO[str]]:
    """Write a text file that takes its place only when it is whole.

    Args:
        path: The file.
        given: The key or option that named it or its folder, for the hint of an error.

    Raises:
        StoreError: It can't be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _explained(path, given):
        try:
            with beside.open("w", encoding="utf-8") as file:
                yield file
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def write_json(path: Path, document: Mapping[str, Any], given: str = "output:") -> None:
    """Write a JSON file, whole or not at all; as `replacing`."""
    with replacing(path, given) as file:
        json.dump(document, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}", hint="is it a run's folder?") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", hint="run the config again: records are kept") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds no JSON object", hint="is it a run's folder?")
    return document


def open_run(folder: Path, registry: Registry) -> Run:
    """Open a run from its folder, to read its results; nothing is computed.

    Raises:
        DataError: The folder holds no run, or its records are not where it says, or not those of what is installed.
        PluginError: A component of the run is not installed any more.
    """
    document = read_json(folder / RUN)
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


@contextmanager
def _explained(path: Path, given: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC
        hint = "free some space, then the same command again" if full else f"choose another {given}"
        raise StoreError(f"can't write {path}: {error.strerror or error}", hint=hint) from error
