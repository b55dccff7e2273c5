"""Sort noun phrases into the paper's six concept categories (section 3), by rules that work offline.

The paper asks GPT-4o; `python -m pixcore_openai concepts` asks a server, and `pixcore emergence --judged` reports how
far these rules agree with what it said. The rules look at the phrase's head, at whose it is and what governs it in its
text (`standing`), and at the expression that was asked for. A phrase has one category, the first that fits in the
order of `classify`; `python -m pixcore_emergence.labelled` measures how often it is the one that people gave.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from pixcore_emergence.standing import PREPOSITIONS, Standing, read
from pixcore_emergence.vocabulary import (
    ANIMALS,
    APPEARANCE,
    BOUNDS,
    COLOURS,
    COMPOUND_CONTEXTS,
    COMPOUND_OBJECTS,
    COMPOUND_PARTS,
    CONTEXT,
    FITTINGS,
    LOCATION,
    LOOK_THROUGH,
    LOOSE,
    MATERIALS,
    MOODS,
    MOODY,
    NOT_DOING,
    OWNERS,
    PART,
    PEOPLE,
    PLACES_IN,
    SHAPES,
    SIZES,
    STATE,
    STATE_WORDS,
    THINGS,
    UNSURE,
    words,
)


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


def classify(phrase: str, *, text: str = "", expression: str | None = None) -> Concept:
    """Say what a noun phrase is about.

    The head decides, with what stands around it: first what names nothing, then words that mean one thing with an
    owner, an adjective or a preposition and another without, then the vocabulary, then owners of words that it lacks.

    Args:
        phrase: The phrase, as it stands in the text.
        text: The text that it stands in.
        expression: The referring expression that was asked for; where the phrase repeats its head, its owner is the
            phrase's as well.
    """
    asked = read(expression or "")
    return _concept(_as_asked(read(phrase, text), asked), _Around(asked.head, f"{text} {expression or ''}".lower()))


@dataclass(frozen=True)
class _Around:
    """What else is known: the head of what was asked for, and all that was said."""

    asked: str
    said: str


def _concept(at: Standing, around: _Around) -> Concept:
    if at.of and in_list(at.head, LOOK_THROUGH) and not _own_sense(at):
        if in_list(at.of, PEOPLE) and at.of in _PRONOUNS:
            return Concept.UNSURE
        return _concept(_behind_of(at), around)
    rules: tuple[Callable[[Standing, _Around], Concept | None], ...] = (
        _nothing,
        _bare,
        _compound,
        _ambiguous,
        _placed,
        _known,
        _owned,
        _shaped,
    )
    return next((found for rule in rules if (found := rule(at, around)) is not None), Concept.OBJECT)


def _nothing(at: Standing, around: _Around) -> Concept | None:
    if at.head == "time" and at.of == "day":
        return Concept.CONTEXT
    if not at.head or at.head.isdigit() or (len(at.head) == 1 and at.head.isalpha()):
        return Concept.UNSURE
    if at.head in _PERSONAL:
        return Concept.OBJECT
    return Concept.UNSURE if in_list(at.head, UNSURE) else None


def _bare(at: Standing, around: _Around) -> Concept | None:
    """A "one" or "thing" is what tells it apart."""
    if at.head not in {"one", "ones", "thing", "things"}:
        return None
    before, after = set(at.modifiers), at.after
    if before & STATE_WORDS:
        return Concept.STATE
    if before & (COLOURS | SIZES | MATERIALS):
        return Concept.APPEARANCE
    if before & (PLACES_IN | LOCATION | {"same"}):
        return Concept.LOCATION
    if after[:1] and after[0] in {"with", "wearing"}:
        return Concept.APPEARANCE
    if after[:1] and after[0] in {"in", "of"} and any(word in COLOURS for word in after[1:3]):
        return Concept.APPEARANCE
    if after[:1] and after[0] in PREPOSITIONS - {"of"}:
        return Concept.LOCATION
    if after[:1] and after[0].endswith("ing"):
        return Concept.STATE
    return Concept.UNSURE


def _compound(at: Standing, around: _Around) -> Concept | None:
    """Two words that are one name, as "traffic light"."""
    if not at.modifiers:
        return None
    pairs = {(at.modifiers[-1], head) for head in forms(at.head)}
    for known, concept in (
        (COMPOUND_OBJECTS, Concept.OBJECT),
        (COMPOUND_PARTS, Concept.PART),
        (COMPOUND_CONTEXTS, Concept.CONTEXT),
    ):
        if pairs & known:
            return concept
    return None


def _ambiguous(at: Standing, around: _Around) -> Concept | None:
    """Words whose sense the words beside them tell."""
    before, heads = set(at.modifiers), forms(at.head)
    if "position" in heads:
        posed = any(word in STATE_WORDS or _doing(word) for word in before)
        return Concept.STATE if posed else Concept.LOCATION
    if heads & {"background", "foreground"}:
        return Concept.LOCATION if at.preposition in {"in", "from", "into"} and not before else Concept.CONTEXT
    if heads & {"look", "air"} and (before & MOODY or in_list(at.of, MOODS)):
        return Concept.STATE
    if "coat" in heads:  # of hair, or to wear
        animal = in_list(at.owner or at.of or around.asked, ANIMALS) or at.owner == "its"
        return Concept.PART if animal else Concept.OBJECT
    if "view" in heads:
        return Concept.CONTEXT if before & {"beautiful", "scenic", "panoramic", "stunning"} else Concept.LOCATION
    if "light" in heads:
        return _light(at, around)
    if "shadow" in heads and (at.owner or at.of):
        return Concept.OBJECT
    if "shade" in heads and (in_list(at.of, COLOURS) or before & (COLOURS | SIZES)):
        return Concept.APPEARANCE
    if "shade" in heads and at.preposition in {"in", "under"}:
        return Concept.CONTEXT
    if heads & {"middle", "midst", "act", "process", "verge"} and (_doing(at.of) or in_list(at.of, STATE)):
        return Concept.STATE
    if heads & {"hand", "back", "side"} and at.owner:
        return Concept.PART
    if "wall" in heads and (at.owner or (at.of and not in_list(at.of, CONTEXT)) or at.held):
        return Concept.PART
    if "surface" in heads and at.preposition in {"on", "across", "over", "against"} and not (at.of or at.owner):
        return Concept.CONTEXT
    if "spot" in heads and at.preposition in {"in", "at"}:
        return Concept.LOCATION
    if heads & {"swing", "walk", "fire", "run", "construction", "work", "sale", "display", "swim"}:
        if at.preposition in {"in", "on", "under", "at"} and not at.before:
            return Concept.STATE
        return Concept.OBJECT if "swing" in heads or "fire" in heads else None
    if "rest" in heads and "the" in at.before and at.preposition != "at":
        return Concept.UNSURE
    if "half" in heads and at.preposition == "in" and not at.before:
        return Concept.STATE
    if "dark" in heads and at.preposition == "in":
        return Concept.CONTEXT
    if "frame" in heads and at.preposition in {"in", "of"} and not before and around.asked != "frame":
        return Concept.CONTEXT
    if at.made_of and (heads | before) & MATERIALS:
        return Concept.APPEARANCE
    if "orange" in heads and (at.head == "oranges" or ({"an", "orange"} <= {*at.before, at.head} and not before)):
        return Concept.OBJECT
    if heads & (SHAPES | _BUNDLED):
        return _shape(at, around)
    if "body" in heads and at.of == "water":
        return Concept.CONTEXT
    if heads & {"stage", "court", "ring", "base", "foot"} and at.owner == "" and at.preposition in {"at", "near"}:
        return Concept.LOCATION if heads & {"base", "foot"} else Concept.CONTEXT
    if "stage" in heads:
        return Concept.STATE if before & {"early", "late", "final", "growth"} or at.of else Concept.CONTEXT
    return None


def _light(at: Standing, around: _Around) -> Concept:
    before = set(at.modifiers)
    if any(word in OWNERS for word in before) or at.owner:
        return Concept.PART
    if before & COLOURS - {"dark", "light", "pale", "bright"} and ("traffic" in around.said or "signal" in around.said):
        return Concept.PART
    if not set(at.before) & {"a", "two", "several"} and not at.head.endswith("s") and around.asked != "light":
        return Concept.CONTEXT
    return Concept.OBJECT


def _shape(at: Standing, around: _Around) -> Concept | None:
    if at.preposition in {"in", "into"} and at.verb.startswith(_FOLDING):
        return Concept.STATE
    if in_list(at.head, _BUNDLED):
        return None
    if "star" in forms(at.head) and ("sky" in around.said or "night" in around.said):
        return Concept.CONTEXT
    if at.head == "square" and "the" in at.before:  # of a town
        return Concept.CONTEXT
    return Concept.APPEARANCE


def _placed(at: Standing, around: _Around) -> Concept | None:
    """Sides, ends, edges: a place after a preposition, else a part of what owns them."""
    bound = in_list(at.head, BOUNDS)
    if not bound and not in_list(at.head, PLACES_IN):
        return None
    placing = at.preposition in _PLACING and not at.held
    if in_list(at.head, {"surface", "rim", "outline", "contour", "border", "tip"}):
        return Concept.PART
    if at.owner and not in_list(at.owner, CONTEXT):
        return Concept.PART
    if bound:
        return Concept.LOCATION if placing or (at.of and in_list(at.of, CONTEXT)) else Concept.PART
    if in_list(at.head, {"back"}) and in_list(at.of, ANIMALS | PEOPLE):
        return Concept.PART
    if (at.of and not placing and not in_list(at.of, CONTEXT) and not in_list(at.of, PEOPLE)) or at.held:
        return Concept.PART
    return Concept.LOCATION


def _known(at: Standing, around: _Around) -> Concept | None:
    """Words of the vocabulary that mean one thing."""
    if in_list(at.head, FITTINGS | LOOSE):
        return _loose(at, around)
    for known, concept in (
        (PART, Concept.PART),
        (LOCATION, Concept.LOCATION),
        (CONTEXT, Concept.CONTEXT),
        (APPEARANCE | COLOURS | SIZES, Concept.APPEARANCE),
        (STATE, Concept.STATE),
        (STATE_WORDS, Concept.STATE),
        (PEOPLE | ANIMALS | THINGS, Concept.OBJECT),
    ):
        if in_list(at.head, known):
            return concept
    return None


def _loose(at: Standing, around: _Around) -> Concept:
    """What also stands alone is a part where the whole is named, or near and another."""
    if _human(at.owner) or in_list(at.of, PEOPLE) or (at.held and in_list(around.asked, PEOPLE)):
        return Concept.OBJECT
    whole = at.owner or at.held or (at.of and not in_list(at.of, CONTEXT))
    compound = any(in_list(word, OWNERS | PART) for word in at.modifiers)
    other = bool(around.asked) and not forms(around.asked) & forms(at.head)
    near = in_list(at.head, FITTINGS) and "the" in at.before and other and not at.preposition
    several = at.head in {"leaves", "feathers", "scales", "keys", "buttons", "strings"}
    return Concept.PART if whole or compound or near or several else Concept.OBJECT


def _owned(at: Standing, around: _Around) -> Concept | None:
    """Whatever belongs to a thing or an animal is a part of it, unless it is known to be none."""
    if at.owner:
        return None if _human(at.owner) or in_list(at.owner, CONTEXT) else Concept.PART
    if in_list(at.of, CONTEXT) and "the" in at.before:
        return Concept.CONTEXT
    whole = at.of and "the" in at.before and not in_list(at.of, PEOPLE | MATERIALS | STATE | UNSURE)
    return Concept.PART if whole else None


def _shaped(at: Standing, around: _Around) -> Concept | None:
    """What a word's ending tells."""
    entered = at.preposition in {"in", "under"} and not at.before and not at.head.endswith("s")
    if entered and not at.verb.startswith(_COVERED) and not in_list(at.head, MATERIALS):
        return Concept.STATE
    if _doing(at.head) or at.head.startswith("mid-"):
        return Concept.STATE
    if at.head.endswith(("colored", "coloured", "ish", "shaped", "patterned")) and at.head not in {"fish", "dish"}:
        return Concept.APPEARANCE
    if at.head.endswith(("ness", "ity")) and at.head != "electricity":
        return Concept.STATE
    return None


def in_list(word: str, known: Set[str]) -> bool:
    """Say whether a word, or what it may be the plural of, is in a list."""
    return not known.isdisjoint(forms(word))


def forms(word: str) -> frozenset[str]:
    """Give a word and what it may be the plural of."""
    found = {word, *_IRREGULAR.get(word, ())}
    if word.endswith("s") and len(word) > 3 and not word.endswith("ss"):
        found.add(word[:-1])
        if word.endswith("es"):
            found.add(word[:-2])
        if word.endswith("ies"):
            found.add(word[:-3] + "y")
        if word.endswith("ves"):
            found |= {word[:-3] + "f", word[:-3] + "fe"}
    return frozenset(found - {""})


_IRREGULAR = {
    "feet": ("foot",),
    "teeth": ("tooth",),
    "geese": ("goose",),
    "mice": ("mouse",),
    "men": ("man",),
    "women": ("woman",),
    "children": ("child",),
    "antennae": ("antenna",),
    "vertebrae": ("vertebra",),
    "stigmata": ("stigma",),
    "calves": ("calf",),
}
_BUNDLED = words("ball bundle knot coil heap")
_FOLDING = ("curl", "roll", "fold", "twist", "bent", "bend", "coil", "tuck", "tied", "shap")
_COVERED = ("cover", "dress", "wrap", "dip", "coat", "clad", "drench", "smother")
_PERSONAL = words("i me you he him she her it we us they them himself herself itself themselves")
_PRONOUNS = _PERSONAL | words("these those")
_PLACING = words(
    """
    in on at to onto into from near by beside towards toward along across around over above below under behind
    against off past beyond through
    """
)


def _as_asked(at: Standing, asked: Standing) -> Standing:
    """Take over the owner and the first half of the name of what was asked for, where the phrase repeats its head."""
    if not at.head or not forms(at.head) & forms(asked.head) or at.modifiers or at.owner:
        return at
    return replace(at, owner=asked.owner, before=(*at.before, *asked.modifiers), of=at.of or asked.of)


def _behind_of(at: Standing) -> Standing:
    """Read what "of" attaches as the phrase itself."""
    words = at.after[1:]
    end = next((index for index, word in enumerate(words) if word == at.of), 0)
    return replace(at, head=at.of, before=tuple(words[:end]), after=tuple(words[end + 1 :]), of="")


def _own_sense(at: Standing) -> bool:
    """Whether a word before "of" stands for itself: an animal's body, the left half, a line that is one."""
    if at.head in {"body", "rest"}:
        return at.of != "water" if at.head == "body" else "the" not in at.before
    if in_list(at.head, {"half", "third", "quarter", "portion"}):
        return bool(at.modifiers)
    if in_list(at.head, {"string", "line"}):
        return not at.of.endswith("s")
    if in_list(at.head, {"sign", "sense", "state"}):
        return not (in_list(at.of, STATE) or at.head != "sign")
    return False


def _doing(word: str) -> bool:
    return word.endswith("ing") and len(word) > 4 and word not in NOT_DOING and not word.endswith("thing")


def _human(owner: str) -> bool:
    return owner in _HUMAN_PRONOUNS or in_list(owner, PEOPLE)


_HUMAN_PRONOUNS = words("his her their our my your whose")


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


def agreement(rules: Sequence[Concept], judged: Sequence[frozenset[Concept]]) -> Mapping[str, float | None]:
    """Measure how far the rules agree with a judge, which may name several categories.

    Returns:
        "share": of the phrases that the judge could place, those whose category by rule is among its own; "kappa": the
        share beyond what chance gives, over the most that it could be. Chance is the share that the same rules would
        reach on another phrase's judgement, drawn at random: a judge that names two categories is agreed with more
        often by accident, and that counts nothing; None where chance alone would have them agree in everything. "n".
    """
    pairs = [(rule, named) for rule, named in zip(rules, judged, strict=True) if named]
    if not pairs:
        return {"share": None, "kappa": None, "n": 0}
    share = sum(rule in named for rule, named in pairs) / len(pairs)
    by_rule = Counter(rule for rule, _ in pairs)
    chance = sum(count * sum(rule in named for _, named in pairs) for rule, count in by_rule.items()) / len(pairs) ** 2
    kappa = (share - chance) / (1 - chance) if chance < 1 else None
    return {"share": share, "kappa": kappa, "n": len(pairs)}


def agreement_told(found: Mapping[str, float | None]) -> str:
    """Tell an `agreement` of some phrases: "86 % (kappa 0.81)"."""
    kappa = found["kappa"]
    return f"{100 * (found['share'] or 0):.0f} %" + ("" if kappa is None else f" (kappa {kappa:.2f})")


def judge_prompt(noun: str, text: str) -> str:
    """Write the paper's question to its judge, word by word (gpt_concept_when.py)."""
    return (
        "Can you classify the following noun phrase belongs to which of these 6 concepts: (a) Color and appearance, "
        "(b) Location and position, (c) Object part, (d) Context or setting, (e) Objects/entities, (f) State. Please "
        "respond with one or two letters and provide letters only. You will be given the noun phrase and the "
        f"correponding full context.: '{noun}', '{text}'. "
    )
