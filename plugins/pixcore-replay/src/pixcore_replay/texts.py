"""Read the answers that an earlier run, or another tool, has written: of which sample, under which probing.

Known are pixcore's predictions.jsonl, lmms-eval's samples_*.jsonl (`doc_id`, `filtered_resps`) and VLMEvalKit's tables
(`index`, `prediction`) as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixcore_datasets.tables import numbered_rows

from pixcore.errors import DataError
from pixcore.files import read_file

_IDS = ("sample_id", "doc_id", "index")
_TEXTS = ("text", "filtered_resps", "prediction")
_FORMATS = "a run's predictions.jsonl, lmms-eval's samples_*.jsonl, or VLMEvalKit's table as .tsv, .csv or .json"

Texts = dict[tuple[str, str], str]
"""What was said, by the sample's id and the probing."""


def read_texts(
    path: Path, *, probing: str | None = None, id_field: str | None = None, text_field: str | None = None
) -> Texts:
    """Read a file's texts by (sample, probing).

    Args:
        path: The file.
        probing: Under which probing they are, where the file does not say.
        id_field: Which field has the sample's id; None: the one that a known format has.
        text_field: Which field has the text, likewise.

    Raises:
        DataError: It is none of the formats, holds no text, or has two texts for one sample and probing.
    """
    found: Texts = {}
    for where, row in _rows(path):
        if row.get("error") and not row.get("text"):
            continue  # a sample of an earlier run that failed
        under = row.get("protocol", probing)
        if not isinstance(under, str):
            raise DataError(f"{where} does not say under which probing", hint="say it: probing: question")
        key = str(_field(row, id_field, _IDS, "id_field", where)), under
        if key in found:
            raise DataError(f"{where} has a second text for {key[0]!r} ({under})", hint="one text for each")
        found[key] = _text(_field(row, text_field, _TEXTS, "text_field", where), where)
    if not found:
        raise DataError(f"{path.name} holds no texts", hint=f"expected {_FORMATS}")
    return found


def _field(row: Mapping[str, Any], given: str | None, known: Sequence[str], option: str, where: str) -> Any:
    if given is None:
        given = next((name for name in known if name in row), None)
    value: Any = row if given is not None else None
    for name in [given] if given in row else (given or "").split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        wanted = given or " or ".join(known)
        raise DataError(f"{where} has no {wanted}", hint=f"{option}: names it; there are {', '.join(map(str, row))}")
    return value


def _text(value: Any, where: str) -> str:
    while isinstance(value, list) and len(value) == 1:  # lmms-eval keeps a list of the answers to each question
        value = value[0]
    if not isinstance(value, str):
        raise DataError(f"{where} has a text that is a {type(value).__name__}", hint="expected one text")
    return value


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row of a file with what names it in an error."""
    if path.suffix in (".tsv", ".csv"):
        yield from ((f"{path.name} line {number}", row) for number, row in numbered_rows(path))
        return
    if path.suffix not in (".json", ".jsonl"):
        hint = f"expected {_FORMATS}; save a table of a spreadsheet as .csv"
        raise DataError(f"texts can't be read from {path.name}", hint=hint)
    try:
        text = read_file(path, "the texts").decode("utf-8-sig")
        whole = json.loads(text) if path.suffix == ".json" else None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not JSON in UTF-8: {error}", hint="is the file whole?") from error
    lines: Iterable[tuple[int, Any]]
    if isinstance(whole, list):
        lines = enumerate(whole, start=1)
    elif isinstance(whole, Mapping):  # a table by columns, as pandas writes one
        columns = {name: column for name, column in whole.items() if isinstance(column, Mapping)}
        places = dict.fromkeys(place for column in columns.values() for place in column)
        lines = enumerate(({name: column.get(place) for name, column in columns.items()} for place in places), start=1)
    else:
        lines = (
            (number, _parsed(line, path, number))
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip()
        )
    for number, row in lines:
        if not isinstance(row, Mapping):
            raise DataError(f"{path.name} line {number} is a {type(row).__name__}", hint="expected a JSON object")
        yield f"{path.name} line {number}", row


def _parsed(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} line {number} is not JSON: {error}", hint="is the file whole?") from error
