"""Which files are read while something is done, as Python itself tells: what is opened, listed or looked for.

Libraries that read by themselves, as pyarrow and SQLite do, tell nothing; imports are left out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

LOOKED_FOR = "pixcore.looked_for"
"""What a benchmark says (`sys.audit`) where it asks whether a file or folder is there, and reads another if not."""

_EVENTS = {"open", "os.listdir", "os.scandir", LOOKED_FOR}
_hearing: list[set[str]] = []


@contextmanager
def hearing() -> Iterator[set[str]]:
    """Fill a set with the paths of files that are read and folders that are listed; of each file also its folder."""
    _listen()
    heard: set[str] = set()
    _hearing.append(heard)
    try:
        yield heard
    finally:
        _hearing.remove(heard)


@cache
def _listen() -> None:
    sys.addaudithook(_told)  # it stays until the process ends


def _told(event: str, arguments: tuple[Any, ...]) -> None:
    if not _hearing or event not in _EVENTS or "importlib" in sys._getframe(1).f_code.co_filename:
        return
    place = "." if arguments[0] is None else arguments[0]
    written = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if written or not isinstance(place, (str, bytes, os.PathLike)):
        return
    path = os.path.abspath(os.fsdecode(place))
    for heard in _hearing:
        heard |= {path, os.path.dirname(path)} if event == "open" else {path}
