"""A file to which one person's lines are appended, each on the disk before anybody is shown it.

The newest line can be taken back, also after a restart. A line that a kill or a full disk cut short is dropped with the
next one that is written; a last line that is whole counts, though an editor left its end out.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from filelock import FileLock, Timeout

from pixcore.errors import DataError
from pixcore.files import json_text, read_file
from pixcore_annotate.project import Item

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Log(ABC, Generic[Key, Value]):
    """What one person said of a folder's items; the newest about each counts.

    Attributes:
        kind: What its files are called by: KIND-NAME.jsonl.

    Args:
        folder: The folder of annotation work.
        name: The person's name.
        items: The folder's tasks.

    Raises:
        DataError: The name can't be part of a file's name, or the file is damaged before its last line.
    """

    kind: ClassVar[str]

    def __init__(self, folder: Path, name: str, items: Mapping[str, Item]) -> None:
        if not _NAME.fullmatch(name):
            raise DataError(f"{name!r} can't be an annotator's name", hint="letters, digits, dots, hyphens")
        self.name, self.items = name, items
        path = self.path = folder / f"{self.kind}-{name}.jsonl"
        self._said: dict[Key, Value] = {}
        self._past: list[tuple[Key, Value]] = []
        self._lock = threading.Lock()
        self._whole: int | None  # bytes of whole lines, where something stands behind them
        self._open: bytes  # ends the last line, where that has no end
        self._held = FileLock(path.with_suffix(".lock"), thread_local=False)
        self._recover()

    @classmethod
    def writers(cls, folder: Path) -> list[str]:
        """List who has said something in a folder."""
        return sorted(path.stem.removeprefix(f"{cls.kind}-") for path in folder.glob(f"{cls.kind}-*.jsonl"))

    def item_of(self, entry: Mapping[str, Any], where: str) -> Item:
        """Find the item that a line is about.

        Raises:
            DataError: The folder has none of that id.
        """
        name = str(entry.get("item"))
        if name not in self.items:
            raise DataError(
                f"{where} is about the unknown item {entry.get('item')!r}",
                hint="a journal belongs to its folder's tasks.json",
            )
        return self.items[name]

    @abstractmethod
    def untouched(self, key: Key) -> Value:
        """Say what counts where nothing was said."""

    @abstractmethod
    def _written(self, key: Key, value: Value) -> dict[str, Any]:
        """Write a line's own part as JSON has it."""

    @abstractmethod
    def _read(self, entry: Mapping[str, Any], where: str) -> tuple[Key, Value]:
        """Read it again."""

    def __getitem__(self, key: Key) -> Value:
        """What counts about something."""
        return self._said[key] if key in self._said else self.untouched(key)

    @property
    def newest(self) -> Key | None:
        """What the line is about that `undo` would take back; None where there is none."""
        return self._past[-1][0] if self._past else None

    @property
    def length(self) -> int:
        """How many lines count: those that were taken back do not."""
        return len(self._past)

    def hold(self) -> None:
        """Keep every other server off this file until the process ends, and read what the one before wrote meanwhile.

        Raises:
            DataError: One is at work on it.
        """
        try:
            self._held.acquire(blocking=False)
        except Timeout as error:
            raise DataError(
                f"{self.path} is being worked on by another pixcore annotate", hint="end that one, or take another name"
            ) from error
        self._recover()

    def release(self) -> None:
        """Let others work on this file."""
        self._held.release()

    def decide(self, key: Key, value: Value) -> None:
        """Write what is said; it is on the disk when this returns."""
        with self._lock:
            self._append({**self._written(key, value), "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
            self._apply(key, value)

    def undo(self) -> Key | None:
        """Take the newest line back.

        Returns:
            What it was about, or None where there is nothing to undo.
        """
        with self._lock:
            if not self._past:
                return None
            self._append({"undo": True})
            return self._revert()

    def _apply(self, key: Key, value: Value) -> None:
        self._past.append((key, self[key]))
        self._said[key] = value

    def _revert(self) -> Key:
        key, before = self._past.pop()
        self._said[key] = before
        return key

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = self._open + (json_text(entry, indent=None) + "\n").encode()
        try:
            with self.path.open("ab") as file:
                if self._whole is None:
                    self._whole = file.tell()
                else:  # what a kill or a full disk cut short; reading alone changes nothing
                    file.truncate(self._whole)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self._whole, self._open = None, b""
        except OSError as error:
            raise DataError(f"can't write {self.path}: {error.strerror}", hint="free some space") from error

    def _recover(self) -> None:
        self._said.clear()
        self._past.clear()
        self._whole, self._open = None, b""
        if not self.path.exists():
            return
        content = read_file(self.path, "journal")
        whole, _, last = content.rpartition(b"\n")
        if last and _is_whole(last):
            whole, self._open = content, b"\n"
        elif last:
            self._whole = len(content) - len(last)
        for where, entry in _entries(whole, self.path):
            if not entry.get("undo"):
                self._apply(*self._read(entry, where))
            elif self._past:
                self._revert()


def _is_whole(line: bytes) -> bool:
    """Say whether a line was not cut short: no beginning of a JSON object is one."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _entries(content: bytes, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(content.splitlines(), start=1):
        where = f"{path} line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is not JSON", hint="mend or delete that line") from error
        if not isinstance(entry, dict):
            raise DataError(f"{where} is not a decision", hint="mend or delete that line")
        yield where, entry
