"""Which option an answer names.

The rules in their order; the first that names exactly one option decides. The README lists them with examples, the
tests try them one by one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixcore.letters import read_options
from pixcore.protocols import letter

_ARTICLES = frozenset({"a", "an", "the"})
_NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "without", "cannot"})
_CLAUSES = re.compile(r"[,;:!?\n]|\.(?!\d)|\bbut\b")  # a denial ends with its clause
_REACH = 3  # words: "not really very open" denies "open", "not in doubt that it is open" does not


@dataclass(frozen=True)
class Reading:
    """What was read.

    Attributes:
        option: Index of the named option; None if no rule could tell.
        rule: The rule that decided, or why none did.
    """

    option: int | None
    rule: str


def read(response: str, options: Sequence[str]) -> Reading:
    """Find the option that an answer names."""
    answer = unicodedata.normalize("NFKC", response).strip()
    if not words_of(answer):
        return Reading(None, "an empty answer")
    texts = [words_of(option) for option in options]
    doubtful = False
    for name, rule in _RULES:
        found = rule(answer, texts)
        if len(found) == 1:
            return Reading(next(iter(found)), name)
        doubtful |= len(found) > 1
    return Reading(None, "names several options" if doubtful else "names no option")


def words_of(text: str) -> list[str]:
    """The words of a text: lower case, "n't" as "not", without articles unless there is nothing else."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("can't", "cannot")
    words = re.findall(r"\w+(?:[.,]\d+)*", re.sub(r"n't\b", " not", plain).replace("'s", ""))
    return [word for word in words if word not in _ARTICLES] or words


def _letters(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The answer is a letter, starts with one that is set off, or announces one."""
    return set(read_options(answer, [""] * len(texts)))


def _whole(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The answer, or what it says after its last "answer is" or "answer:", is an option's text."""
    announced = re.split(r"\banswer(?:\s+is|\s*:)\s*:?", answer, flags=re.IGNORECASE)[-1]
    said = (words_of(answer), words_of(announced))
    return {index for index, text in enumerate(texts) if text and text in said}


def _yes_or_no(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """Where the options are yes and no: the first word, or else a denial anywhere."""
    plain = [" ".join(text) for text in texts]
    if sorted(plain) != ["no", "yes"]:
        return set()
    said = words_of(answer)
    both = {word for word in ("yes", "no") if word in said}
    if said[0] in ("yes", "no"):
        return {plain.index(said[0])}
    if both == {"yes"}:
        return {plain.index("yes")}
    return {plain.index("no")} if "yes" not in both and _NEGATIONS & set(said) else set()


def _loose_letters(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A letter in parentheses, or a capital letter standing alone, that is not denied and is no article."""
    names = [letter(index) for index in range(len(texts))]
    small = "".join(names)
    capital = small.upper()
    found = set()
    for match in re.finditer(rf"\(([{small}{capital}])\)|(?<![\w'])([{capital}])(?![\w'])(?!\s+[a-z])", answer):
        clause = re.split(_CLAUSES, answer[: match.start()])[-1]
        if not _NEGATIONS & set(words_of(clause)[-_REACH:]):
            found.add(names.index((match.group(1) or match.group(2)).lower()))
    return found


def _texts(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """An option's text occurs, not denied; the longest of overlapping ones. To deny one of two names the other."""
    return _affirmed(answer, [[text] if text else [] for text in texts])


def _telling_words(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A word occurs, and is not denied, that only one of the options has: "left" of "facing left / facing right"."""
    own = [
        [[word] for word in text if all(word not in other for j, other in enumerate(texts) if j != index)]
        for index, text in enumerate(texts)
    ]
    return _affirmed(answer, own)


def _affirmed(answer: str, phrases: Sequence[Sequence[list[str]]]) -> set[int]:
    """Indices of options one of whose phrases is said and not denied.

    Args:
        answer: The answer.
        phrases: For each option the word sequences that name it.
    """
    clauses = [words_of(clause) for clause in re.split(_CLAUSES, answer)]
    said = [(word, number) for number, clause in enumerate(clauses) for word in clause]
    words = [word for word, _ in said]
    spans = [
        (start, start + len(phrase), index)
        for index, own in enumerate(phrases)
        for phrase in own
        for start in range(len(words) - len(phrase) + 1)
        if words[start : start + len(phrase)] == phrase
    ]
    longest = [span for span in spans if not any(_inside(span, other) for other in spans)]
    affirmed: set[int] = set()
    denied: set[int] = set()
    for start, _, index in longest:
        before = {word for word, clause in said[max(0, start - _REACH) : start] if clause == said[start][1]}
        (denied if _NEGATIONS & before else affirmed).add(index)
    if not affirmed and len(denied) == 1 and len(phrases) == 2:
        return {1 - next(iter(denied))}
    return affirmed


def _inside(span: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Whether a span of words is a part of a longer one."""
    return other[0] <= span[0] and span[1] <= other[1] and other[1] - other[0] > span[1] - span[0]


_RULES: tuple[tuple[str, Callable[[str, Sequence[list[str]]], set[int]]], ...] = (
    ("its letter", _letters),
    ("its whole text", _whole),
    ("yes or no", _yes_or_no),
    ("its text", _texts),
    ("a word that only it has", _telling_words),
    ("a letter in the sentence", _loose_letters),
)
