"""A folder of annotation work: what is to be decided (`tasks.json`, which never changes while people work)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pixcore_datasets.coco import Size, union_of
from pixcore_datasets.run_lengths import parse

from pixcore.errors import DataError
from pixcore.files import prepare, read_json, read_object, write_json
from pixcore.masks import RLE, decode, empty, encode, union

TASKS = "tasks.json"

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
        painted: What the brush and accepted clicks added; None: nothing.
        erased: What the eraser took away, of whatever lay there; None: nothing.
        expression: Corrected, or as it was.
        status: `done` and `absent` (the object is not there) count; `skipped` is for somebody else.
    """

    keep: tuple[str, ...] = ()
    polygons: tuple[tuple[float, ...], ...] = ()
    expression: str = ""
    status: Status = "open"
    painted: RLE | None = None
    erased: RLE | None = None

    def mask(self, item: Item) -> RLE:
        """The union of what is kept, drawn and painted, without what was erased; empty where the object is absent."""
        if self.status == "absent":
            return empty(item.size)
        there = [instance.mask for instance in item.instances if instance.id in self.keep]
        there.append(union_of([[list(ring)] for ring in self.polygons], item.size, where=f"item {item.id}"))
        if self.painted is not None:
            there.append(self.painted)
        whole = union(there, item.size)
        return whole if self.erased is None else encode(decode(whole) & ~decode(self.erased))


def check_free(folder: Path) -> None:
    """Refuse a folder that has tasks already: decisions refer to them.

    Raises:
        DataError: It has.
    """
    path = folder / TASKS
    if path.exists():
        hint = "leave --objects and --instances out to go on with it, or choose another folder"
        raise DataError(f"{path} is there already, and decisions refer to it", hint=hint)


def write_tasks(folder: Path, items: Sequence[Item]) -> None:
    """Write a folder's tasks; errors as of `check_free`."""
    check_free(folder)
    prepare(folder, "folder")
    write_json(folder / TASKS, {"items": [asdict(item) for item in items]}, "folder", indent=None)


def check_own(path: Path, made: Mapping[str, str]) -> None:
    """Refuse to replace a benchmark's file that somebody else made: what it says may be nowhere else.

    Args:
        path: The file.
        made: What "info" in it says where the same work made it.

    Raises:
        DataError: It is there, and says otherwise.
    """
    hint = "choose another folder, or move it away"
    if path.exists() and read_object(path, hint).get("info") != made:
        raise DataError(f"{path} is there already, and was not made from this", hint=hint)


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
