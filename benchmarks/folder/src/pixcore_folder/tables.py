"""Read a table of samples: CSV, JSON or JSON Lines, as people and their tools write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixcore_datasets.tables import numbered_rows

from pixcore.errors import DataError
from pixcore.files import read_file, read_json

Rows = list[tuple[int, Mapping[str, Any]]]
"""Each row with its number: as a spreadsheet counts in a CSV file (the header is 1), else from 1."""

_HINT = 'expected a list of objects, such as [{"image": "a.png", "expression": "the cat"}]'


def read_rows(path: Path) -> Rows:
    """Read a table, whatever its format.

    Raises:
        DataError: It can't be read, or is damaged.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        document = read_json(path)
        listed = document.get("samples") if isinstance(document, Mapping) else document
        if not isinstance(listed, list):
            raise DataError(f"{path} holds no list of samples", hint=_HINT)
        return [(number, _object(one, f"{path}, row {number}")) for number, one in enumerate(listed, start=1)]
    if suffix in (".jsonl", ".ndjson"):
        return _lines(path)
    return [(number, row) for number, row in numbered_rows(path)]


def _lines(path: Path) -> Rows:
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error
    rows: Rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                one = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, row {number} is not JSON: {error}", hint="one JSON object a line") from error
            rows.append((number, _object(one, f"{path}, row {number}")))
    return rows


def _object(one: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(one, Mapping):
        raise DataError(f"{where} is not an object", hint=_HINT)
    return one
