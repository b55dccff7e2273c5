"""List the files of a sharded checkpoint, and look at them without opening one."""

from __future__ import annotations

import json
from pathlib import Path

from pixcore.errors import ModelError
from pixcore_checkpoints.headers import read_header

CONSOLIDATED = "consolidated*"
"""Mistral's releases hold their weights once more under this name, in a layout of their own."""


def shards(index: Path) -> set[str]:
    """List the files that a sharded checkpoint's index names, each one in the index's own folder.

    Raises:
        ModelError: It is no index, or names a file elsewhere.
    """
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = {str(Path(name)) for name in names}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        message = f"{index} is no index: its weight_map must name a file for each tensor"
        raise ModelError(message, hint="fetch it again") from error
    for name in sorted(files):
        if Path(name).name != name or "\\" in name or name == "..":
            raise ModelError(f"{index} names {name!r}, which is not a file of its folder", hint="fetch it again")
    return files


def check_files(folder: Path) -> None:
    """Look at a folder's weight files without opening one: what their indexes name, and how long they are.

    Raises:
        ModelError: An index names a file elsewhere, or a file is cut short.
    """
    for index in folder.glob("*.index.json"):
        shards(index)
    for file in sorted(folder.glob("*.safetensors")):
        if not file.match(CONSOLIDATED):
            read_header(file)
