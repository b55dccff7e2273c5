"""Unite stores that were made apart; where two have other records under one key, that is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixcore.errors import StoreError
from pixcore.stages.serialise import Entry
from pixcore.stages.store import Row, StageStore
from pixcore_store.folders import StoreFile, stores_in


@dataclass
class Merged:
    """What came of a merge.

    Attributes:
        records: Records that were new.
        same: Records that were there already.
        failures: Failures that were new; a record always stands in place of one.
        exchanges: Answers of paid services that were new.
        conflicts: The file and the sample of each record that differs from one under the same key; the first stays.
    """

    records: int = 0
    same: int = 0
    failures: int = 0
    exchanges: int = 0
    conflicts: list[tuple[Path, str]] = field(default_factory=list)


def merge(sources: list[Path], target: Path, tell: Callable[[str], None]) -> Merged:
    """Put the records of several folders of stores into one, which may hold some already.

    Args:
        sources: Folders; they are only read.
        target: The folder; made where it is not there.
        tell: Hears of each file.

    Raises:
        StoreError: A file is damaged, or of another version.
    """
    merged = Merged()
    files = [StoreFile.read(path) for source in sources for path in stores_in(source)]  # all, before any is merged
    for file in files:
        store = file.opened(target)
        try:
            before = merged.records
            _merge_one(file, store, merged)
            for seconds in (file.spent() - replace(file, path=store.path).spent()).elements():
                store.spend(seconds)
            tell(f"{file.path}: {merged.records - before} new records")
        finally:
            store.close()
    return merged


def _merge_one(file: StoreFile, store: StageStore, merged: Merged) -> None:
    for rows in file.rows():
        there = {row.key: row for row in store.rows(row.key for row in rows)}
        new = [row for row in rows if row.key not in there]
        _put(file, store, new)
        merged.records += len(new)
        for row in rows:
            if row.key in there:
                same = row == there[row.key] or _same(file, store, row)
                merged.same += same
                if not same:
                    merged.conflicts.append((file.path, row.sample_id))
    for failures in file.failures():
        for key, sample, error in failures:
            if not store.has(key) and store.failure(key) is None:
                store.put_failure(key, sample, error)
                merged.failures += 1
    for exchanges in file.exchanges():
        for key, given in exchanges:
            known = store.recall(key)
            if known is None:
                store.remember(key, given)
                merged.exchanges += 1
            elif _said(known) != _said(given):
                merged.conflicts.append((file.path, f"exchange {key[:12]}"))


def _said(exchange: Mapping[str, Any]) -> dict[str, Any]:
    """What a service said, without when and how often it was asked."""
    return {key: value for key, value in exchange.items() if key not in ("asked", "attempts")}


def _put(file: StoreFile, store: StageStore, rows: list[Row]) -> None:
    try:
        store.put_rows(rows)
    except StoreError:
        _in_memory(file, rows)  # it may not be the target's fault
        raise


def _in_memory(file: StoreFile, rows: list[Row]) -> StageStore:
    """Put a source's records into a store in memory, which takes none that is damaged."""
    beside = file.in_memory()
    try:
        beside.put_rows(rows)
    except StoreError as error:
        hint = f"move it away and merge the rest: pixcore store check {file.path.parent} tells which are damaged"
        raise StoreError(f"{file.path}: {error.message}", hint=hint) from error
    return beside


def _same(file: StoreFile, store: StageStore, row: Row) -> bool:
    """Whether a record is the one that is there, packed by another version of a library; neither may be damaged."""
    beside = _in_memory(file, [row])
    there, given = store.get(row.key), beside.get(row.key)
    return there is not None and given is not None and _alike(there, given)


def _alike(one: Entry, other: Entry) -> bool:
    if one.body != other.body or one.arrays.keys() != other.arrays.keys():
        return False
    return all(_equal(values, other.arrays[name]) for name, values in one.arrays.items())


def _equal(one: Any, other: Any) -> bool:
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())
