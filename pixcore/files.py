"""Files written whole or not at all, and read with an error that says what to do."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from pixcore.errors import DataError, StoreError

RUN, SUMMARY, PREDICTIONS = "run.json", "summary.json", "predictions.jsonl"
"""The files of a run's folder."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a disk, a quota or the largest file it allows is full."""
MAKE_ROOM = "free some space, then the same command again"

STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks that turn the direction of writing, halves of surrogate pairs."""

_HOST = re.sub(r"[^\w-]+", "-", os.uname().nodename)[:40] if hasattr(os, "uname") else "host"
_HALF_WRITTEN = re.compile(r"\..+\.(?P<process>[0-9]{1,20})(\.(?P<host>[\w-]+))?\.part")

Located = TypeVar("Located")


@contextmanager
def written_beside(path: Path, given: str = "output:") -> Iterator[Path]:
    """Give the path to write a file to, which takes its place only when it is whole; of a pipe or device, its own.

    Args:
        path: The file.
        given: The key or option that named it or its folder, for the hint of an error.

    Raises:
        StoreError: It can't be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{_HOST}.part")
    with can_be_written(path, given):
        if path.exists() and (path.parent == Path("/dev") or not (path.is_file() or path.is_dir())):
            yield path  # a pipe or a device is written into, never replaced
            return
        _clear_what_the_killed_left(path.parent)
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@cache  # once in a process: a folder of many files takes its time to list
def _clear_what_the_killed_left(folder: Path) -> None:
    """Remove the half-written files of this machine's processes that are no more."""
    for left in folder.glob(".*.part"):
        found = _HALF_WRITTEN.fullmatch(left.name)
        if found and found["host"] in (None, _HOST) and not is_alive(int(found["process"])):
            left.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Say whether a process may be running; where the system can't be asked without harm, it may."""
    try:
        if os.name == "posix":
            os.kill(process, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)
    return True


@contextmanager
def replacing(
    path: Path, given: str = "output:", *, errors: str = "backslashreplace", newline: str | None = None
) -> Iterator[IO[str]]:
    """Write a text file that takes its place only when it is whole; `errors` and `newline` as of `open`.

    What UTF-8 can't say, half of a surrogate pair, is written as its escape.
    """
    with (
        written_beside(path, given) as beside,
        beside.open("w", encoding="utf-8", errors=errors, newline=newline) as file,
    ):
        yield file


def write_json(path: Path, document: Mapping[str, Any], given: str = "output:", indent: int | None = 1) -> None:
    """Write a JSON file, whole or not at all, on one line where `indent` is None; as `replacing`."""
    with replacing(path, given) as file:
        file.write(json_text(document, indent) + "\n")


def json_text(document: Mapping[str, Any], indent: int | None = 1) -> str:
    """Write a document as JSON, in which what would steer a terminal that shows it stands as an escape."""
    return STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(document, indent=indent, ensure_ascii=False))


def printable(text: str) -> str:
    r"""Write everything in a text that would steer a terminal as its escape; line ends and tabs stay.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return STEERS.sub(lambda found: ascii(found[0])[1:-1], text)


def open_file(path: Path, what: str = "file", hint: str = "check the path", buffer: int = -1) -> BinaryIO:
    """Open a file of a user's, or raise a DataError; a named pipe or a device, which may never end, is refused.

    Args:
        path: The file.
        what: What an error calls it.
        hint: What to do where it can't be read.
        buffer: How many bytes are read at once; -1 leaves it to Python.
    """
    with can_be_read(path, what, hint):
        # not blocking: a pipe that nobody writes to would keep us here before we know what it is
        file = open(path, "rb", buffer, opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        raise DataError(f"can't read {what} {path}: it is a pipe or a device", hint="give an ordinary file")


def read_file(path: Path, what: str = "file", hint: str = "check the path") -> bytes:
    """Read a file of a user's, as `open_file` opens it."""
    with can_be_read(path, what, hint), open_file(path, what, hint) as file:
        return file.read()


@contextmanager
def can_be_read(path: Path, what: str = "file", hint: str = "check the path") -> Iterator[None]:
    """Turn what the system says while a file is opened or read into a DataError that names it."""
    try:
        yield
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"can't read {what} {path}: {said}", hint=hint) from error


def read_json(path: Path, hint: str = "is the file whole?") -> Any:
    """Read a JSON file; a DataError where it can't be read, is not UTF-8, or not JSON."""
    try:
        return json.loads(read_file(path, hint=hint).decode("utf-8-sig"))
    except RecursionError as error:
        raise DataError(f"{path} is nested too deeply", hint=hint) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}", hint=hint) from error


def read_object(path: Path, hint: str = "is it a run's folder? run it again: records are kept") -> dict[str, Any]:
    """Read a JSON file that holds an object, such as a run's; a DataError as of `read_json` where it does not."""
    document = read_json(path, hint)
    if not isinstance(document, dict):
        raise DataError(f"{path} holds no JSON object", hint=hint)
    return document


@contextmanager
def can_be_written(path: Path, given: str = "output:") -> Iterator[None]:
    """Turn what the system says while a file is written into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        hint = MAKE_ROOM if error.errno in NO_ROOM else f"choose another {given}"
        raise StoreError(f"can't write {path}: {error.strerror or error}", hint=hint) from error


def prepare(folder: Path, given: str = "output:") -> None:
    """Make a run's folder before anything is computed; errors name the key or option that `given` it.

    Raises:
        StoreError: It can't be written.
    """
    import tempfile  # it takes longer to import than all else here

    with can_be_written(folder, given):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def at_home(value: Located) -> Located:
    """Put a home in place of `~`, another's `~name`, `$HOME` or `${HOME}` where a path begins; anything else stays."""
    if isinstance(value, Path) and "\0" in str(value):
        raise ValueError("a path holds no NUL")
    if isinstance(value, (str, Path)) and str(value).startswith(("~", "$")):
        return type(value)(os.path.expanduser(re.sub(r"^\$(HOME|\{HOME\})(?=/|$)", "~", str(value))))
    return value
