"""Tell what a word that names several things stands for, by the words beside it: a dog's coat, a red coat.

Each sense is a rule of a few words; the first that says something stands.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from pixcore_emergence.concepts import Concept
from pixcore_emergence.standing import Around, Standing
from pixcore_emergence.vocabulary import (
    ANIMALS,
    COLOURS,
    CONTEXT,
    MOODS,
    MOODY,
    OWNERS,
    SHAPES,
    SIZES,
    STATE,
    STATE_WORDS,
    words,
)
from pixcore_emergence.word_forms import forms, in_list, is_doing

Rule = Callable[[Standing, Around], Concept | None]
"""Says what a phrase is about, or None where that is for another rule to say."""


def sense(at: Standing, around: Around) -> Concept | None:
    """Give what a word of several senses is about; None where it is no such word, or nothing beside it tells."""
    heads = forms(at.head)
    found = (rule(at, around) for known, rule in _SENSES if heads & known)
    return next((concept for concept in found if concept is not None), None)


def _position(at: Standing, around: Around) -> Concept:
    posed = any(word in STATE_WORDS or is_doing(word) for word in at.modifiers)
    return Concept.STATE if posed else Concept.LOCATION


def _ground(at: Standing, around: Around) -> Concept:
    alone = at.preposition in {"in", "from", "into"} and not at.modifiers
    return Concept.LOCATION if alone else Concept.CONTEXT


def _look(at: Standing, around: Around) -> Concept | None:
    return Concept.STATE if MOODY & set(at.modifiers) or in_list(at.of, MOODS) else None


def _coat(at: Standing, around: Around) -> Concept:
    """Of hair, or to wear."""
    animal = in_list(at.owner or at.of or around.asked, ANIMALS) or at.owner == "its"
    return Concept.PART if animal else Concept.OBJECT


def _view(at: Standing, around: Around) -> Concept:
    scenic = {"beautiful", "scenic", "panoramic", "stunning"}.intersection(at.modifiers)
    return Concept.CONTEXT if scenic else Concept.LOCATION


def _light(at: Standing, around: Around) -> Concept:
    before = set(at.modifiers)
    if before & OWNERS or at.owner:
        return Concept.PART
    if before & COLOURS - {"dark", "light", "pale", "bright"} and ("traffic" in around.said or "signal" in around.said):
        return Concept.PART
    if not set(at.before) & {"a", "two", "several"} and not at.head.endswith("s") and around.asked != "light":
        return Concept.CONTEXT
    return Concept.OBJECT


def _shadow(at: Standing, around: Around) -> Concept | None:
    return Concept.OBJECT if at.owner or at.of else None


def _shade(at: Standing, around: Around) -> Concept | None:
    if in_list(at.of, COLOURS) or (COLOURS | SIZES).intersection(at.modifiers):
        return Concept.APPEARANCE
    return Concept.CONTEXT if at.preposition in {"in", "under"} else None


def _midst(at: Standing, around: Around) -> Concept | None:
    return Concept.STATE if is_doing(at.of) or in_list(at.of, STATE) else None


def _side(at: Standing, around: Around) -> Concept | None:
    return Concept.PART if at.owner else None


def _wall(at: Standing, around: Around) -> Concept | None:
    whole = at.owner or (at.of and not in_list(at.of, CONTEXT)) or at.held
    return Concept.PART if whole else None


def _surface(at: Standing, around: Around) -> Concept | None:
    below = at.preposition in {"on", "across", "over", "against"} and not (at.of or at.owner)
    return Concept.CONTEXT if below else None


def _spot(at: Standing, around: Around) -> Concept | None:
    return Concept.LOCATION if at.preposition in {"in", "at"} else None


def _activity(at: Standing, around: Around) -> Concept | None:
    if at.preposition in {"in", "on", "under", "at"} and not at.before:
        return Concept.STATE
    return Concept.OBJECT if forms(at.head) & {"swing", "fire"} else None


def _rest(at: Standing, around: Around) -> Concept | None:
    return Concept.UNSURE if "the" in at.before and at.preposition != "at" else None


def _half(at: Standing, around: Around) -> Concept | None:
    return Concept.STATE if at.preposition == "in" and not at.before else None


def _dark(at: Standing, around: Around) -> Concept | None:
    return Concept.CONTEXT if at.preposition == "in" else None


def _frame(at: Standing, around: Around) -> Concept | None:
    """Of the picture, unless a frame was asked for."""
    picture = at.preposition in {"in", "of"} and not at.modifiers and around.asked != "frame"
    return Concept.CONTEXT if picture else None


def _orange(at: Standing, around: Around) -> Concept | None:
    fruit = at.head == "oranges" or ({"an", "orange"} <= {*at.before, at.head} and not at.modifiers)
    return Concept.OBJECT if fruit else None


def _shape(at: Standing, around: Around) -> Concept | None:
    if _folded(at, around):
        return Concept.STATE
    if "star" in forms(at.head) and ("sky" in around.said or "night" in around.said):
        return Concept.CONTEXT
    if at.head == "square" and "the" in at.before:  # of a town
        return Concept.CONTEXT
    return Concept.APPEARANCE


def _folded(at: Standing, around: Around) -> Concept | None:
    """As "curled into a ball"."""
    return Concept.STATE if at.preposition in {"in", "into"} and at.verb.startswith(_FOLDING) else None


def _body(at: Standing, around: Around) -> Concept | None:
    return Concept.CONTEXT if at.of == "water" else None


def _base(at: Standing, around: Around) -> Concept | None:
    return Concept.LOCATION if not at.owner and at.preposition in {"at", "near"} else None


def _court(at: Standing, around: Around) -> Concept | None:
    return Concept.CONTEXT if not at.owner and at.preposition in {"at", "near"} else None


def _stage(at: Standing, around: Around) -> Concept:
    """To stand on, or of a life."""
    early = {"early", "late", "final", "growth"}.intersection(at.modifiers)
    near = _court(at, around)
    return near or (Concept.STATE if early or at.of else Concept.CONTEXT)


_FOLDING = ("curl", "roll", "fold", "twist", "bent", "bend", "coil", "tuck", "tied", "shap")
_SENSES: tuple[tuple[Set[str], Rule], ...] = (
    (words("position"), _position),
    (words("background foreground"), _ground),
    (words("look air"), _look),
    (words("coat"), _coat),
    (words("view"), _view),
    (words("light"), _light),
    (words("shadow"), _shadow),
    (words("shade"), _shade),
    (words("middle midst act process verge"), _midst),
    (words("hand back side"), _side),
    (words("wall"), _wall),
    (words("surface"), _surface),
    (words("spot"), _spot),
    (words("swing walk fire run construction work sale display swim"), _activity),
    (words("rest"), _rest),
    (words("half"), _half),
    (words("dark"), _dark),
    (words("frame"), _frame),
    (words("orange"), _orange),
    (words("ball bundle knot coil heap"), _folded),
    (SHAPES, _shape),
    (words("body"), _body),
    (words("base foot"), _base),
    (words("court ring"), _court),
    (words("stage"), _stage),
)
