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
_hearing: list[dict[str, list[int]]] = []


@contextmanager
def hearing() -> Iterator[dict[str, list[int]]]:
    """Note the paths of files that are read and folders that are listed, and of each file also its folder.

    Each has its `stamp` from just before it was first read: one that is written meanwhile is known by it.
    """
    _listen()
    heard: dict[str, list[int]] = {}
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
        for one in (path, os.path.dirname(path)) if event == "open" else (path,):
            if one not in heard:
                heard[one] = stamp(one)


def stamp(path: str) -> list[int]:
    """A file's size in bytes and when it was changed, in nanoseconds; of one that is not there or is empty, nothing.

    Of the two times the first is its content's, which who unpacks an archive may set; the second is the system's own.
    """
    try:
        known = os.stat(path)
    except OSError:
        return []
    return [known.st_size, known.st_mtime_ns, known.st_ctime_ns] if known.st_size else []
