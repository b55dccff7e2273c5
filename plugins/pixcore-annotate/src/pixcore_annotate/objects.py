"""Parse CV-Bench's questions into the objects that they are about, by rules; into a table that a person corrects.

The paper asks GPT-4o and corrects by hand. CV-Bench's questions follow few patterns, so rules do it offline. The table
keeps what the rules said (`parsed`) beside what counts (`objects`), so that parsing again never touches a correction.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixcore_datasets.tables import read_table

from pixcore.errors import DataError, SampleError, UserError
from pixcore.files import prepare, replacing

Parser = Callable[[Sequence[str]], Iterable[tuple[str, ...] | Exception | None]]

COLUMNS = ("id", "image", "question", "parsed", "objects", "checked")
JOIN = " | "

_BOX = r"\s*\((?:annotated|highlighted|marked)[^)]*\)"
_PATTERNS = (
    r"relative positions? of (?:the )?(?P<one>.+?) and (?:the )?(?P<two>.+?) in (?:the|this) (?:image|picture|photo)",
    r"where is (?:the )?(?P<one>.+?) (?:located )?(?:with respect|in relation|relative) to (?:the )?(?P<two>.+?)\?",
    r"closer to the camera[^,]*, (?:the )?(?P<one>.+?) or (?:the )?(?P<two>.+?)\?",
    r"closer to (?:the )?(?P<three>.+?), (?:the )?(?P<one>.+?) or (?:the )?(?P<two>.+?)\?",
    r"is (?:the )?(?P<one>.+?) (?:to the left of|to the right of|above|below|behind|in front of|next to) "
    r"(?:the )?(?P<two>.+?)(?: in (?:the|this) (?:image|picture|photo))?\?",
    r"how many (?P<many>.+?) (?:are|is|can|do|does|appear)\b",
    r"number of (?P<many>.+?)(?: in (?:the|this) (?:image|picture|photo)| are|\?|$)",
)


@dataclass(frozen=True)
class Question:
    """A question about an image.

    Attributes:
        id: Unique in the table.
        image: The image's path.
        text: The question.
    """

    id: str
    image: str
    text: str


def parse_question(text: str) -> tuple[str, ...]:
    """List the objects that a question is about, in the order of the question; empty where no rule fits."""
    plain = re.sub(_BOX, "", text.strip(), flags=re.IGNORECASE)
    for pattern in _PATTERNS:
        match = re.search(pattern, plain, re.IGNORECASE)
        if match:
            groups = match.groupdict()
            names = [groups[key] for key in ("many", "one", "two", "three") if groups.get(key)]
            return tuple(dict.fromkeys(name.strip(" ,.?") for name in names))
    return ()


def by_rules(texts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Parse questions with the rules, which work offline."""
    return map(parse_question, texts)


def update_table(
    path: Path, questions: Iterable[Question], *, parser: Parser = by_rules, source: str = "the list"
) -> Mapping[str, int]:
    """Parse questions into a table; a person's corrections in it stay, and the columns that a person added.

    Args:
        path: The table; made if need be. A row counts as corrected where `objects` differs from `parsed`, or `checked`
            says anything.
        questions: What to parse.
        parser: Gives the objects of each text, in order; None or an error where it could not read one.
        source: What an error calls the place that the questions are from.

    Returns:
        How many rows were "parsed", "kept" as corrected, and "unread": nothing was found. Where an answer could not be
        read, or there was none, what was parsed of the same question before stays.

    Raises:
        DataError: The table is there and damaged, or an id is there twice, in it or in the questions.
        SampleError: Some questions got no answer; the table is written all the same.
        UserError: No question can get one: a wrong key, a dead server. The table is as it was.
    """
    asked = list(questions)
    if (twice := _twice(question.id for question in asked)) is not None:
        said = f"{source} has two questions with the id {twice!r}"
        raise DataError(said, hint="corrections are kept by id: rename one")
    there = read_table(path, COLUMNS) if path.exists() else []
    if (twice := _twice(row["id"] for row in there)) is not None:
        raise DataError(f"{path} has two rows with the id {twice!r}", hint="corrections are kept by id: rename one")
    old = {row["id"]: row for row in there}
    counts = {"parsed": 0, "kept": 0, "unread": 0}
    rows: dict[str, dict[str, str]] = {}
    failed: list[Exception] = []
    for question, found in zip(asked, parser([question.text for question in asked]), strict=True):
        if isinstance(found, UserError) and not isinstance(found, DataError):
            raise found
        if isinstance(found, Exception):
            failed.append(found)
        parsed = JOIN.join(found) if isinstance(found, tuple) else ""
        row = {"id": question.id, "image": question.image, "question": question.text, "parsed": parsed}
        before = old.get(question.id, {})
        if not isinstance(found, tuple) and before.get("question") == question.text:
            row["parsed"] = before["parsed"]
        if before and (before["checked"].strip() or before["objects"] != before["parsed"]):
            rows[question.id] = {**before, **row}
            counts["kept"] += 1
        else:
            rows[question.id] = {**before, **row, "objects": row["parsed"], "checked": ""}
            counts["parsed" if parsed else "unread"] += 1
    for name, row in old.items():  # rows of questions that are gone stay: somebody may have worked on them
        rows.setdefault(name, row)
    columns = list(dict.fromkeys((*COLUMNS, *(column for row in there for column in row))))
    prepare(path.parent, "file")
    with replacing(path, "file", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    if failed:
        said = f"{len(failed)} of {len(asked)} questions got no answer, the first: {failed[0]}"
        raise SampleError(said, hint=f"the others are in {path}; run again for these")
    return counts


def _twice(ids: Iterable[str]) -> str | None:
    """The first id that is there more than once."""
    return next((name for name, count in Counter(ids).items() if count > 1), None)
