"""Sort noun phrases into the paper's six concept categories (section 3), by rules that work offline.

The paper asks GPT-4o; `python -m pixcore_openai concepts` asks a server, and `pixcore emergence --judged` reports how
far these rules agree with what it said. The rules look at the phrase's last word (its head in English), at the words
before it, and at the expression that was asked for. A phrase has one category, the first that fits in the order of
`classify`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum


class Concept(StrEnum):
    """The six concept categories in the paper's order, and one for what a person could not place either."""

    APPEARANCE = "color and appearance"
    LOCATION = "location and position"
    PART = "object part"
    CONTEXT = "context or setting"
    OBJECT = "objects and entities"
    STATE = "state"
    UNSURE = "unsure"

    @property
    def letter(self) -> str:
        """Its letter in the paper's prompt, (a) to (f); u, which the prompt lacks, where nobody could tell."""
        return "abcdefu"[list(Concept).index(self)]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_APPEARANCE = _words(
    "color colour colors colours hue shade tone pattern patterns texture stripe stripes spot spots dot dots shape "
    "appearance look style design material print size length width height brightness red orange yellow green blue "
    "purple violet pink brown black white gray grey gold golden silver beige tan cream maroon navy turquoise teal "
    "magenta cyan crimson scarlet"
)
_LOCATION = _words(
    "left right top bottom center centre middle side sides front back rear foreground background corner edge end "
    "position location direction distance place spot area region part half inside outside upper lower above below "
    "beneath north south east west angle perspective viewpoint view orientation"
)
_PART = _words(
    "head face eye eyes ear ears nose mouth lip lips tooth teeth tongue beak bill neck hair mane fur feather feathers "
    "wing wings tail fin fins leg legs foot feet paw paws claw claws hoof hooves arm arms hand hands finger fingers "
    "thumb shoulder chest belly body back abdomen torso trunk tusk tusks horn horns antenna antennae shell skin scale "
    "scales roof door doors window windows wall chimney wheel wheels tire tires headlight headlights light bumper hood "
    "mirror handle handles lid spout rim stem stems leaf leaves petal petals root roots branch branches bark crown "
    "trunk bloom sail sails mast hull deck bow stern flag key keys button buttons screen keyboard blade blades strap "
    "straps lace laces sole collar sleeve sleeves pocket zipper string strings pedal seat frame lens shade base bulb "
    "flame wick cap label logo core seed seeds center windshield dorsal"
)
_CONTEXT = _words(
    "scene image picture photo photograph setting environment sky ground floor grass field water sea ocean lake river "
    "beach sand snow forest woods mountain mountains hill hills street road city town room kitchen bathroom bedroom "
    "office park garden yard landscape scenery horizon cloud clouds sun sunlight shadow shadows night day weather air "
    "atmosphere surroundings wilderness jungle desert countryside indoors outdoors"
)
_STATE = _words(
    "open closed shut on off up down asleep awake sleeping sitting standing lying running walking flying swimming "
    "floating eating moving still full empty wet dry clean dirty broken intact lit unlit burning raised lowered folded "
    "spread bent straight upright position pose posture motion movement action activity state condition smile frown "
    "expression furled blooming wilted parked resting"
)
_ARTICLES = _words(
    "a an the this that these those its his her their our my your some any each every both all one two three four "
    "five several many few other another no"
)
_STATE_MODIFIERS = _words("open closed shut lit unlit raised lowered folded spread empty full broken furled")


def classify(phrase: str, *, expression: str | None = None) -> Concept:
    """Say what a noun phrase is about.

    In this order: a phrase that shares its last word with the expression is an object or part by that word; then
    location, context, state, appearance, part by the phrase's last word; then appearance and state by what stands
    before a bare "one" or "thing"; else an object.

    Args:
        phrase: The phrase, as it stands in the text.
        expression: The referring expression that was asked for; its possessor tells a part from an object.
    """
    words = _tokens(phrase)
    if not words:
        return Concept.OBJECT
    head = words[-1]
    if expression is not None and head in _tokens(expression)[-1:]:
        return Concept.PART if _possessed(expression) or head in _PART else Concept.OBJECT
    for concept, known in (
        (Concept.LOCATION, _LOCATION - _PART),
        (Concept.CONTEXT, _CONTEXT),
        (Concept.APPEARANCE, _APPEARANCE),
        (Concept.PART, _PART),
        (Concept.STATE, _STATE),
        (Concept.LOCATION, _LOCATION),
    ):
        if head in known:
            return concept
    if head in {"one", "ones", "thing", "things", "it", "they"}:
        before = set(words[:-1])
        if before & _STATE_MODIFIERS:
            return Concept.STATE
        if before & _APPEARANCE:
            return Concept.APPEARANCE
        if before & _LOCATION:
            return Concept.LOCATION
    return Concept.OBJECT


def read_letters(answer: str) -> frozenset[Concept]:
    """Read a judge's answer to the paper's prompt: letters a to f, apart by commas, with or without parentheses."""
    found = set()
    for part in answer.lower().split(","):
        bare = part.strip().strip("().")
        if len(bare) == 1 and bare in "abcdef":
            found.add(list(Concept)["abcdef".index(bare)])
    if not found:
        first = re.match(r"\s*\(?([a-f])\b", answer.lower())
        if first:
            found.add(list(Concept)["abcdef".index(first.group(1))])
    return frozenset(found)


def agreement(rules: Sequence[Concept], judged: Sequence[frozenset[Concept]]) -> Mapping[str, float]:
    """Measure how far the rules agree with a judge, which may name several categories.

    Returns:
        "share": of the phrases that the judge could place, those whose category by rule is among its own; "kappa": the
        share beyond what chance gives, over the most that it could be. Chance is the share that the same rules would
        reach on another phrase's judgement, drawn at random: a judge that names two categories is agreed with more
        often by accident, and that counts nothing. "n".
    """
    pairs = [(rule, named) for rule, named in zip(rules, judged, strict=True) if named]
    if not pairs:
        return {"share": float("nan"), "kappa": float("nan"), "n": 0}
    share = sum(rule in named for rule, named in pairs) / len(pairs)
    by_rule = Counter(rule for rule, _ in pairs)
    chance = sum(count * sum(rule in named for _, named in pairs) for rule, count in by_rule.items()) / len(pairs) ** 2
    kappa = (share - chance) / (1 - chance) if chance < 1 else 1.0
    return {"share": share, "kappa": kappa, "n": len(pairs)}


def judge_prompt(noun: str, text: str) -> str:
    """Write the paper's question to its judge, word by word (gpt_concept_when.py)."""
    return (
        "Can you classify the following noun phrase belongs to which of these 6 concepts: (a) Color and appearance, "
        "(b) Location and position, (c) Object part, (d) Context or setting, (e) Objects/entities, (f) State. Please "
        "respond with one or two letters and provide letters only. You will be given the noun phrase and the "
        f"correponding full context.: '{noun}', '{text}'. "
    )


def _tokens(text: str) -> list[str]:
    words = re.findall(r"[a-z]+", text.lower().replace("’", "'").replace("'s", ""))
    return [word for word in words if word not in _ARTICLES]


def _possessed(expression: str) -> bool:
    return bool(re.search(r"['’]s\s", expression)) or " of " in f" {expression} "
