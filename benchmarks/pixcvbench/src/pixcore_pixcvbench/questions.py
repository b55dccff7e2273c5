"""Read CV-Bench's questions, from the old single parquet file or the newer one with the 2D questions alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pixcore_datasets.parquet import Pictures, read_rows

from pixcore.errors import DataError

_FILE_COLUMNS = ("source_filename", "filename", "file", "file_name")
_NEEDED = ("choices", "answer")


@dataclass(frozen=True)
class Question:
    """One question of CV-Bench.

    Attributes:
        row: Its row in the file, from 0.
        text: The question without its choices.
        options: The choices' texts.
        answer: Index of the right one.
        task: "Count" or "Relation".
        image: Reads the picture's bytes, where the file holds pictures.
    """

    row: int
    text: str
    options: tuple[str, ...]
    answer: int
    task: str
    image: Callable[[], bytes] | None


def read_questions(path: Path) -> dict[str, Question]:
    """Read CV-Bench's 2D questions.

    Args:
        path: test.parquet (2D and 3D together) or test_2d.parquet.

    Returns:
        Questions by the file name of their source image.

    Raises:
        DataError: The file can't be read, has no column to join by, or two questions are about one image.
    """
    columns, rows = read_rows(path, hint="fetch CV-Bench again")
    names = set(columns)
    key = next((column for column in _FILE_COLUMNS if column in names), None)
    if key is None:
        raise DataError(
            f"{path} has no column with the source image's file name",
            hint=f"needed is one of {', '.join(_FILE_COLUMNS)}: rows are joined by name, never by position",
        )
    lacking = [column for column in _NEEDED if column not in names] + (
        [] if names & {"question", "prompt"} else ["question"]
    )
    if lacking:
        raise DataError(f"{path} has no column {lacking[0]!r}", hint=f"its columns: {', '.join(columns)}")
    found: dict[str, Question] = {}
    pictures = Pictures(path) if "image" in columns else None
    for number, row in enumerate(rows):
        if row.get("type") not in (None, "2D"):
            continue
        name = PurePosixPath(str(row[key])).name
        if name in found:
            raise DataError(f"{path} has two 2D questions about {name}", hint="is it CV-Bench's own file?")
        found[name] = _question(row, number, path, pictures)
    return found


def _question(row: Mapping[str, Any], number: int, path: Path, pictures: Pictures | None) -> Question:
    if not isinstance(row["choices"], list):
        raise DataError(f"{path} row {number} has choices that are no list: {row['choices']!r:.60}", hint="texts")
    options = tuple("" if choice is None else str(choice) for choice in row["choices"])
    if not all(option.strip() for option in options):
        raise DataError(f"{path} row {number} has a choice without text", hint="fetch CV-Bench again")
    match = re.fullmatch(r"\(?([A-Za-z])\)?", str(row["answer"]).strip())
    answer = ord(match.group(1).lower()) - ord("a") if match else -1
    if not 0 <= answer < len(options):
        raise DataError(
            f"{path} row {number} has the answer {row['answer']!r} for {len(options)} choices",
            hint="expected a letter such as (A)",
        )
    said = str(row.get("question") or "").strip()
    text = said or re.split(r"\s*Select from the following choices", str(row.get("prompt") or ""))[0].strip()
    if not text:
        raise DataError(f"{path} row {number} has no question", hint="fetch CV-Bench again")
    return Question(
        row=number,
        text=text,
        options=options,
        answer=answer,
        task=str(row.get("task") or ""),
        image=partial(pictures.read, number) if pictures is not None else None,
    )
