"""Read small CSV files as people keep them: with a byte-order mark, stray spaces in the header, the wrong encoding."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixcore.errors import DataError, nearest
from pixcore.files import read_file

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NAMED = re.compile(r'"?sep=(?P<one>[^\w\s"]|\t)"?\s*?(?:[\r\n]|\Z)', re.IGNORECASE)
_END = "\x1e"  # a row that comes last: a quote that is left open swallows it


def read_table(path: Path, columns: Sequence[str], *, aliases: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Read a CSV file.

    Args:
        path: The file.
        columns: What it must have; header names are stripped.
        aliases: Other names that a header may use, and what they stand for.

    Returns:
        Its rows; values are as they stand in the file, spaces included.

    Raises:
        DataError: It can't be read, is not UTF-8, lacks a column, has one twice, a row's fields do not match the
            header's, or a quote is never closed: all rows after it would be one field.
    """
    return [row for _, row in numbered_rows(path, columns, aliases=aliases)]


def numbered_rows(
    path: Path, columns: Sequence[str] = (), *, aliases: Mapping[str, str] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file as `read_table`, each row with its number as a spreadsheet counts: the header is row 1.

    Fields are separated by commas, semicolons or tabs: by whichever the header has most of, or by what a first line as
    "sep=;" names, which Excel writes and reads. The header is the first row after it that is not empty.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error
    csv.field_size_limit(max(len(text), csv.field_size_limit()))  # an outline may be one long field
    named = _NAMED.match(text)
    try:
        lines, delimiter = io.StringIO(f"{text}\n{_END}", newline=""), named["one"] if named else _delimiter(text)
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}", hint="is it damaged?") from error
    if rows.pop() != [_END]:
        raise DataError(
            f"{path} row {len(rows) + 1} has a quote that is never closed", hint='close it, or write "" for a quote'
        )
    filled = [(number, row) for number, row in enumerate(rows, start=1) if any(field.strip() for field in row)]
    filled = filled[1:] if named else filled
    if not filled:
        raise DataError(f"{path} is empty", hint=f"expected the columns {', '.join(columns)}")
    names = [name.strip() for name in filled[0][1]]
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise DataError(f"{path} has two columns {twice[0]!r}", hint="rename or drop one")
    header = [(aliases or {}).get(name, name) for name in names]
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise DataError(
            f"{path} has no column {lacking[0]!r}", hint=nearest(lacking[0], [name for name in header if name])
        )
    found = []
    for number, row in filled[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{path} row {number} has {len(row)} fields, its header {len(header)}",
                hint=f"quote a field with {_SEPARATORS.get(delimiter, delimiter)} in it; the first row is the header",
            )
        found.append((number, dict(zip(header, row, strict=True))))
    return found


def _delimiter(text: str) -> str:
    outside = re.sub(r'"[^"]*"', "_", text)  # of quotes
    lines = (line for line in io.StringIO(outside, newline="") if line.strip(" \t\r\n,;"))
    return max(_SEPARATORS, key=next(lines, "").count)  # of equals the first
