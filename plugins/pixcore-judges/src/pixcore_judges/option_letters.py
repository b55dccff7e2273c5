"""Read an option out of an answer: what accuracy under the third probing (A) and exact matching are made of.

`published` is the released evaluator's rule (protocol2_accuracy.py), which knows a bare letter or the bare text of the
right option and takes "A. Open" for wrong. `corrected` is `read`: the option's letter, or its words, in the usual ways
of saying them; what names none or several is unread. Its rules stand in their order, and the first that names exactly
one option decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pixcore.protocols import letter
from pixcore.records import Fidelity, Verdict
from pixcore_judges.letters import letters_said, loose_letters
from pixcore_judges.thoughts import THOUGHT
from pixcore_judges.wordings import (
    CLAUSES,
    NEGATIONS,
    NEGATIONS_ELSEWHERE,
    NOBODY,
    REACH,
    SENTENCES,
    asserted,
    compatible,
    doubted,
    folded,
    in_digits,
    plain,
    taken_back,
    without_echo,
    without_thoughts,
    words_of,
)

_NONE, _SEVERAL, _BY_LETTER = "names no option", "names several options", "its letter"
_LEADS = ("answer is", "answer is:", "answer:")

# a letter told behind a box that names no option, as one around a formula: "\boxed{a + b}. **Answer: B**"
_BOX = "\\boxed"
_LETTER_TOLD = re.compile(r"(?i:\banswer\b[*_]{0,3}(?:\s+is\b|\s*:))[\s:*_(\[$]*(?:[B-HJ-Z]\b|[AI]\b(?!\s+\w))(?!['’])")

_YES_NO = {
    **dict.fromkeys(
        [
            "yes",
            "yeah",
            "yep",
            "yup",
            "yea",
            "oui",
            "ja",
            "sí",
            "sim",
            "да",
            "نعم",
            "是",
            "是的",
            "对",
            "對",
            "有",
            "はい",
            "ええ",
            "네",
            "예",
        ],
        "yes",
    ),
    **dict.fromkeys(
        [
            "no",
            "nope",
            "nah",
            "non",
            "nein",
            "não",
            "нет",
            "لا",
            "否",
            "不",
            "不是",
            "没有",
            "沒有",
            "いいえ",
            "아니요",
            "아니오",
        ],
        "no",
    ),
}
_FAR = 30  # words: how far what "if" and "whether" leave open may stand from them
_OPEN = frozenset({"whether", "if"})  # what follows them is not said to be so

# of which none tells options apart: any answer has them
_SMALL = frozenset(
    {"and", "or", "of", "it", "its", "this", "that", "both", "either", "than", "is", "are", "was", "were", "be"}
)
# in which options that are opposites may differ, beside their negation
_POLAR = frozenset(
    ["with", "has", "have", "had", "is", "are", "was", "were", "be", "does", "do", "did", "can", "there", "any"]
)
_ORDINALS = {
    word: place for place, word in enumerate(["first", "second", "third", "fourth", "fifth", "sixth"], start=1)
}
_ORDINALS |= {"former": 1, "latter": 2, "last": 0}
_ORDINAL = "|".join(_ORDINALS)
_PLACED = (
    re.compile(rf"\A(?:the\s+)?({_ORDINAL})\Z"),
    re.compile(r"\b(?:option|choice)\W*(?:number\s+|no\.\s*)?(\d)\b(?![.,]\d)"),
    re.compile(rf"\bthe\s+({_ORDINAL})\s+(?:option|choice|answer|one|statement|description|alternative)\b"),
)

# what is said of an option's words to rule them out
_REFUTED = re.compile(
    r"(?:(?:would|must|can|has to) )?(?:is|are|was|were|be|seems?|looks?) (?:(?!not\b)\w+ )?"
    r"(?:wrong|incorrect|false|impossible|excluded|eliminated|ruled out|not (?:right|correct|true|possible))\b"
)

# whether something is there, in the same words either way
_IS_THERE = re.compile(
    r"\bthere (?:is|are|was|were)\b|\b(?:i|we|you) (?:can )?see\b|\b(?:is|are) (?:visible|present)\b"
)
_IS_NOT_THERE = re.compile(
    rf"\bthere (?:is|are|was|were) (?:not|{NOBODY})\b|\b(?:not|cannot|never) see\b|\bsee (?:{NOBODY})\b"
    r"|\b(?:is|are) not (?:visible|present)\b|^no\b"
    # "nothing blocks the view" is no answer
    rf"|^(?:{NOBODY})(?: .*\b(?:visible|present|there|here|seen|shown|in|on)\b|\Z)"
)


@dataclass(frozen=True)
class Reading:
    """What was read out of an answer.

    Attributes:
        option: Index of the named option; None if no rule could tell.
        rule: The rule that decided, or why none did.
    """

    option: int | None
    rule: str


def published_letter(answer: str) -> str:
    """Extract what the released evaluator compares: lower case, behind the last "answer is" or "answer:"."""
    text = answer.lower().strip()
    for lead in _LEADS:
        if lead in text:
            text = text.split(lead)[-1]
    return text.strip().rstrip(".:,").lstrip("(").rstrip(")")


def published_options(options: str) -> tuple[str, ...]:
    """Cut "(a) X (b) Y" into its texts as the released evaluator does: at everything in parentheses."""
    return tuple(part.strip() for part in re.split(r"\([^()]*\)", options)[1:])


def grade_letter(
    response: str,
    options: Sequence[str],
    answer: int,
    fidelity: Fidelity,
    *,
    released_options: str | None = None,
    bare_letters: bool = False,
) -> Verdict:
    """Grade an answer by the option that it names.

    Args:
        response: What the model said.
        options: The options' texts.
        answer: Index of the right one.
        fidelity: Whose rule.
        released_options: The options as the released files have them, for the `published` rule.
        bare_letters: Count a letter alone, not the option's words, whosever rule.
    """
    if fidelity.released:
        texts = published_options(released_options) if released_options else tuple(options)
        extracted = published_letter(response)
        words = {texts[answer].lower()} if answer < len(texts) and not bare_letters else set()
        right = {letter(answer)} | words
        return Verdict(extracted in right, f"released rule: read {extracted!r}")
    reading = bare(response, options) if bare_letters else read(response, options)
    if reading.option is None:
        return Verdict(None, reading.rule)
    named = letter(reading.option)
    return Verdict(
        reading.option == answer, f"names option {named}: {reading.rule}", {"rule": reading.rule, "option": named}
    )


def bare(response: str, options: Sequence[str]) -> Reading:
    """Find the option whose letter is the whole answer, but for brackets, marks, and what was thought before."""
    said = re.findall(r"\w+", compatible(without_thoughts(response)).casefold())
    names = [letter(index) for index in range(len(options))]
    if len(said) == 1 and said[0] in names:
        return Reading(names.index(said[0]), "its bare letter")
    return Reading(None, "no bare letter")


def read(response: str, options: Sequence[str]) -> Reading:
    """Find the option that an answer names, by its letter or its words."""
    answer = without_thoughts(response)
    equal = next((one for said in (response, answer) if (one := _equal(said, options)) is not None), None)
    if equal is not None:
        return Reading(equal, "its whole text")
    answer, echoed = without_echo(plain(answer), options)
    if not words_of(answer):
        return Reading(None, _SEVERAL if echoed else "an empty answer")
    for said in (*taken_back(answer), answer):
        reading = _read(said, options)
        if reading.option is not None:
            return reading
    numbers = [in_digits(option) for option in options]
    if reading.rule == _NONE and all(re.search(r"\d", option) for option in numbers):
        reading = _read(in_digits(answer), numbers)
    if reading.rule == _NONE and _BOX in response:
        behind = plain(THOUGHT.sub(" ", response).rpartition(_BOX)[2].partition("}")[2])
        told = _read(behind, options) if _LETTER_TOLD.search(behind) else reading
        return told if told.rule == _BY_LETTER else reading
    return reading


def _read(answer: str, options: Sequence[str]) -> Reading:
    """Go through the rules."""
    texts = [words_of(option) for option in options]
    answer = asserted(answer, compares=not any("than" in text for text in texts))
    if not words_of(answer):
        return Reading(None, _NONE)
    doubtful = False
    for name, rule in _RULES:
        if doubtful and rule in (_telling_words, _said_or_denied):
            continue  # of two options that are said in full, one may have no word of its own
        found = rule(answer, texts)
        if len(found) > 1 and name != _BY_LETTER:
            found = _spelt(answer, options, found)
        if len(found) == 1:
            (option,) = found
            return Reading(None, _SEVERAL) if _misnamed(answer, options, option) else Reading(option, name)
        doubtful |= len(found) > 1
        if doubtful and name == _BY_LETTER:
            break
    return Reading(None, _SEVERAL if doubtful else _NONE)


def _misnamed(answer: str, options: Sequence[str], index: int) -> bool:
    """Whether another option's letter stands in brackets behind an option's text: "Closed (A)"."""
    others = "".join(letter(other) for other in range(len(options)) if other != index)
    text = re.sub(r"^(?:an?|the) ", "", folded(options[index]))
    behind = rf"(?<!\w){re.escape(text)}[\"'”]?\s*[(\[][{others}][)\]]"
    return bool(others) and re.search(behind, compatible(answer).casefold()) is not None


def _equal(answer: str, options: Sequence[str]) -> int | None:
    """The option that the answer equals, the strictest measure first; options may differ in a full stop alone."""
    for measure in (str.strip, folded, lambda text: folded(text).rstrip(".")):
        found = [
            index for index, option in enumerate(options) if measure(option) and measure(option) == measure(answer)
        ]
        if len(found) == 1:
            return found[0]
    return None


def _spelt(answer: str, options: Sequence[str], found: set[int]) -> set[int]:
    """Of options with the same words the one that the answer spells: "Happy Easter!" and not "Happy Easter"."""
    texts = {index: folded(options[index]) for index in found}
    if len({tuple(words_of(text)) for text in texts.values()}) > 1:
        return found
    said = compatible(answer).casefold()
    within = set()
    for text in sorted(set(texts.values()), key=len, reverse=True):
        if text in said:
            within |= {index for index in texts if texts[index] == text}
            said = said.replace(text, " ")  # a shorter one is said where it stands elsewhere too
    return within


def _whole(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The answer, its first or last sentence, or what it says after "answer is" or "answer:", is an option's text."""
    announced = re.split(r"\banswer(?:\s+is|\s*:)\s*:?", answer, flags=re.IGNORECASE)
    if announced[1:] and doubted(words_of(re.split(CLAUSES, announced[-2])[-1])):
        announced = []
    sentences = [words for part in SENTENCES.split(answer) if (words := words_of(part))]
    for said in (
        [words_of(answer)],
        [words_of(announced[-1]), words_of(SENTENCES.split(announced[-1])[0])] if announced[1:] else [],
        sentences[:1] + sentences[-1:],
    ):
        found = {index for index, text in enumerate(texts) if text and text in said}
        if found:
            return found
    return set()


def _yes_or_no(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """Where the options are yes and no: the first word, a clause's last one, or what is said to be there or not.

    Both are read by the same measure: what the answer denies of anything else is no more a "no" than what it affirms is
    a "yes".
    """
    if not _are_yes_and_no(texts):
        return set()
    clauses = [words for clause in re.split(CLAUSES, answer) if (words := words_of(clause))]
    clauses = [[_YES_NO.get(words[0], words[0]), *words[1:]] for words in clauses]
    if clauses[0][0] in _YES_NO:
        telling = [clauses[0], *(words for words in clauses[1:] if words[0] == "yes" or words == ["no"])]
    else:
        telling = [words for words in clauses if words[-1] in _YES_NO and not doubted(words)]
    said = {word for words in telling for word in _undenied(words)} & _YES_NO.keys() or {
        _presence(words) for words in clauses
    }
    return {index for index, (word,) in enumerate(texts) if word in said}


def _undenied(words: Sequence[str]) -> list[str]:
    """Words but those behind a "not": "not no" says nothing of "no"."""
    return [word for place, word in enumerate(words) if words[place - 1 : place] != ["not"]]


def _are_yes_and_no(texts: Sequence[list[str]]) -> bool:
    return sorted(texts) == [["no"], ["yes"]]


def _presence(clause: list[str]) -> str:
    """Whether a clause says that something is there: "yes", "no", or "" where it says neither."""
    text = " ".join(clause)
    if _OPEN & set(clause) or doubted(clause):
        return ""
    if _IS_NOT_THERE.search(text):
        return "no"
    return "yes" if _IS_THERE.search(text) and not NEGATIONS & set(clause) else ""


def _texts(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """An option's text occurs, not denied; the longest of overlapping ones. To deny one of two names the other."""
    if _are_yes_and_no(texts):
        return set()  # the "no" of "no fish" is not the answer
    return _affirmed(answer, [[text] if text else [] for text in texts])


def _telling_words(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A word occurs, and is not denied, that only one of the options has: "left" of "facing left / facing right"."""
    if _are_yes_and_no(texts):
        return set()
    polar = NEGATIONS | _POLAR | _SMALL if _are_opposites(texts) else _SMALL
    own = [
        [
            [word]
            for word in text
            if word not in polar and all(word not in other for j, other in enumerate(texts) if j != index)
        ]
        for index, text in enumerate(texts)
    ]
    return _affirmed(answer, own)


def _are_opposites(texts: Sequence[list[str]]) -> bool:
    """Whether of two options one denies what the other says: "with a hat" and "without a hat"."""
    about = [set(text) - NEGATIONS - _POLAR for text in texts]  # "a hat"
    denying = [bool(NEGATIONS & set(text)) for text in texts]
    return len(texts) == 2 and bool(about[0]) and about[0] == about[1] and denying[0] != denying[1]


def _said_or_denied(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """Where options are opposites: whether what they are about is said or denied ("he has no hat")."""
    if not _are_opposites(texts):
        return set()
    words = next(text for text in texts if NEGATIONS & set(text))
    about = set(words[next(place for place, word in enumerate(words) if word in NEGATIONS) :]) - NEGATIONS - _POLAR
    clauses = [set(words_of(clause)) for clause in re.split(CLAUSES, answer)]
    denied = {bool(NEGATIONS & words) for words in clauses if about <= words and not _OPEN & words}
    return {index for index, text in enumerate(texts) if bool(NEGATIONS & set(text)) in denied}


def _place(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """An option's place in the list ("option 2", "the second one"), where no option speaks of numbers itself."""
    if any(re.search(r"\d", in_digits(word)) or word in _ORDINALS for text in texts for word in text):
        return set()
    said = answer.strip(" \t\n.,:;!()[]*#\"'`").lower()
    found = set()
    for match in (match for way in _PLACED for match in way.finditer(said)):
        place = int(match[1]) if match[1].isdigit() else _ORDINALS[match[1]] or len(texts)
        denied = NEGATIONS & set(words_of(re.split(CLAUSES, said[: match.start()])[-1])[-REACH:])
        found |= {place - 1} if not denied and 0 < place <= len(texts) else set()
    return found


def _affirmed(answer: str, phrases: Sequence[Sequence[list[str]]]) -> set[int]:
    """Indices of options one of whose phrases is said and not denied.

    Args:
        answer: The answer.
        phrases: For each option the word sequences that name it.
    """
    clauses = [words_of(clause) for clause in re.split(CLAUSES, answer)]
    said = [(word, number) for number, clause in enumerate(clauses) for word in clause]
    words = [word for word, _ in said]
    spans = [
        (start, start + len(phrase), index)
        for index, own in enumerate(phrases)
        for phrase in own
        for start in range(len(words) - len(phrase) + 1)
        if words[start : start + len(phrase)] == phrase
    ]
    reaches = {
        start: max(end for begin, end, _ in group) for start, group in groupby(sorted(spans), lambda span: span[0])
    }
    most = max((end - start for start, end, _ in spans), default=0)
    longest = [
        (start, end, index)
        for start, end, index in spans
        if not any(
            reaches.get(begin, 0) >= end and reaches[begin] - begin > end - start
            for begin in range(start - most + 1, start + 1)
        )
    ]
    within = {at for start, end, _ in longest for at in range(start, end)}
    affirmed: set[int] = set()
    denied: set[int] = set()
    for start, end, index in longest:
        near = range(max(0, start - _FAR), start)
        # the "not" of one option's own words denies no other
        earlier = [said[at][0] for at in near if said[at][1] == said[start][1] and at not in within]
        if _OPEN & set(earlier) and "as" not in earlier:
            continue
        before = set(earlier[-REACH:]) | {"nor", "neither"}.intersection(earlier)
        after = " ".join(word for word, clause in said[end : end + 5] if clause == said[end - 1][1])
        (
            denied
            if (NEGATIONS | NEGATIONS_ELSEWHERE) & before or doubted(earlier) or _REFUTED.match(after)
            else affirmed
        ).add(index)
    if not affirmed and len(denied) == 1 and len(phrases) == 2:
        return {1 - next(iter(denied))}
    return affirmed


_RULES: tuple[tuple[str, Callable[[str, Sequence[list[str]]], set[int]]], ...] = (
    (_BY_LETTER, letters_said),
    ("its whole text", _whole),
    ("yes or no", _yes_or_no),
    ("its text", _texts),
    ("a word that only it has", _telling_words),
    ("a letter in the sentence", loose_letters),
    ("said or denied", _said_or_denied),
    ("its place", _place),
)
