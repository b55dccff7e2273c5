"""Read what a run left in its folder: its records, and its summary."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from pixcore import __version__
from pixcore.config import resolve
from pixcore.errors import DataError
from pixcore.figures.rows import Summary
from pixcore.files import RUN, read_object
from pixcore.plugins import Registry
from pixcore.runs.plan import Run, Scope
from pixcore.stages.base import Stage
from pixcore.versions import foundations

_NAMED = 3
"""Packages of other versions that an error names."""

_Count = Annotated[int, Field(ge=1, le=sys.maxsize)]


class _Scope(BaseModel):
    limit: _Count | None
    samples: tuple[str, ...]
    shard: tuple[_Count, _Count] | None


class _Document(BaseModel):
    """What is read of a `run.json`."""

    scope: _Scope
    stores: dict[str, list[Path]]
    config: dict[str, Any]
    pixcore: str = ""
    plugins: dict[str, str] = {}
    versions: dict[str, str] = {}


def open_run(folder: Path, registry: Registry) -> Run:
    """Open a run from its folder, to read its results; nothing is computed.

    Raises:
        DataError: The folder holds no run, or its records are not where it says, or not those of what is installed.
        PluginError: A component of the run is not installed any more.
    """
    try:
        document = _Document.model_validate(read_object(folder / RUN))
    except ValidationError as error:
        raise DataError(
            f"{folder / RUN} is no run's: {_first(error)}", hint="run the config again: records are kept"
        ) from error
    run = Run(resolve(document.config, registry), Scope(**dict(document.scope)))
    used = {path for paths in document.stores.values() for path in paths}
    for path in sorted(used):
        if not path.exists():
            raise DataError(
                f"the records of run {folder} are not at {path}",
                hint="start where the run was started, or run the config again",
            )
    close_stores_with(run)
    if not all(stage.store.path in used for stage in run.stages()):  # in turn: opening one makes its file
        raise DataError(f"run {folder} was made by {_others(document, run)}", hint="run the config again")
    return run


def close_stores_with(run: Run) -> None:
    """Close a run's stores as soon as nobody holds it: its stages refer to one another, and would keep them open."""
    weakref.finalize(run, _close, run.stages())


def _close(stages: Sequence[Stage]) -> None:
    for stage in stages:
        if "store" in vars(stage):  # it was opened
            stage.store.close()


def _others(document: _Document, run: Run) -> str:
    """Say what a run was made by that is here in another version, as far as it wrote versions down."""
    at_work = [one.registration for one in run.resolved.components.every]
    here = {one.distribution: one.version for one in at_work}
    for one in at_work:
        here |= foundations(one.distribution, one.extra)
    here["pixcore"] = __version__
    libraries = {name: version.split("+")[0] for name, version in document.versions.items()}  # as `foundations` has it
    then = {**libraries, **document.plugins, "pixcore": document.pixcore or __version__}
    found = [f"{name} {then[name]} (here {own})" for name, own in here.items() if then.get(name, own) != own]
    if not found:
        return "other weights or files than those that are here, or other versions of what its plugins stand on"
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"other versions than those that are here: {', '.join(found[:_NAMED])}{more}"


def from_dict(data: Mapping[str, Any], *, where: str = "summary.json") -> Summary:
    """Make the summary that `to_dict` wrote.

    Args:
        data: What the JSON file holds.
        where: Names the file in an error.

    Raises:
        DataError: It is not a summary.
    """
    try:
        return TypeAdapter(Summary).validate_python(dict(data))
    except ValidationError as error:
        raise DataError(f"{where} is not a summary: {_first(error)}", hint="was it written by pixcore?") from error


def _first(error: ValidationError) -> str:
    """Where a document is wrong first, and how."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'its top level'}: {first['msg']}"
