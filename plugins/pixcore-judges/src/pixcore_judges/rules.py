"""Which option an answer names.

The rules in their order; the first that names exactly one option decides. The README lists them with examples, the
tests try them one by one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixcore.predictions.option_letters import read_options
from pixcore.protocols import letter

_ARTICLES = frozenset({"a", "an", "the"})
_NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "without", "cannot"})
_CLAUSES = re.compile(r"[,;:!?\n]|\.(?!\d)|\bbut\b")  # a denial ends with its clause
_REACH = 3  # words: "not really very open" denies "open", "not in doubt that it is open" does not

_YES_NO = frozenset({"yes", "no"})
_OPEN = frozenset({"whether", "if"})  # what follows them is not said to be so

# whether something is there, in the same words either way
_IS_THERE = re.compile(
    r"\bthere (?:is|are|was|were)\b|\b(?:i|we|you) (?:can )?see\b|\b(?:is|are) (?:visible|present)\b"
)
_IS_NOT_THERE = re.compile(
    r"\bthere (?:is|are|was|were) (?:no|not)\b|\b(?:not|cannot|never) see\b|\bsee no\b"
    r"|\b(?:is|are) not (?:visible|present)\b|^no\b"
)

# behind a letter: that it is wrong. "is not wrong" rules nothing out
_WRONG = r"(?:wrong|incorrect|false)\b"
_RULED_OUT = (
    rf"\s+(?:(?:is|are|was|were)(?:\s+(?!not\b)\w+)?\s+(?:{_WRONG}|not\b(?!\s+{_WRONG}))"
    rf"|(?:is|are|was|were)n['’]t\b(?!\s+{_WRONG})|can(?:not|['’]t)\s+be\b)"
)
_JOIN = r"\s*,?\s*(?i:\bor\b|\band\b|[/&])\s*(?i:the\s+)?(?i:(?:answer|option|choice)\b(?:\s+is)?\s*[:=]?\s*)?"


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
    plain = plain.replace("there's", "there is")
    words = re.findall(r"\w+(?:[.,]\d+)*", re.sub(r"n't\b", " not", plain).replace("'s", ""))
    return [word for word in words if word not in _ARTICLES] or words


def _letters(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The answer is a letter, starts with one that is set off, or announces one; with it all that "or" and "and" join.

    A letter that is ruled out ("Choice B is wrong") is none.
    """
    named = set(read_options(_without_ruled_out(answer, texts), [""] * len(texts)))
    joined = _joined(answer, texts)
    return named | joined if named & joined else named


def _without_ruled_out(answer: str, texts: Sequence[list[str]]) -> str:
    """The answer without letters of which it says that they are wrong."""
    return re.sub(rf"{_letter(texts)}{_RULED_OUT}", "", answer)


def _joined(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """Letters that "or" or "and" joins to another one."""
    one = _letter(texts)
    # of "A, B or C" all three; in "B or a boat" the small "a" is an article
    pairs = re.finditer(rf"{one}(?=(?:\s*,\s*\w(?!\w))*{_JOIN}{one}(?!(?<=a)\s+[a-z]))", answer)
    names = [letter(index) for index in range(len(texts))]
    return {names.index(name.lower()) for pair in pairs for name in pair.groups()}


def _letter(texts: Sequence[list[str]]) -> str:
    """A pattern for an option's letter that stands alone, perhaps in parentheses, quotes or asterisks."""
    names = "".join(letter(index) for index in range(len(texts)))
    return rf"(?<![\w'’])[\"'`*_(\[]*([{names}{names.upper()}])(?![\w'’])[\"'`*_)\]]*"


def _whole(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The answer, or what it says after its last "answer is" or "answer:", is an option's text."""
    announced = re.split(r"\banswer(?:\s+is|\s*:)\s*:?", answer, flags=re.IGNORECASE)[-1]
    said = (words_of(answer), words_of(announced))
    return {index for index, text in enumerate(texts) if text and text in said}


def _yes_or_no(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """Where the options are yes and no: the first word, a clause's last one, or what is said to be there or not.

    Both are read by the same measure: what the answer denies of anything else is no more a "no" than what it affirms is
    a "yes".
    """
    if not _are_yes_and_no(texts):
        return set()
    clauses = [words for clause in re.split(_CLAUSES, answer) if (words := words_of(clause))]
    telling = clauses[:1] if clauses[0][0] in _YES_NO else [words for words in clauses if words[-1] in _YES_NO]
    said = {word for words in telling for word in words} & _YES_NO or {_presence(words) for words in clauses}
    return {index for index, (word,) in enumerate(texts) if word in said}


def _are_yes_and_no(texts: Sequence[list[str]]) -> bool:
    return sorted(texts) == [["no"], ["yes"]]


def _presence(clause: list[str]) -> str:
    """Whether a clause says that something is there: "yes", "no", or "" where it says neither."""
    text = " ".join(clause)
    if _OPEN & set(clause):
        return ""
    if _IS_NOT_THERE.search(text):
        return "no"
    return "yes" if _IS_THERE.search(text) and not _NEGATIONS & set(clause) else ""


def _loose_letters(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A letter in parentheses, or a capital letter standing alone, that is not denied and is no article."""
    names = [letter(index) for index in range(len(texts))]
    small = "".join(names)
    capital = small.upper()
    found = set()
    alone = rf"(?<![\w'])([{capital}])(?![\w'])(?!\s+(?!(?:or|and)\s+[{capital}](?!\w))[a-z])"
    for match in re.finditer(rf"\(([{small}{capital}])\)|{alone}", _without_ruled_out(answer, texts)):
        clause = re.split(_CLAUSES, match.string[: match.start()])[-1]
        if not _NEGATIONS & set(words_of(clause)[-_REACH:]):
            found.add(names.index((match.group(1) or match.group(2)).lower()))
    joined = _joined(answer, texts)
    return found | joined if found & joined else found


def _texts(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """An option's text occurs, not denied; the longest of overlapping ones. To deny one of two names the other."""
    if _are_yes_and_no(texts):
        return set()  # the "no" of "no fish" is not the answer
    return _affirmed(answer, [[text] if text else [] for text in texts])


def _telling_words(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A word occurs, and is not denied, that only one of the options has: "left" of "facing left / facing right"."""
    if _are_yes_and_no(texts):
        return set()
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
