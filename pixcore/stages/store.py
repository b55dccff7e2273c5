"""Records that survive: one SQLite file for each stage and everything that can change its records.

The file's name is a hash of its ingredients (component, config, plugin version, weights, seed, the store of the stage
before), which it also holds in plain JSON. Within it a record's key is a hash of the sample's content. Each record is
one transaction: a kill at any instant loses what is just computed alone; readers and a second writer may be at work.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pixcore.errors import StoreError
from pixcore.files import MAKE_ROOM
from pixcore.notices import notice
from pixcore.stages.serialise import Arrays, Entry

_DAMAGED = "move this file away (the later stages' too if the model doesn't repeat itself) and run again"
_HINTS = {"full": MAKE_ROOM, "locked": "another process holds it for long; run again", "decode": _DAMAGED}
_ELSE = "is the folder writable, on a local disk, is there room, and may the process open more files (ulimit -n 9999)?"
_PATIENCE = 60.0  # seconds that another process may hold a store
_FORMAT = 3  # of a record; files of another one are left alone
_LARGE = 4096  # characters of JSON from which a record's is compressed: masks shrink to a third or less
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ingredients (document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY,
    sample_id TEXT NOT NULL,
    body TEXT,
    arrays BLOB,
    checksum BLOB,
    error TEXT,
    finished REAL NOT NULL DEFAULT (julianday('now'))
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exchanges (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (seconds REAL NOT NULL);
"""


class Row(NamedTuple):
    """A record as it is stored, which travels between machines and stores.

    Attributes:
        key: Its key.
        sample_id: The sample that it was made of.
        body: JSON text, compressed where it is long.
        arrays: Its arrays; None where it has none.
        checksum: Of all that, and of the stage's key.
    """

    key: str
    sample_id: str
    body: str | bytes
    arrays: bytes | None
    checksum: bytes


def content_key(value: Any) -> str:
    """Hash JSON data, SHA-256 in hex, the same for equal data in any order of keys."""
    document = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(document.encode()).hexdigest()


class StageStore:
    """The records of one stage.

    Attributes:
        key: Hash of the ingredients; the next stage's ingredients include it.
        path: The SQLite file.
    """

    def __init__(self, root: Path | None, stage: str, ingredients: Mapping[str, Any]) -> None:
        """Open, or create.

        Args:
            root: Folder of all stage stores; None: it is kept in memory.
            stage: The stage's name.
            ingredients: JSON data: everything that can change the records.

        Raises:
            StoreError: The folder or file can't be written, or the file is damaged.
        """
        self.key = content_key({"format": _FORMAT, "stage": stage, "ingredients": ingredients})
        self.path = Path(":memory:") if root is None else root / f"{stage}-{self.key[:20]}.sqlite"
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            self._use_write_ahead_log()
            # with a write-ahead log a killed process loses nothing at NORMAL, a power cut at most the last records
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA cache_size = -128")  # KiB; the system keeps what is read again
            self._db.executescript(_SCHEMA)
            document = json.dumps({"stage": stage, **ingredients}, sort_keys=True, indent=1)
            first = "INSERT INTO ingredients SELECT ? WHERE NOT EXISTS (SELECT 1 FROM ingredients)"
            self._db.execute(first, (document,))
            if self._db.execute("SELECT document FROM ingredients").fetchall() != [(document,)]:
                raise ValueError("it holds the records of another stage")

    def _use_write_ahead_log(self) -> None:
        """Turn the log on; SQLite does not wait for another process that is just doing the same, so this does."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(self, key: str, sample_id: str, entry: Entry) -> None:
        """Keep one record, in one transaction, in place of one under its key; errors as of `packed`, `put_rows`."""
        self._write([self.packed(key, sample_id, entry)])

    def packed(self, key: str, sample_id: str, entry: Entry) -> Row:
        """Make the row that a record is stored as, without storing it.

        Raises:
            TypeError, ValueError, RecursionError: The record's body is not JSON data, holds itself, or has no end.
        """
        # in ASCII, as a model's text may hold half a surrogate pair, which has no UTF-8
        text, arrays = json.dumps(entry.body, separators=(",", ":"), default=_plain), _pack(entry.arrays)
        body: str | bytes = zlib.compress(text.encode("ascii"), level=1) if len(text) > _LARGE else text
        return Row(key, _sayable(sample_id), body, arrays, self._checksum(key, body, arrays))

    def put_rows(self, rows: Sequence[Row]) -> None:
        """Keep records that were packed elsewhere, all in one transaction.

        Raises:
            StoreError: One is not as it was packed, or the file can't be written.
        """
        for row in rows:
            if row.checksum != self._checksum(row.key, row.body, row.arrays):
                said = f"the record {row.key[:12]} of {row.sample_id} did not arrive as it was made"
                raise StoreError(said, hint="a network's or memory's fault, or another stage's; run again")
        self._write(rows)

    def _write(self, rows: Sequence[Row]) -> None:
        query = "INSERT OR REPLACE INTO records (key, sample_id, body, arrays, checksum) VALUES (?, ?, ?, ?, ?)"
        with self._explained():
            if len(rows) > 1:
                self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(query, rows)
            finally:
                if self._db.in_transaction:
                    self._db.execute("COMMIT")  # each is whole, also where a later one could not be written

    def rows(self, keys: Iterable[str]) -> list[Row]:
        """Read records as they are stored, those of the keys that are there."""
        query = "SELECT key, sample_id, body, arrays, checksum FROM records WHERE key = ? AND body IS NOT NULL"
        return [Row(*row) for key in keys for row in self._found(query, key)]

    def clear(self, key: str | None = None) -> None:
        """Forget the record or failure under a key, or all."""
        one = () if key is None else (key,)
        self._found("DELETE FROM records" + " WHERE key = ?" * len(one), *one)

    def _checksum(self, key: str, body: str | bytes, arrays: bytes | None) -> bytes:
        """Of a record as it is stored and of where it belongs: the stage's key and its own."""
        text = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
        whole = b"".join((f"{self.key} {key} {len(text)} ".encode(), text, arrays or b""))
        return hashlib.blake2b(whole, digest_size=16).digest()

    def put_failure(self, key: str, sample_id: str, error: str) -> None:
        """Keep that a sample failed; a failure never replaces a record."""
        query = "INSERT INTO records (key, sample_id, error) VALUES (?, ?, ?)"
        again = " ON CONFLICT (key) DO UPDATE SET error = excluded.error WHERE body IS NULL"
        self._found(query + again, key, _sayable(sample_id), _sayable(error))

    def get(self, key: str) -> Entry | None:
        """Read the record under a key; None where there is none or only a failure.

        Raises:
            StoreError: The file is damaged.
        """
        with self._explained():
            row = self._db.execute("SELECT body, arrays, checksum FROM records WHERE key = ?", (key,)).fetchone()
            if row is None or row[0] is None:
                return None
            if row[2] != self._checksum(key, row[0], row[1]):
                raise ValueError(f"the record {key[:12]} is not as it was written")
            return Entry(json.loads(zlib.decompress(row[0]) if isinstance(row[0], bytes) else row[0]), _unpack(row[1]))

    def failure(self, key: str) -> str | None:
        """Read what went wrong with a sample; None if nothing did."""
        return next((error for (error,) in self._found("SELECT error FROM records WHERE key = ?", key)), None)

    def has(self, key: str) -> bool:
        """Say whether there is a record under a key, no failure."""
        return bool(self._found("SELECT 1 FROM records WHERE key = ? AND body IS NOT NULL", key))

    def spend(self, seconds: float) -> None:
        """Note how long a command has computed records."""
        self._found("INSERT INTO spent VALUES (?)", seconds)

    @property
    def seconds(self) -> float:
        """Add up how long all commands, on all machines, have computed these records."""
        return float(self._found("SELECT total(seconds) FROM spent")[0][0])

    def recall(self, key: str) -> Any:
        """Read what was remembered under a key; None where nothing was, or where it is damaged, which is told."""
        for (document,) in self._found("SELECT CAST(document AS BLOB) FROM exchanges WHERE key = ?", key):
            with suppress(ValueError):
                return self.remembered(key, document)
            notice(f"{self.path}: what was remembered under {key[:12]} is not as it was written; it is asked for anew")

    def remembered(self, key: str, document: bytes) -> Any:
        """Read what is kept under a key; a ValueError where it is not as it was written."""
        text, _, checksum = document.partition(b"\n")
        if checksum not in (b"", self._checksum(key, text, None).hex().encode()):  # once there was none
            raise ValueError("its checksum is another")
        return json.loads(text)

    def remember(self, key: str, value: Any) -> None:
        """Keep JSON data beside the records, at once: one exchange with a paid service, say."""
        text = json.dumps(value)
        checksum = self._checksum(key, text, None).hex()
        self._found("INSERT OR REPLACE INTO exchanges VALUES (?, ?)", key, f"{text}\n{checksum}")

    def _found(self, query: str, *values: Any) -> list[Any]:
        with self._explained():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into an error that says what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = next((hint for word, hint in _HINTS.items() if word in str(error)), _ELSE)
            raise StoreError(f"can't use the stage store {self.path}: {error}", hint=hint) from error
        except (sqlite3.DatabaseError, zlib.error, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the stage store {self.path} is damaged: {error}", hint=_DAMAGED) from error
        except OSError as error:
            hint = "choose another folder with store:"
            raise StoreError(f"can't use the stage store {self.path}: {error.strerror or error}", hint=hint) from error


def _sayable(text: str) -> str:
    """A text as SQLite can hold it: half a surrogate pair, which has no UTF-8, as its escape."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    """NumPy's numbers, which a plugin easily leaves in a record."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} is not JSON data")


def _pack(arrays: Arrays) -> bytes | None:
    """A line of JSON with names, dtypes and shapes, then all bytes, compressed; NumPy's own archives open slowly."""
    if not arrays:
        return None
    heads = [[name, values.dtype.str, list(values.shape)] for name, values in arrays.items()]
    pieces = [json.dumps(heads).encode("ascii"), b"\n", *(values.tobytes() for values in arrays.values())]
    return zlib.compress(b"".join(pieces), level=6)


def _unpack(blob: bytes | None) -> Arrays:
    if blob is None:
        return {}
    head, _, data = zlib.decompress(blob).partition(b"\n")
    arrays, place = {}, 0
    for name, dtype, shape in json.loads(head):
        arrays[name] = np.frombuffer(data, np.dtype(dtype), math.prod(shape), place).reshape(shape).copy()
        place += arrays[name].nbytes
    return arrays
