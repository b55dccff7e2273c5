"""What one annotator decided: `decisions-NAME.jsonl`, a line for each decision, which is the item's whole new state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pixcore_datasets.run_lengths import parse

from pixcore.errors import DataError
from pixcore.masks import RLE, area
from pixcore_annotate.log import Log
from pixcore_annotate.project import Item, State

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")


class Journal(Log[str, State]):
    """One annotator's decisions, by item.

    Args:
        folder: The folder of annotation work.
        name: The annotator's name.
        items: The folder's tasks.

    Raises:
        DataError: The name can't be part of a file's name, or the journal is damaged before its last line.
    """

    def __init__(self, folder: Path, name: str, items: Mapping[str, Item]) -> None:
        self.name, self.items = check_name(name), items
        super().__init__(folder / f"decisions-{name}.jsonl")

    def untouched(self, key: str) -> State:
        """An untouched item has its parsed expression and keeps nothing."""
        return State(expression=self.items[key].expression)

    def _written(self, key: str, value: State) -> dict[str, Any]:
        return {"item": key, "state": asdict(value)}

    def _read(self, entry: Mapping[str, Any], where: str) -> tuple[str, State]:
        item = item_of(entry, self.items, where)
        return item.id, read_state(entry.get("state"), item, where)


def check_name(name: str) -> str:
    """Refuse a name that can't be part of a file's name.

    Raises:
        DataError: It can't.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"{name!r} can't be an annotator's name", hint="letters, digits, dots, hyphens")
    return name


def annotators(folder: Path) -> list[str]:
    """List who has decided something in a folder."""
    return sorted(path.stem.removeprefix("decisions-") for path in folder.glob("decisions-*.jsonl"))


def item_of(entry: Mapping[str, Any], items: Mapping[str, Item], where: str) -> Item:
    """Find the item that a line is about.

    Raises:
        DataError: The folder has none of that id.
    """
    name = str(entry.get("item"))
    if name not in items:
        raise DataError(
            f"{where} is about the unknown item {entry.get('item')!r}",
            hint="a journal belongs to its folder's tasks.json",
        )
    return items[name]


def read_state(data: Any, item: Item, where: str) -> State:
    """Read a state of an item as JSON has it.

    Raises:
        DataError: It is none.
    """
    try:
        state = State(
            keep=tuple(str(one) for one in data["keep"]),
            polygons=tuple(tuple(float(value) for value in ring) for ring in data["polygons"]),
            expression=str(data["expression"]),
            status=data["status"],
            painted=_pixels(data.get("painted"), item, f"{where}: what is painted"),
            erased=_pixels(data.get("erased"), item, f"{where}: what is erased"),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DataError(f"{where} has a damaged state: {error}", hint="reload the page") from error
    if state.status not in ("open", "done", "absent", "skipped"):
        raise DataError(f"{where} has the status {state.status!r}", hint="open, done, absent or skipped")
    return state


def state_from_json(data: Any, item: Item) -> State:
    """Check a state that came from the page.

    Raises:
        DataError: It is no state of this item.
    """
    state = read_state(data, item, f"item {item.id}")
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


def _pixels(value: Any, item: Item, where: str) -> RLE | None:
    return None if value is None else parse(value, where=where, size=item.size)
