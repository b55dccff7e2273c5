"""Read how a phrase stands in its text: its head, whose it is, and what governs it.

Where pixcore-spacy and an English pipeline of spaCy's are installed, the parse has its say; plain rules, which look at
the words of the phrase and at those beside it, read what it leaves open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from pixcore.errors import ModelError
from pixcore_emergence.vocabulary import NOT_DOING, words

ARTICLES = words("a an the this that these those")
PRONOUNS = words("its his her their our my your whose")
PREPOSITIONS = words(
    """
    of in on at to into onto from with without by for near behind beside besides between among above below
    beneath under underneath over across along around through towards toward against inside outside within upon
    off up down next amid during before after about like as beyond throughout via per
    """
)
_BREAKS = PREPOSITIONS | words("that which who whose where when and or while but is are was were has have")
_HAVING = words("has have had having with features feature featuring shows show showing bears bear displays")
_PARTICLES = words("up out together itself himself herself themselves entirely completely tightly mostly")
_MADE = words("made built constructed crafted carved formed composed woven")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|'s?(?=\s)|\d+")
_PARSED = words("NOUN PROPN PRON NUM ADJ VERB ADV")
_LEANING = words("poss compound amod nmod det")  # such a root heads no phrase: the parse is wrong about it


@dataclass(frozen=True)
class Standing:
    """A phrase in its text, in lower case.

    Attributes:
        head: The word that says what it is; empty where the phrase has none.
        before: The words of the phrase before the head, without a possessor.
        after: The words of the phrase behind its head; where it has none, those of the text, up to the clause's end.
        owner: Whose it is, as "dog" of "the dog's toes", or "its"; empty where nobody is named.
        of: The head of what "of" attaches to it.
        preposition: The one that governs it, as "in" of "in the middle".
        verb: The word before the preposition or the phrase, as "rolled" of "rolled into a ball".
        held: Whether something has it: "has long horns", "with long horns".
    """

    head: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    owner: str = ""
    of: str = ""
    preposition: str = ""
    verb: str = ""
    held: bool = False

    @property
    def modifiers(self) -> tuple[str, ...]:
        """The words before the head that are no articles."""
        return tuple(word for word in self.before if word not in ARTICLES)

    @property
    def made_of(self) -> bool:
        """Whether it is what something is made of."""
        return self.preposition in {"of", "from", "with", "in"} and self.verb in _MADE


@dataclass(frozen=True)
class Around:
    """What else is known of a phrase: the head of what was asked for, and all that was said, in lower case."""

    asked: str
    said: str


def read(phrase: str, text: str = "") -> Standing:
    """Read a phrase where its words first stand in its text; a text without it is not looked at."""
    phrase, text = _straight(phrase), _straight(text)
    start = _found(phrase, text) if phrase.strip() else -1
    if start < 0:
        start, text = 0, phrase
    plain = _read_plainly(phrase, text, start)
    pipeline = parser()
    if pipeline is None or not plain.head:
        return plain
    return _read_parsed(plain, _parse(pipeline, text), start, start + len(phrase))


def _found(phrase: str, text: str) -> int:
    """Say where a phrase begins: "ear" of "the bear has one ear" is the last word; -1 where it is nowhere."""
    alone = re.search(rf"(?:(?<!\w)|(?!\w)){re.escape(phrase)}(?:(?!\w)|(?<!\w))", text, re.IGNORECASE)
    return text.lower().find(phrase.lower()) if alone is None else alone.start()


@cache
def parser() -> str | None:
    """Name the installed English pipeline of spaCy's that parses the texts; None where there is none."""
    try:
        from pixcore_spacy.pipelines import installed, load_for_phrases
    except ImportError:
        return None
    for name in installed("en"):
        try:
            load_for_phrases(name)
        except ModelError:
            continue
        return name
    return None


@lru_cache(maxsize=256)
def _parse(pipeline: str, text: str) -> Any:
    from pixcore_spacy.pipelines import load_for_phrases

    return load_for_phrases(pipeline)(text)


def _read_plainly(phrase: str, text: str, start: int) -> Standing:
    words = words_of(phrase)
    cut = _cut(words)
    before, after = list(words[:cut]), list(words[cut:])
    owner = ""
    for mark in ("'s", "'"):
        if mark in before[1:-1]:
            at = len(before) - 1 - before[::-1].index(mark)
            owner, before = before[at - 1], before[at + 1 :]
    for word in before[:-1]:
        if word in PRONOUNS:
            owner = owner or word
    before = [word for word in before if word not in PRONOUNS and not word.startswith("'")] or before[-1:]
    if not before:
        return Standing("")
    behind = re.split(r"[.;:!?,]", text[start + len(phrase) :])[0]
    after = after or list(words_of(behind))
    last = list(words_of(re.split(r"[.;:!?]", text[:start])[-1]))
    governor = last.pop() if last else ""
    preposition = governor if governor in PREPOSITIONS else ""
    verb = next((word for word in reversed(last) if word not in _PARTICLES), "") if preposition else governor
    return Standing(
        head=before[-1],
        before=tuple(before[:-1]),
        after=tuple(after),
        owner=owner,
        of=_noun_after_of(after),
        preposition=preposition,
        verb=verb,
        held=governor in _HAVING and not verb.endswith("ed"),  # "covered with leaves" has none
    )


def _read_parsed(plain: Standing, document: Any, start: int, end: int) -> Standing:
    span = document.char_span(start, end, alignment_mode="expand")
    if span is None:
        return plain
    root = span.root
    if root.pos_ not in _PARSED or root.dep_ in _LEANING or (root.lower_ in PREPOSITIONS and plain.head != root.lower_):
        return plain
    first = root
    while first.dep_ == "conj" and first.head.i < first.i:
        first = first.head
    governor = first.head if first.dep_ in {"pobj", "dobj", "attr", "pcomp"} else None
    found = plain
    if root.lower_ != plain.head and root.pos_ in {"NOUN", "PROPN"} and root.lower_ in words_of(span.text):
        before = [token.lower_ for token in span if token.i < root.i and token.dep_ not in {"poss", "case"}]
        after = [token.lower_ for token in document[root.i + 1 : root.sent.end]]
        found = replace(found, head=root.lower_, before=tuple(before), after=tuple(after))
    owner = next((token for token in root.children if token.dep_ == "poss"), None)
    of = next((token for token in root.children if token.dep_ == "prep" and token.lower_ == "of"), None)
    owned = next((token.lower_ for token in of.children if token.dep_ == "pobj"), "") if of is not None else ""
    found = replace(found, owner=plain.owner or (owner.lower_ if owner is not None else ""), of=plain.of or owned)
    if governor is None or plain.preposition:
        return found
    if governor.dep_ in {"prep", "agent"}:
        held = governor.lower_ in _HAVING
        return replace(found, preposition=governor.lower_, verb=governor.head.lower_, held=plain.held or held)
    return replace(found, verb=governor.lower_, held=plain.held or governor.lower_ in _HAVING)


def words_of(text: str) -> tuple[str, ...]:
    """Split a text into words, in lower case; "'s" is one of its own, a hyphen parts none."""
    return tuple(_WORD.findall(_straight(text).lower().replace("'s", " 's ") + " "))


def _cut(words: Sequence[str]) -> int:
    """Say where what stands behind the head begins."""
    for index, word in enumerate(words):
        if all(one in ARTICLES or one in PRONOUNS for one in words[:index]):
            continue
        following = words[index + 1] if index + 1 < len(words) else ""
        if word in _BREAKS and (following or word in PREPOSITIONS):
            return index
        verbal = word.endswith("ed") or (word.endswith("ing") and word not in NOT_DOING)
        if verbal and following in PREPOSITIONS:
            return index
    return len(words)


def _noun_after_of(words: Sequence[str]) -> str:
    if words[:1] != ["of"]:
        return ""
    behind = list(words[1:])
    kept = behind[: _cut(behind)]
    return kept[-1] if kept else ""


def _straight(text: str) -> str:
    return text.replace("’", "'")
