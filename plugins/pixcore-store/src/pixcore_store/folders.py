"""A folder of stage stores: which there are, what they were made from, and what they hold."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
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
            if not isinstance(ingredients, dict):
                raise ValueError("what it was made from is no object")
            return cls(path, str(ingredients.pop("stage")), ingredients)

    def opened(self, folder: Path | None = None) -> StageStore:
        """Open it to be written, or its like in another folder, made where it is not there.

        Raises:
            StoreError: Another version of pixcore made it, or it can't be written.
        """
        self.check_version()  # before a file is made
        return StageStore(folder or self.path.parent, self.stage, self.ingredients)

    def check_version(self) -> None:
        """Refuse a file that this version would name otherwise: its records' checksums are others, too.

        Raises:
            StoreError: Another version of pixcore made it, or it was renamed.
        """
        own = f"{self.stage}-{self.in_memory().key[:20]}.sqlite"
        if self.path.name != own:
            said = f"{self.path} was written by another version of pixcore, or renamed"
            raise StoreError(said, hint=f"take that version; this one would call it {own}")

    def in_memory(self) -> StageStore:
        """Make its like in memory."""
        return StageStore(None, self.stage, self.ingredients)

    def components(self) -> str:
        """Name the components that its records are made from."""
        found = [one for one in self.ingredients.values() if isinstance(one, dict) and "name" in one]
        return ", ".join(str(one["name"]) for one in found)

    def spent(self) -> Counter[float]:
        """Give how long each command computed that made its records, in seconds, by which it is known again."""
        with reading(self.path) as database:
            return Counter(float(seconds) for (seconds,) in database.execute("SELECT seconds FROM spent"))

    def rows(self) -> Iterator[list[Row]]:
        """Give all records, some hundred at a time."""
        columns = "key, sample_id, body, arrays, checksum"
        yield from self._pages(f"SELECT {columns} FROM records WHERE body IS NOT NULL AND key > ?", _row)

    def failures(self) -> Iterator[list[tuple[str, str, str]]]:
        """Give what failed: key, sample and error."""
        yield from self._pages("SELECT key, sample_id, error FROM records WHERE body IS NULL AND key > ?", _as_it_is)

    def exchanges(self) -> Iterator[list[tuple[str, Any]]]:
        """Give what paid services answered: key and JSON data.

        Raises:
            StoreError: One is not as it was written.
        """
        as_written = self.in_memory().remembered

        def exchange(key: str, document: bytes) -> tuple[str, Any]:
            try:
                return key, as_written(key, document)
            except ValueError as error:
                said = f"{self.path}: what was remembered under {key[:12]} is not as it was written"
                hint = "a run with this store asks for that answer anew, and for no other"
                raise StoreError(said, hint=hint) from error

        yield from self._pages("SELECT key, CAST(document AS BLOB) FROM exchanges WHERE key > ?", exchange)

    def _pages(self, query: str, made: Callable[..., Any]) -> Iterator[list[Any]]:
        last = ""
        with reading(self.path) as database:
            while page := database.execute(f"{query} ORDER BY key LIMIT {_PAGE}", (last,)).fetchall():
                yield [made(*row) for row in page]
                last = page[-1][0]


def _row(*values: Any) -> Row:
    kinds = str, str, str | bytes, bytes | None, bytes
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
        raise ValueError(f"the record {values[0]!s:.12} holds what no record does")
    return Row(*values)


def _as_it_is(*values: Any) -> tuple[Any, ...]:
    return values


def stores_in(folder: Path) -> list[Path]:
    """List the files of stage stores in a folder.

    Raises:
        StoreError: There is none.
    """
    found = sorted(folder.glob("*-*.sqlite"))
    if not found:
        raise StoreError(f"{folder} holds no stage store", hint="name the folder that store: in a config names")
    return found


def found_below(folder: Path, *names: str) -> Iterator[Path]:
    """Find the files of some names below a folder, also behind links, each folder's once.

    Raises:
        StoreError: It, or a folder in it, can't be listed.
    """

    def refuse(error: OSError) -> None:
        hint = "what lies there may need a store; is the folder there and readable?"
        raise StoreError(f"can't look into {error.filename}: {error.strerror}", hint=hint) from error

    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        known = {os.path.realpath(os.path.join(place, name)): name for name in folders}
        folders[:] = [name for path, name in known.items() if path not in seen]  # links may lead in a circle
        seen.update(known)
        yield from (Path(place, name) for name in names if name in files)


def files_of(path: Path) -> list[Path]:
    """List a store's file and those that SQLite keeps beside it."""
    named = (path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm", "-journal"))
    return [one for one in named if one.exists()]


def in_use(path: Path) -> bool:
    """Tell whether a process, such as a run that goes on, has a store's file open.

    Raises:
        StoreError: The file can't be asked.
    """
    try:
        with closing(sqlite3.connect(path, timeout=0)) as database:
            # to have it alone is refused while another connection is there; nothing is written, so that a full disk
            # can be cleared
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return True
        raise StoreError(f"can't remove {path}: {error}", hint="is the folder writable?") from error
    except sqlite3.DatabaseError:  # it is damaged: nobody works on it
        return False
    return False


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store's file to read it; nothing in it is changed, and a folder that can't be written is left as it is.

    Raises:
        StoreError: It is missing or damaged.
    """
    database = None
    log = path.with_name(f"{path.name}-wal")
    alone = not log.exists() and not os.access(
        path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids
    )
    try:
        # SQLite keeps files beside one that others may write; where none can be made it is told that nobody does
        words = "mode=ro&immutable=1" if alone else "mode=ro"
        database = sqlite3.connect(f"{path.absolute().as_uri()}?{words}", uri=True, timeout=60)
        yield database
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        hint = "is it whole? move it away and run again: this stage is computed anew"
        raise StoreError(f"can't read the stage store {path}: {error}", hint=hint) from error
    finally:
        if database is not None:
            database.close()
