"""What the columns of a table mean, whatever they are called, and what a row says of a sample."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from pixcore.errors import DataError, nearest
from pixcore_folder.labels import parse_value

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("sample_id", "sample"),
    "image": ("file", "file_name", "filename", "image_file", "image_path", "picture", "img"),
    "mask": ("mask_file", "mask_path", "mask_name", "segmentation"),
    "value": ("values", "instance", "instance_id"),
    "absent": ("is_absent",),
    "expression": ("text", "phrase", "caption", "referring_expression", "sentence"),
    "question": (),
    "options": ("choices",),
    "answer": (),
    "pair": ("pair_id",),
    "category": (),
}
"""What a sample is made of, and the other names that a table may have for it."""

_YES = frozenset({"yes", "y", "true", "1", "x"})
_NO = frozenset({"no", "n", "false", "0"})

Cells = Mapping[str, Any]
"""One row: what it holds by our own names of columns."""


class Columns:
    """Finds which column of a table holds what.

    Args:
        where: The table, as an error calls it.
        present: The table's own names of columns.
        given: Ours and the table's, as a config has them.
        categories: Columns to break tables down by.

    Raises:
        DataError: A column that the config names is not there, or two columns hold the same.
    """

    def __init__(
        self, where: str, present: Sequence[str], given: Mapping[str, str], categories: Sequence[str] = ()
    ) -> None:
        self.where = where
        self.found: dict[str, str] = {}
        for wanted in [*given.values(), *categories]:
            if wanted not in present:
                raise DataError(f"{where} has no column {wanted!r}", hint=nearest(wanted, filter(None, present)))
        for name in ALIASES:
            if name in given:
                self.found[name] = given[name]
                continue
            named = [one for one in present if meaning(one) == name and one not in given.values()]
            exact = [one for one in named if _plain(one) == name]
            if len(exact or named) > 1:
                both = " and ".join(map(repr, exact or named))
                raise DataError(
                    f"{where}: the columns {both} are both the {name}",
                    hint=f"say which in the config: columns: {{{name}: {(exact or named)[0]}}}",
                )
            if named:
                self.found[name] = (exact or named)[0]
        self.categories = dict.fromkeys(categories)
        if "category" in self.found:
            self.categories.setdefault(self.found["category"])
        used = {*self.found.values(), *self.categories}
        self.unused = [one for one in present if one and one not in used]

    def guess(self, name: str, column: str) -> None:
        """Take a column for something that no name says."""
        self.found[name] = column
        self.unused = [one for one in self.unused if one != column]

    def cells(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Give what a row holds, by our own names; what is empty is left out."""
        return {name: row[column] for name, column in self.found.items() if not _is_empty(row.get(column))}

    def broken_down(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Give a row's categories."""
        return {name: str(row[name]).strip() for name in self.categories if not _is_empty(row.get(name))}

    def notes(self) -> list[str]:
        """Tell what was taken for what under another name, and what is not used at all."""
        renamed = [f"{name} from {column!r}" for name, column in self.found.items() if _plain(column) != name]
        lines = [f"{self.where}: {', '.join(renamed)} (`columns:` in the config says otherwise)"] if renamed else []
        if self.unused:
            lines.append(f"{self.where}: not used: {', '.join(map(repr, self.unused[:8]))}")
        return lines


@dataclass(frozen=True)
class Row:
    """What a row says of its sample, besides its picture and its mask.

    Attributes:
        where: Names the row in an error.
        id: The sample's id, where the row has one.
        expression: The referring expression, or None.
        question: The question, or None.
        options: The options' texts.
        answer: Index of the right one, or None.
        pair: The samples that it counts with, or None.
        absent: Whether the object is in the picture, where the row says so.
        values: What stands for the object in its mask file; empty for all that is there.
        categories: What tables break down by.
    """

    where: str
    id: str | None = None
    expression: str | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    answer: int | None = None
    pair: str | None = None
    absent: bool | None = None
    values: tuple[int, ...] = ()
    categories: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cells: Cells, where: str, categories: Mapping[str, str] | None = None) -> Row:
        """Read a row.

        Raises:
            DataError: A cell holds something else than its column may, or there is nothing to ask.
        """
        expression, question = (_text(cells, name, where) for name in ("expression", "question"))
        if expression is None and question is None:
            raise DataError(f"{where} has neither an expression nor a question", hint="fill one of them in")
        options = _options(cells.get("options"), where)
        return cls(
            where,
            id=_text(cells, "id", where),
            expression=expression,
            question=question,
            options=options,
            answer=_answer(cells.get("answer"), options, where),
            pair=_text(cells, "pair", where),
            absent=_absent(cells.get("absent"), where),
            values=_values(cells.get("value"), where),
            categories=dict(categories or {}),
        )


def meaning(column: str) -> str | None:
    """Say what a column of this name is taken for, or None."""
    said = _plain(column)
    return next((name for name, others in ALIASES.items() if said in (name, *others)), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _is_empty(value: Any) -> bool:
    return (
        value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, float) and value != value)
    )


def _wrong(where: str, column: str, value: Any, hint: str) -> DataError:
    shown = repr(value)
    return DataError(f"{where}, column {column!r}: got {shown if len(shown) <= 60 else shown[:57] + '...'}", hint=hint)


def _text(cells: Cells, name: str, where: str) -> str | None:
    value = cells.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _wrong(where, name, value, "expected text")
    return str(value).strip()


def _options(value: Any, where: str) -> tuple[str, ...]:
    """A list; in a CSV file a JSON list, or texts between bars."""
    if value is None:
        return ()
    given = value
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            given = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise _wrong(where, "options", value, f"not a JSON list: {error}") from error
    elif isinstance(value, str):
        given = value.split("|")
        if len(given) < 2:  # "(a) Open (b) Closed" would be one option, and every answer right
            raise _wrong(where, "options", value, "expected texts with | between them, or a list")
    if not isinstance(given, (list, tuple)) or any(isinstance(one, (list, dict)) or _is_empty(one) for one in given):
        raise _wrong(where, "options", value, "expected texts with | between them, or a list")
    options = tuple(str(one).strip() for one in given)
    if not all(options) or len(set(options)) < len(options) or len(options) > len(ascii_uppercase):
        raise _wrong(where, "options", value, f"expected up to {len(ascii_uppercase)} different texts, none empty")
    return options


def answers_meant(said: str, options: Sequence[str]) -> set[int]:
    """Say which options an answer may mean: by the text, the letter, or the index from 0."""
    letters = ascii_uppercase[: len(options)]
    letter = said.strip("().").upper()
    meant = {index for index, option in enumerate(options) if option == said}
    if len(letter) == 1 and letter in letters:
        meant.add(letters.index(letter))
    if re.fullmatch("[0-9]{1,2}", said) and int(said) < len(options):
        meant.add(int(said))
    return meant


def _answer(value: Any, options: Sequence[str], where: str) -> int | None:
    """An option's text, its letter, or its index, as a number in JSON is; what could be two of them is refused."""
    if value is None:
        return None
    if not options:
        raise _wrong(where, "answer", value, "an answer needs `options` beside it")
    if isinstance(value, str):
        meant = answers_meant(value.strip(), options)
    else:
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(options)
        meant = {value} if whole else set()
    if len(meant) == 1:
        return meant.pop()
    if meant:
        raise _wrong(where, "answer", value, "it is one option's text and another's letter or index: say it otherwise")
    raise _wrong(
        where, "answer", value, f"expected an option's text, its letter or its index from 0, of {' | '.join(options)}"
    )


def _absent(value: Any, where: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    said = str(value).strip().lower()
    if said in _YES | _NO:
        return said in _YES
    raise _wrong(where, "absent", value, "expected yes or no")


def _values(value: Any, where: str) -> tuple[int, ...]:
    """Numbers or colours, one or several."""
    given: Iterable[Any] = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, str):
        given = re.split(r"[\s;,|+]+", value.strip())
    elif value is None:
        return ()
    found = tuple(parse_value(one) for one in given)
    if not found or None in found:
        raise _wrong(where, "value", value, "expected a mask's value such as 3, several such as 3 4, or #ff0000")
    return tuple(one for one in found if one is not None)
