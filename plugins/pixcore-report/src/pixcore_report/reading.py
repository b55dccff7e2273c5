"""Read what a run left in its folder: its records, and its summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pixcore.config import resolve
from pixcore.errors import DataError
from pixcore.figures.rows import Summary
from pixcore.files import RUN, read_object
from pixcore.plugins import Registry
from pixcore.runs.plan import Run, Scope


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
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "its top level"
        raise DataError(
            f"{where} is not a summary: {place}: {first['msg']}", hint="was it written by pixcore?"
        ) from error
