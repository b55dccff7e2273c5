"""A folder of annotation work: what is to be decided, and each annotator's decisions.

`tasks.json` holds the items and never changes while people work. Each annotator has a journal,
`decisions-NAME.jsonl`, to which every decision is appended and flushed to disk at once; a decision is the item's whole
new state, an undo takes the newest one back. A line that a kill cut short is dropped when the journal is opened again.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pixcore_datasets.coco import Size, union_of
from pixcore_datasets.run_lengths import parse

from pixcore.errors import DataError
from pixcore.files import json_text, read_file, read_json, write_json
from pixcore.masks import RLE, area, empty, union

TASKS = "tasks.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")

Status = Literal["open", "done", "absent", "skipped"]


@dataclass(frozen=True)
class Instance:
    """One candidate mask of an item.

    Attributes:
        id: Unique within its item.
        label: Its class.
        mask: At the image's size.
    """

    id: str
    label: str
    mask: RLE


@dataclass(frozen=True)
class Item:
    """One thing to decide: an image, what is asked about it, and candidate masks.

    Attributes:
        id: Unique in the folder.
        image: The image's path, below the folder or absolute.
        size: (width, height).
        expression: The referring expression as it was parsed.
        question: What it came from, for the annotator to read.
        instances: Masks to keep or drop.
        extra: Carried through to the benchmark: options, answer, categories.
    """

    id: str
    image: str
    size: Size
    expression: str
    question: str = ""
    instances: tuple[Instance, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """What an annotator decided about an item.

    Attributes:
        keep: Ids of the instances that are kept.
        polygons: Drawn ones: [x0, y0, x1, y1, …] each, in pixels of the image.
        expression: Corrected, or as it was.
        status: `done` and `absent` (the object is not there) count; `skipped` is for somebody else.
    """

    keep: tuple[str, ...] = ()
    polygons: tuple[tuple[float, ...], ...] = ()
    expression: str = ""
    status: Status = "open"

    def mask(self, item: Item) -> RLE:
        """The union of what is kept and drawn; empty where the object is absent."""
        if self.status == "absent":
            return empty(item.size)
        kept = [instance.mask for instance in item.instances if instance.id in self.keep]
        drawn = [[list(ring)] for ring in self.polygons]
        return union([*kept, union_of(drawn, item.size, where=f"item {item.id}")], item.size)


def write_tasks(folder: Path, items: Sequence[Item]) -> None:
    """Write a folder's tasks.

    Raises:
        DataError: There are tasks already: decisions refer to them.
    """
    path = folder / TASKS
    if path.exists():
        raise DataError(f"{path} is there already", hint="decisions refer to it: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"items": [asdict(item) for item in items]}, "folder", indent=None)


def read_tasks(folder: Path) -> dict[str, Item]:
    """Read a folder's tasks, by id.

    Raises:
        DataError: There are none, or they are damaged.
    """
    path = folder / TASKS
    if not path.exists():
        raise DataError(f"{folder} holds no {TASKS}", hint="make it with pixcore annotate FOLDER --objects TABLE")
    document = read_json(path)
    items: dict[str, Item] = {}
    try:
        for entry in document["items"]:
            size = (int(entry["size"][0]), int(entry["size"][1]))
            where = f"{path}: item {entry['id']}"
            instances = tuple(
                Instance(str(one["id"]), str(one["label"]), parse(one["mask"], where=where, size=size))
                for one in entry["instances"]
            )
            texts = {key: entry.get(key, "") for key in ("id", "image", "expression", "question")}
            if not all(isinstance(text, str) for text in texts.values()):
                raise TypeError(f"an item has {texts}")
            extra = dict(entry.get("extra") or {})
            json.dumps(extra, allow_nan=False)  # it goes into the benchmark's file as it is
            items[texts["id"]] = Item(**texts, size=size, instances=instances, extra=extra)
    except (KeyError, TypeError, IndexError, ValueError, OverflowError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}", hint="make it again in a new folder") from error
    return items


class Journal:
    """One annotator's decisions, each on the disk as soon as it is made.

    Args:
        folder: The folder of annotation work.
        name: The annotator's name.
        items: The folder's tasks.

    Raises:
        DataError: The name can't be part of a file's name, or the journal is damaged before its last line.
    """

    def __init__(self, folder: Path, name: str, items: Mapping[str, Item]) -> None:
        if not _NAME.fullmatch(name):
            raise DataError(f"{name!r} can't be an annotator's name", hint="letters, digits, dots, hyphens")
        self.path = folder / f"decisions-{name}.jsonl"
        self.items = items
        self._states: dict[str, State] = {}
        self._past: list[tuple[str, State]] = []
        self._lock = threading.Lock()
        self._whole: int | None = None
        self._held = FileLock(self.path.with_suffix(".lock"), thread_local=False)
        self._recover()

    def hold(self) -> None:
        """Keep every other server off this journal until the process ends.

        Raises:
            DataError: One is at work on it.
        """
        try:
            self._held.acquire(blocking=False)
        except Timeout as error:
            raise DataError(
                f"{self.path} is being worked on by another pixcore annotate", hint="end that one, or take another name"
            ) from error

    def release(self) -> None:
        """Let others work on this journal."""
        self._held.release()

    def __getitem__(self, item: str) -> State:
        """The state of an item; an untouched one has its parsed expression and keeps nothing."""
        return self._states.get(item, State(expression=self.items[item].expression))

    @property
    def undoable(self) -> int:
        """How many decisions can be taken back."""
        return len(self._past)

    def decide(self, item: str, state: State) -> None:
        """Write a decision; it is on the disk when this returns."""
        with self._lock:
            self._append({"item": item, "state": asdict(state), "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
            self._apply(item, state)

    def undo(self) -> str | None:
        """Take the newest decision back.

        Returns:
            The item that it was about, or None where there is nothing to undo.
        """
        with self._lock:
            if not self._past:
                return None
            self._append({"undo": True})
            return self._revert()

    def _apply(self, item: str, state: State) -> None:
        self._past.append((item, self[item]))
        self._states[item] = state

    def _revert(self) -> str:
        item, before = self._past.pop()
        self._states[item] = before
        return item

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = (json_text(entry, indent=None) + "\n").encode()
        try:
            with self.path.open("ab") as file:
                if (
                    self._whole is not None
                ):  # what a kill cut short goes with the first new line; reading changes nothing
                    file.truncate(self._whole)
                    self._whole = None
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"can't write {self.path}: {error.strerror}", hint="free some space") from error

    def _recover(self) -> None:
        if not self.path.exists():
            return
        content = read_file(self.path, "journal")
        whole, _, torn = content.rpartition(b"\n")
        if torn:
            self._whole = len(content) - len(torn)
        for number, entry in _entries(whole, self.path):
            if entry.get("undo"):
                if self._past:
                    self._revert()
            elif str(entry.get("item")) in self.items:
                self._apply(str(entry["item"]), _state(entry.get("state"), f"{self.path} line {number}"))
            else:
                raise DataError(
                    f"{self.path} line {number} is about the unknown item {entry.get('item')!r}",
                    hint="a journal belongs to its folder's tasks.json",
                )


def state_from_json(data: Any, item: Item) -> State:
    """Check a state that came from the page.

    Raises:
        DataError: It is no state of this item.
    """
    state = _state(data, f"item {item.id}")
    unknown = set(state.keep) - {instance.id for instance in item.instances}
    if unknown:
        raise DataError(f"item {item.id} has no instance {sorted(unknown)[0]!r}", hint="reload the page")
    width, height = item.size
    clipped = tuple(
        tuple(min(max(value, 0.0), float((width, height)[place % 2])) for place, value in enumerate(ring))
        for ring in state.polygons
    )
    state = replace(state, polygons=clipped, expression=state.expression.strip())
    drawn = state.mask(item)  # a polygon with two points is refused here
    if state.status == "done" and not area(drawn):
        raise DataError(
            f"item {item.id} is done with nothing kept or drawn", hint="keep or draw a mask, or say that it is absent"
        )
    return state


def annotators(folder: Path) -> list[str]:
    """List who has decided something in a folder."""
    return sorted(path.stem.removeprefix("decisions-") for path in folder.glob("decisions-*.jsonl"))


def _entries(content: bytes, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} line {number} is not JSON", hint="mend or delete that line") from error
        if not isinstance(entry, dict):
            raise DataError(f"{path} line {number} is not a decision", hint="mend or delete that line")
        yield number, entry


def _state(data: Any, where: str) -> State:
    try:
        state = State(
            keep=tuple(str(one) for one in data["keep"]),
            polygons=tuple(tuple(float(value) for value in ring) for ring in data["polygons"]),
            expression=str(data["expression"]),
            status=data["status"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} has a damaged state: {error}", hint="reload the page") from error
    if state.status not in ("open", "done", "absent", "skipped"):
        raise DataError(f"{where} has the status {state.status!r}", hint="open, done, absent or skipped")
    return state
