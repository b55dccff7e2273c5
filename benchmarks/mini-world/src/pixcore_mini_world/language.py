"""Say in words what is in a scene: references, questions with two options, and answers in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pixcore_mini_world.kinds import COLOURS, Category, verb_of
from pixcore_mini_world.scene import Scene, Thing

_NEAR_EDGE = 0.36
PLACES = (
    ("in the upper left corner", "at the top", "in the upper right corner"),
    ("on the left side", "in the middle", "on the right side"),
    ("in the lower left corner", "at the bottom", "in the lower right corner"),
)


@dataclass(frozen=True)
class Question:
    """A question with two options about one scene.

    Attributes:
        text: the question alone, ending in a question mark.
        options: the two options, in the order in which they are offered.
        answer: the index of the right option.
        sentence: the right answer as a sentence, which names the right option and not the other one.
        expression: the referring expression of what the question is about, such as "the door of the house".
        thing: the index of that thing in the scene; None when it is absent.
        part: the part of the thing; None for the thing as a whole.
        category: what is asked for.
    """

    text: str
    options: tuple[str, str]
    answer: int
    sentence: str
    expression: str
    thing: int | None
    part: str | None
    category: Category


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def place(thing: Thing) -> str:
    """Name where a thing is: one of nine places."""
    column = 0 if thing.x < _NEAR_EDGE else 2 if thing.x > 1 - _NEAR_EDGE else 1
    row = 0 if thing.y < _NEAR_EDGE else 2 if thing.y > 1 - _NEAR_EDGE else 1
    return PLACES[row][column]


def reference(scene: Scene, thing: Thing, *, coloured: bool = False) -> str:
    """Write the shortest noun phrase that tells a thing from the others; with its colour also when asked for."""
    ambiguous = len(scene.of_kind(thing.kind)) > 1
    return f"the {thing.colour} {thing.kind}" if ambiguous or coloured else f"the {thing.kind}"


def expression(reference_of_thing: str, part: str | None) -> str:
    """Write the referring expression of a thing or of one of its parts."""
    return f"the {part} of {reference_of_thing}" if part else reference_of_thing


def _options(rng: Random, right: str, wrong: str, flip: bool | None) -> tuple[tuple[str, str], int]:
    right_first = rng.random() < 0.5 if flip is None else not flip
    return ((right, wrong), 0) if right_first else ((wrong, right), 1)


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def ask_attribute(
    scene: Scene, index: int, attribute: int, rng: Random, *, coloured: bool = False, flip: bool | None = None
) -> Question:
    """Ask about a state or an orientation.

    Args:
        scene: the scene.
        index: which thing.
        attribute: which of its kind's attributes.
        rng: decides the options' order where ``flip`` does not.
        coloured: refer to the thing with its colour even where that is not needed.
        flip: True puts the right option second, False first.
    """
    thing = scene.things[index]
    asked, value = thing.spec.attributes[attribute], thing.values[attribute]
    ref = reference(scene, thing, coloured=coloured)
    options, answer = _options(rng, value, asked.other(value), flip)
    return Question(
        asked.question.format(ref=ref),
        options,
        answer,
        asked.sentence.format(ref=ref, Ref=_capital(ref), value=value),
        expression(ref, asked.part),
        index,
        asked.part,
        asked.category,
    )


def ask_colour(
    scene: Scene,
    index: int,
    part: str | None,
    rng: Random,
    *,
    wrong: str | None = None,
    coloured: bool = False,
    flip: bool | None = None,
) -> Question:
    """Ask about the colour of a thing (``part`` None) or of a part.

    The wrong option is never the colour that the question itself uses to refer to the thing.

    Raises:
        ValueError: the colour of a thing is asked for in a scene where only its colour refers to it.
    """
    thing = scene.things[index]
    about_main = part in (None, thing.spec.parts[0])
    if about_main and len(scene.of_kind(thing.kind)) > 1:
        raise ValueError(f"the colour of one of two {thing.kind}s is what tells them apart")
    ref = reference(scene, thing, coloured=coloured and not about_main)
    colour = thing.colours[0] if part is None else thing.colours[thing.spec.parts.index(part)]
    if wrong is None:
        wrong = rng.choice([name for name in COLOURS if name not in (colour, thing.colour)])
    options, answer = _options(rng, colour, wrong, flip)
    subject, verb = expression(ref, part), verb_of(part) if part else "is"
    return Question(
        f"What color {verb} {subject}?",
        options,
        answer,
        f"{_capital(subject)} {verb} {colour}.",
        subject,
        index,
        part,
        "part" if part else "colour",
    )


def ask_position(
    scene: Scene,
    index: int,
    rng: Random,
    *,
    horizontal: bool,
    coloured: bool = False,
    flip: bool | None = None,
) -> Question:
    """Ask about the half of the image that a thing is in."""
    thing = scene.things[index]
    ref = reference(scene, thing, coloured=coloured)
    if horizontal:
        first = thing.x < 0.5
        values = ("left", "right")
        text = f"Is {ref} on the left or on the right side of the image?"
        sentence = f"{_capital(ref)} is on the {{}} side of the image."
    else:
        first = thing.y < 0.5
        values = ("top", "bottom")
        text = f"Is {ref} at the top or at the bottom of the image?"
        sentence = f"{_capital(ref)} is at the {{}} of the image."
    right, wrong = values if first else values[::-1]
    options, answer = _options(rng, right, wrong, flip)
    return Question(text, options, answer, sentence.format(right), ref, index, None, "position")


def ask_presence(scene: Scene, noun: str, index: int | None, rng: Random, *, flip: bool | None = None) -> Question:
    """Ask whether something is there.

    Args:
        scene: the scene.
        noun: a kind, with a colour before it or not: "fish", "red fish".
        index: the thing that it names; None when nothing in the scene is one.
        rng: decides the options' order where ``flip`` does not.
        flip: True puts the right option second, False first.
    """
    there = index is not None
    options, answer = _options(rng, *(("yes", "no") if there else ("no", "yes")), flip)
    if index is None:
        sentence = f"No, there is no {noun} in the scene."
    else:
        thing = scene.things[index]
        named = f"{thing.colour} {thing.kind}"
        sentence = f"Yes, there is {with_article(named)} {place(thing)} of the image."
    text = f"Is there {with_article(noun)} in the scene?"
    return Question(text, options, answer, sentence, f"the {noun}", index, None, "presence")


def describe(scene: Scene, index: int, part: str | None = None) -> str:
    """Answer "Identify ... in the scene.": what a thing or a part is like, where, and beside what."""
    thing = scene.things[index]
    if part is None:
        return f"The {thing.colour} {thing.kind} {_whereabouts(scene, index)} {_make_up(thing)}"
    verb = verb_of(part)
    attributes = [
        (attribute, value)
        for attribute, value in zip(thing.spec.attributes, thing.values, strict=True)
        if attribute.part == part
    ]
    colour = thing.colour_of(part)
    if colour is None:
        said = attributes[0][1]
    else:
        said = " ".join([colour, *(a.part_clause.format(value=value) for a, value in attributes)])
    first = f"The {part} of the {thing.colour} {thing.kind} {verb} {said}."
    return f"{first} The {thing.kind} {_whereabouts(scene, index)}"


def describe_absent(noun: str) -> str:
    """Answer "Identify ... in the scene." when there is no such thing."""
    return f"There is no {noun} in the scene."


def _whereabouts(scene: Scene, index: int) -> str:
    thing = scene.things[index]
    where = f"is {place(thing)} of the image"
    others = [other for i, other in enumerate(scene.things) if i != index]
    if not others:
        return f"{where}."
    nearest = min(others, key=lambda other: (other.x - thing.x) ** 2 + (other.y - thing.y) ** 2)
    dx, dy = thing.x - nearest.x, thing.y - nearest.y
    if abs(dx) > abs(dy):
        relation = "to the left of" if dx < 0 else "to the right of"
    else:
        relation = "above" if dy < 0 else "below"
    return f"{where}, {relation} the {nearest.colour} {nearest.kind}."


def _make_up(thing: Thing) -> str:
    has = [
        f"{colour} {part}" if verb_of(part) == "are" else with_article(f"{colour} {part}")
        for part, colour in zip(thing.spec.parts[1:], thing.colours[1:], strict=True)
    ]
    clauses = [
        attribute.clause.format(value=value)
        for attribute, value in zip(thing.spec.attributes, thing.values, strict=True)
    ]
    return f"It has {', '.join([' and '.join(has), *clauses[:-1]])}, and {clauses[-1]}."
