"""Keep the lines of a table in a temporary file until its columns are known: memory holds the columns alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pixcore.files import can_be_written
from pixcore.runs.plan import Run
from pixcore_export.base import GIVEN, sayable
from pixcore_export.tables import TABLES, lines_of


class Spool:
    """Lines of one table, read once they are all there.

    Args:
        folder: Where the temporary file lies.
        columns: Those that the table has whatever its lines hold.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._file = tempfile.TemporaryFile("w+", dir=folder, encoding="ascii")  # noqa: SIM115
        self._kinds: dict[str, set[type]] = {name: set() for name in columns}

    @property
    def columns(self) -> dict[str, type]:
        """The columns with what all their values are: bool, int, float, or else str."""
        return {name: _common(kinds) for name, kinds in self._kinds.items()}

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line; a column that it lacks is empty in it."""
        for name, value in line.items():
            kinds = self._kinds.setdefault(name, set())
            if value is not None:
                kinds.add(type(value))
        self._file.write(json.dumps(line) + "\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Give the lines with every column, each value of its column's kind or None."""
        columns = self.columns
        self._file.seek(0)
        for text in self._file:
            line = json.loads(text)
            yield {name: _as(kind, line.get(name)) for name, kind in columns.items()}

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def _common(kinds: set[type]) -> type:
    if len(kinds) == 1:
        return next(iter(kinds))
    return float if kinds == {int, float} else str


def _as(kind: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else sayable(kind(value))


@contextmanager
def spooled(job: Run, folder: Path) -> Iterator[dict[str, Spool]]:
    """Read a run's results once, and give its tables by name."""
    with can_be_written(folder, GIVEN), ExitStack() as stack:  # what is left is written when a table is closed
        tables = {name: Spool(folder, columns) for name, columns in TABLES.items()}
        for table in tables.values():
            stack.callback(table.close)
        for result in job.results():
            for name, line in lines_of(result, job.rows):
                tables[name].add(line)
        yield tables
