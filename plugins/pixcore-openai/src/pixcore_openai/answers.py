"""Read what a language model said. What can't be read is None: nothing is guessed."""

from __future__ import annotations

import json
import re
from typing import Any

from pixcore_judges.thoughts import THOUGHT
from pixcore_judges.wordings import without_thoughts

_NUMBER = re.compile(r"[-−–]?\d+(?:[.,/:\-−–]\d+)*(?: ?%)?")
_DENIES = re.compile(
    r"\b(?:none|no(?!\.? *\d)|there(?:['’]s| is) no(?= +\d)|not|neither|nothing|cannot)\b|n['’]t\b", re.IGNORECASE
)
_FIRST = re.compile(r"\W*(yes|no)(?:\s*(?:[.,;:!*)\n—–]|-\s)|\Z)", re.IGNORECASE)
_ALONE = re.compile(r"\W*(?:(?:the |my )?(?:final )?(?:answer|verdict)(?: is)?\W*)?(yes|no)\W*", re.IGNORECASE)


def read_number(text: str, count: int, *, published: bool) -> int | None:
    """Read the number of a picture, from 1 to `count`.

    `published` takes the first digits anywhere, as the released script does; it differs where these name no picture,
    for there the script crashes or takes the first. `corrected` wants them to be the only number, and nothing denied.
    """
    text = _behind_thoughts(text)
    structured = _field(text, "number")
    if isinstance(structured, int) and not isinstance(structured, bool):
        number: int | None = structured
    elif published:
        first = re.search(r"\d+", text)
        number = int(first.group()[:9]) if first else None
    else:  # one that is negative, a fraction, a range or a share names no picture
        text = without_thoughts(text)
        found = {one.strip() for one in _NUMBER.findall(text)}
        alone = len(found) == 1 and (told := found.pop()).isdecimal() and not _DENIES.search(text)
        number = int(told[:9]) if alone else None
    return number if number is not None and 1 <= number <= count else None


def read_yes_no(text: str, *, published: bool) -> bool | None:
    """Read yes or no.

    `published` does as the released scripts do: the word alone, full stops after it, any case. `corrected` wants it to
    begin the answer, or to be its last line, and the other word to be nowhere: the "no" of "no doubt" is no verdict.
    """
    text = _behind_thoughts(text)
    structured = _field(text, "answer")
    if isinstance(structured, str):
        text = structured
    if published:
        match = re.match(r"^(yes|no)\.*$", text.strip(), re.IGNORECASE)
        return None if match is None else match.group(1).lower() == "yes"
    text = without_thoughts(text)
    words = set(re.findall(r"\b(yes|no)\b", text.lower()))
    last = next((line for line in reversed(text.splitlines()) if re.search(r"\w", line)), "")
    placed = _FIRST.match(text) or _ALONE.fullmatch(last)
    return words == {"yes"} if placed and len(words) == 1 else None


def read_letters(text: str) -> tuple[str, ...] | None:
    """Read letters a to f, as the released script splits them: at commas, without parentheses, else the first word."""
    text = _behind_thoughts(text)
    structured = _field(text, "letters")
    if isinstance(structured, list):
        found = [str(one).lower() for one in structured]
    else:
        bare = [part.strip().strip("().").lower() for part in text.split(",")]
        first = re.match(r"\s*\(?([a-f])\b", text.lower())
        found = [part for part in bare if part in tuple("abcdef")] or ([first.group(1)] if first else [])
    letters = tuple(dict.fromkeys(one for one in found if one in tuple("abcdef")))
    return letters or None


def read_objects(text: str) -> tuple[str, ...] | None:
    """Read the names in {"objects": [...]}; an empty list is an answer."""
    names = _field(_behind_thoughts(text), "objects")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def is_whole(text: str) -> bool:
    """Whether a text that was cut off says all the same what it was to say: a lone yes or no, or a whole JSON object.

    Blanks alone often follow one until there is no more room; the 1 of a 12 is no answer.
    """
    try:
        whole = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        whole = False
    return whole or re.fullmatch(r"\W*(yes|no)\W*", text, re.IGNORECASE) is not None


def _behind_thoughts(text: str) -> str:
    """The text without what a model thought before it, where its server leaves that in; thoughts alone say nothing."""
    return THOUGHT.sub("", text)


def _field(text: str, key: str) -> Any:
    """One field of a JSON object, which some models put between words or fences."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        document = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    return document.get(key) if isinstance(document, dict) else None
