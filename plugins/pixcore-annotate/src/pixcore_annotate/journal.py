"""What one annotator decided: `decisions-NAME.jsonl`, a line for each decision, which is the item's whole new state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from pixcore_datasets.run_lengths import parse

from pixcore.errors import DataError
from pixcore.masks import RLE, area
from pixcore_annotate.log import Log
from pixcore_annotate.project import Item, State


class Journal(Log[str, State]):
    """One annotator's decisions, by item."""

    kind = "decisions"

    def untouched(self, key: str) -> State:
        """An untouched item has its parsed expression and keeps nothing."""
        return State(expression=self.items[key].expression)

    def _written(self, key: str, value: State) -> dict[str, Any]:
        return {"item": key, "state": asdict(value)}

    def _read(self, entry: Mapping[str, Any], where: str) -> tuple[str, State]:
        item = self.item_of(entry, where)
        return item.id, read_state(entry.get("state"), item, where)


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
