"""A run is a folder of `run.json`, `summary.json` and what run writers leave there, each file whole or not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pixcore.files import _explained


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
