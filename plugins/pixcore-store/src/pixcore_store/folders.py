"""A folder of stage stores: which there are, what they were made from, and what they hold."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixcore.errors import StoreError
from pixcore.stages.store import Row, StageStore

EXCHANGES = "exchanges"
"""The stage under which what paid services answered is kept."""

_PAGE = 500  # rows that are held at once


@dataclass(frozen=True)
class StoreFile:
    """One stage's store in a folder.

    Attributes:
        path: Its file.
        stage: The stage.
        ingredients: What its records are made from.
    """

    path: Path
    stage: str
    ingredients: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> StoreFile:
        """Read what a file says of itself.

        Raises:
            StoreError: It is no stage store, or it is damaged.
        """
        with reading(path) as database:
            documents = database.execute("SELECT document FROM ingredients").fetchall()
            if len(documents) != 1:
                raise ValueError("it does not say what it was made from")
            ingredients = json.loads(documents[0][0])
            return cls(path, str(ingredients.pop("stage")), ingredients)

    def opened(self, folder: Path | None = None) -> StageStore:
        """Open it to be written, or its like in another folder, made where it is not there.

        Raises:
            StoreError: Another version of pixcore made it, or it can't be written.
        """
        store = StageStore(folder or self.path.parent, self.stage, self.ingredients)
        if store.path.name != self.path.name:
            store.close()
            raise StoreError(f"{self.path} was written by another version of pixcore", hint="merge it with that one")
        return store

    def in_memory(self) -> StageStore:
        """Make its like in memory."""
        return StageStore(None, self.stage, self.ingredients)

    def components(self) -> str:
        """Name the components that its records are made from."""
        found = [one for one in self.ingredients.values() if isinstance(one, dict) and "name" in one]
        return ", ".join(str(one["name"]) for one in found)

    def seconds(self) -> float:
        """Add up how long its records took."""
        with reading(self.path) as database:
            return float(database.execute("SELECT total(seconds) FROM spent").fetchone()[0])

    def rows(self) -> Iterator[list[Row]]:
        """Give all records, some hundred at a time."""
        columns = "key, sample_id, body, arrays, checksum"
        for page in self._pages(f"SELECT {columns} FROM records WHERE body IS NOT NULL AND key > ?"):
            yield [Row(*row) for row in page]

    def failures(self) -> Iterator[list[tuple[str, str, str]]]:
        """Give what failed: key, sample and error."""
        yield from self._pages("SELECT key, sample_id, error FROM records WHERE body IS NULL AND key > ?")

    def exchanges(self) -> Iterator[list[tuple[str, str]]]:
        """Give what paid services answered: key and JSON."""
        yield from self._pages("SELECT key, document FROM exchanges WHERE key > ?")

    def _pages(self, query: str) -> Iterator[list[Any]]:
        last = ""
        with reading(self.path) as database:
            while page := database.execute(f"{query} ORDER BY key LIMIT {_PAGE}", (last,)).fetchall():
                yield page
                last = page[-1][0]


def stores_in(folder: Path) -> list[Path]:
    """List the files of stage stores in a folder.

    Raises:
        StoreError: There is none.
    """
    found = sorted(folder.glob("*-*.sqlite"))
    if not found:
        raise StoreError(f"{folder} holds no stage store", hint="name the folder that store: in a config names")
    return found


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store's file to read it; nothing is written, not even what SQLite keeps beside a file.

    Raises:
        StoreError: It is missing or damaged.
    """
    database = None
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=60)
        yield database
    except (sqlite3.Error, ValueError, KeyError) as error:
        hint = "is it whole? move it away and run again: this stage is computed anew"
        raise StoreError(f"can't read the stage store {path}: {error}", hint=hint) from error
    finally:
        if database is not None:
            database.close()
