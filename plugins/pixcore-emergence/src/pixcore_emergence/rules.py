"""Sort noun phrases into the paper's six concept categories by rules that work offline.

The rules look at the phrase's head, at whose it is and what governs it in its text (`standing`), and at the expression
that was asked for. A phrase has one category, the first that fits in the order of `classify`;
`python -m pixcore_emergence.labelled` measures how often it is the one that people gave.
"""

from __future__ import annotations

from dataclasses import replace

from pixcore_emergence.concepts import Concept
from pixcore_emergence.senses import Rule, sense
from pixcore_emergence.standing import PREPOSITIONS, Around, Standing, read
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
    OWNERS,
    PART,
    PEOPLE,
    PLACES_IN,
    SIZES,
    STATE,
    STATE_WORDS,
    THINGS,
    UNSURE,
    words,
)
from pixcore_emergence.word_forms import forms, in_list, is_doing


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
    return _concept(_as_asked(read(phrase, text), asked), Around(asked.head, f"{text} {expression or ''}".lower()))


def _concept(at: Standing, around: Around) -> Concept:
    if at.of and in_list(at.head, LOOK_THROUGH) and not _own_sense(at):
        if in_list(at.of, PEOPLE) and at.of in _PRONOUNS:
            return Concept.UNSURE
        return _concept(_behind_of(at), around)
    found = (rule(at, around) for rule in _RULES)
    return next((concept for concept in found if concept is not None), Concept.OBJECT)


def _nothing(at: Standing, around: Around) -> Concept | None:
    if at.head == "time" and at.of == "day":
        return Concept.CONTEXT
    if not at.head or at.head.isdigit() or (len(at.head) == 1 and at.head.isalpha()):
        return Concept.UNSURE
    if at.head in _PERSONAL:
        return Concept.OBJECT
    return Concept.UNSURE if in_list(at.head, UNSURE) else None


def _bare(at: Standing, around: Around) -> Concept | None:
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


def _compound(at: Standing, around: Around) -> Concept | None:
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


def _made(at: Standing, around: Around) -> Concept | None:
    """What something is made of."""
    material = MATERIALS & {*forms(at.head), *at.modifiers}
    return Concept.APPEARANCE if at.made_of and material else None


def _placed(at: Standing, around: Around) -> Concept | None:
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


def _known(at: Standing, around: Around) -> Concept | None:
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


def _loose(at: Standing, around: Around) -> Concept:
    """What also stands alone is a part where the whole is named, or near and another."""
    if _human(at.owner) or in_list(at.of, PEOPLE) or (at.held and in_list(around.asked, PEOPLE)):
        return Concept.OBJECT
    whole = at.owner or at.held or (at.of and not in_list(at.of, CONTEXT))
    compound = any(in_list(word, OWNERS | PART) for word in at.modifiers)
    other = bool(around.asked) and not forms(around.asked) & forms(at.head)
    near = in_list(at.head, FITTINGS) and "the" in at.before and other and not at.preposition
    several = at.head in {"leaves", "feathers", "scales", "keys", "buttons", "strings"}
    return Concept.PART if whole or compound or near or several else Concept.OBJECT


def _owned(at: Standing, around: Around) -> Concept | None:
    """Whatever belongs to a thing or an animal is a part of it, unless it is known to be none."""
    if at.owner:
        return None if _human(at.owner) or in_list(at.owner, CONTEXT) else Concept.PART
    if in_list(at.of, CONTEXT) and "the" in at.before:
        return Concept.CONTEXT
    whole = at.of and "the" in at.before and not in_list(at.of, PEOPLE | MATERIALS | STATE | UNSURE)
    return Concept.PART if whole else None


def _shaped(at: Standing, around: Around) -> Concept | None:
    """What a word's ending tells."""
    entered = at.preposition in {"in", "under"} and not at.before and not at.head.endswith("s")
    if entered and not at.verb.startswith(_COVERED) and not in_list(at.head, MATERIALS):
        return Concept.STATE
    if is_doing(at.head) or at.head.startswith("mid-"):
        return Concept.STATE
    if at.head.endswith(("colored", "coloured", "ish", "shaped", "patterned")) and at.head not in {"fish", "dish"}:
        return Concept.APPEARANCE
    if at.head.endswith(("ness", "ity")) and at.head != "electricity":
        return Concept.STATE
    return None


_COVERED = ("cover", "dress", "wrap", "dip", "coat", "clad", "drench", "smother")
_PERSONAL = words("i me you he him she her it we us they them himself herself itself themselves")
_PRONOUNS = _PERSONAL | words("these those")
_HUMAN_PRONOUNS = words("his her their our my your whose")
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


def _human(owner: str) -> bool:
    return owner in _HUMAN_PRONOUNS or in_list(owner, PEOPLE)


_RULES: tuple[Rule, ...] = (_nothing, _bare, _compound, sense, _made, _placed, _known, _owned, _shaped)
