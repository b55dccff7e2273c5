"""What grows with the work lies in a temporary file, and memory holds a view of it."""

from __future__ import annotations

import io
import pickle
import sqlite3
from array import array
from collections import UserDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any, Generic, NoReturn, TypeVar, cast

from pixcore.errors import StoreError

Kept = TypeVar("Kept")


class Shelf(Generic[Kept]):
    """Names numbered from 0 in the order in which they came, each with an object, in a file that nobody else sees.

    An object that can't be pickled, or whose methods would take a whole benchmark along, stays in memory.
    """

    def __init__(self) -> None:
        self._length, self._held = 0, dict[int, Kept]()
        with on_disk():
            self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._db.executescript(
                "PRAGMA cache_size = -256; PRAGMA journal_mode = OFF;"
                "CREATE TABLE shelf (number INTEGER PRIMARY KEY, name BLOB UNIQUE, thing BLOB)"
            )

    def __len__(self) -> int:
        return self._length

    def add(self, name: str, thing: Kept | None = None) -> bool:
        """Put an object under a name, and say whether the name is new; what stands under a known one stays."""
        packed = None if thing is None else _packed(thing)
        with on_disk():
            row = self._length, name.encode("utf-8", "surrogatepass"), packed
            added = self._db.execute("INSERT INTO shelf VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount
        if added and thing is not None and packed is None:
            self._held[self._length] = thing
        self._length += added
        return bool(added)

    def put(self, thing: Kept) -> int:
        """Put an object behind the others, under its number."""
        self.add(str(self._length), thing)
        return self._length - 1

    def number(self, name: str) -> int:
        """Give a name's number; -1 where it is not there."""
        row = self._found("SELECT number FROM shelf WHERE name = ?", name.encode("utf-8", "surrogatepass"))
        return int(row[0]) if row else -1

    def name(self, number: int) -> str:
        """Give the name that has a number."""
        return str(self._found("SELECT name FROM shelf WHERE number = ?", number)[0], "utf-8", "surrogatepass")

    def thing(self, number: int) -> Kept:
        """Give the object that has a number: a copy, where it could be pickled."""
        if number in self._held:
            return self._held[number]
        return cast(Kept, pickle.loads(self._found("SELECT thing FROM shelf WHERE number = ?", number)[0]))

    def _found(self, query: str, value: Any) -> Any:
        with on_disk():
            return self._db.execute(query, (value,)).fetchone()


class View(Sequence[Kept]):
    """Objects that are read when they are asked for, by their places in what they are read from: eight bytes each."""

    def __init__(self, read: Callable[[int], Kept], places: Iterable[int]) -> None:
        self._read, self.places = read, places if isinstance(places, range) else array("q", places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, at: Any) -> Any:
        return [*map(self._read, self.places[at])] if isinstance(at, slice) else self._read(self.places[at])


class Drawer(UserDict[str, Any]):
    """Objects by name that are read when they are asked for, by their places in what they are read from."""

    def __init__(self, read: Callable[[Any], Any], places: dict[str, Any]) -> None:
        self._read, self.data = read, places

    def __getitem__(self, name: str) -> Any:
        return self._read(self.data[name])


def shelved(rows: Iterable[Mapping[str, Any]]) -> list[Drawer]:
    """Put the objects of several rows on a shelf of their own, and give what reads them one by one."""
    shelf: Shelf[Any] = Shelf()
    return [Drawer(shelf.thing, {name: shelf.put(thing) for name, thing in row.items()}) for row in rows]


@contextmanager
def on_disk() -> Iterator[None]:
    """Turn what is said of a temporary file that can't be written into an error that says what to do."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        hint = "set TMPDIR to a folder with room, then the same command again"
        raise StoreError(f"can't use a temporary file: {error}", hint=hint) from error


def _packed(thing: object) -> memoryview | None:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {MethodType: _refused}
    try:
        pickler.dump(thing)
    except Exception:  # whatever a plugin put into it
        return None
    return buffer.getbuffer()


def _refused(method: MethodType) -> NoReturn:
    raise pickle.PicklingError("its object would be copied with it")
