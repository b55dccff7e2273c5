"""What `--json` of a command does: its figures as data, in a file or on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from pixcore.files import json_text, write_json


def figures_written(path: Path | None, document: Callable[[], Mapping[str, Any]]) -> bool:
    """Write a command's figures where `--json` says.

    Args:
        path: What was given with it: a file, - for the terminal, or None.
        document: Makes the figures as JSON data, if they are wanted.

    Returns:
        Whether they stand on the terminal, where no table is to stand beside them.
    """
    if path is None:
        return False
    if str(path) == "-":
        click.echo(json_text(document()))
        return True
    write_json(path, document(), "--json")
    return False
