"""Make pairs of scenes that differ in the asked attribute alone, in the spirit of MMVP's pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from pixcore_mini_world import language
from pixcore_mini_world.kinds import CATEGORIES, COLOURS, Category
from pixcore_mini_world.language import Question
from pixcore_mini_world.scene import Scene, Split, fits, make_scene, scene_random, split_of

#: How far from the middle a thing has to be for a question about its half of the image, as a fraction of it.
_CLEARLY_OFF_CENTRE = 0.12


@dataclass(frozen=True)
class Side:
    """One half of a pair: a scene and the question about it."""

    scene: Scene
    question: Question


@dataclass(frozen=True)
class Pair:
    """Two scenes with one question whose right answers differ.

    Attributes:
        sides: both halves; their questions have the same text and options.
        changed: the thing that differs, as an index into the things of a scene that has it: only one of the two, where
            its presence is asked for.
    """

    sides: tuple[Side, Side]
    changed: int


def make_pair(split: Split, seed: int, index: int) -> Pair:
    """Make pair ``index`` of a benchmark; its category goes round through ``CATEGORIES``."""
    category = CATEGORIES[index % len(CATEGORIES)]
    rng = scene_random(split, seed, "pair", index)
    while True:
        scene = make_scene(rng, split)
        thing = rng.randrange(len(scene.things))
        pair = _vary(scene, thing, category, split, rng)
        if pair is not None:
            return pair if rng.random() < 0.5 else replace(pair, sides=pair.sides[::-1])


def _vary(scene: Scene, index: int, category: Category, split: Split, rng: Random) -> Pair | None:
    """A pair of one category about one thing; None where this thing allows none."""
    coloured = rng.random() < 0.3
    flip = rng.random() < 0.5
    thing = scene.things[index]
    if category in ("state", "orientation"):
        attributes = [i for i, a in enumerate(thing.spec.attributes) if a.category == category]
        if not attributes:
            return None
        which = rng.choice(attributes)
        other_value = thing.spec.attributes[which].other(thing.values[which])
        other = scene.replaced(index, thing.with_value(which, other_value))
        sides = [
            Side(s, language.ask_attribute(s, index, which, rng, coloured=coloured, flip=turned))
            for s, turned in ((scene, flip), (other, not flip))
        ]
    elif category in ("colour", "part"):
        return _vary_colour(scene, index, category, split, rng, coloured=coloured, flip=flip)
    elif category == "position":
        horizontal = rng.random() < 0.5
        moved = replace(thing, x=1 - thing.x) if horizontal else replace(thing, y=1 - thing.y)
        other = scene.replaced(index, moved)
        distance = abs((thing.x if horizontal else thing.y) - 0.5)
        if distance < _CLEARLY_OFF_CENTRE or not fits(other.things):
            return None
        sides = [
            Side(s, language.ask_position(s, index, rng, horizontal=horizontal, coloured=coloured, flip=turned))
            for s, turned in ((scene, flip), (other, not flip))
        ]
    else:
        other = scene.without(index)
        twins = len(scene.of_kind(thing.kind)) > 1
        if not other.things:
            return None
        noun = f"{thing.colour} {thing.kind}" if twins or coloured else thing.kind
        sides = [
            Side(scene, language.ask_presence(scene, noun, index, rng, flip=flip)),
            Side(other, language.ask_presence(other, noun, None, rng, flip=not flip)),
        ]
    return Pair((sides[0], sides[1]), index)


def _vary_colour(
    scene: Scene, index: int, category: Category, split: Split, rng: Random, *, coloured: bool, flip: bool
) -> Pair | None:
    thing = scene.things[index]
    if category == "colour" and len(scene.of_kind(thing.kind)) > 1:
        return None
    part = rng.choice(thing.spec.parts[1:]) if category == "part" else thing.spec.parts[0]
    others = [colour for colour in COLOURS if colour not in thing.colours]
    varied = [thing.with_colour(part, colour) for colour in rng.sample(others, len(others))]
    allowed = [other for other in varied if split_of(other) == split]
    if not allowed:
        return None
    other = scene.replaced(index, allowed[0])
    first, second = thing.colour_of(part), allowed[0].colour_of(part)
    asked = part if category == "part" else None
    sides = (
        Side(scene, language.ask_colour(scene, index, asked, rng, wrong=second, coloured=coloured, flip=flip)),
        Side(
            other,
            language.ask_colour(other, index, asked, rng, wrong=first, coloured=coloured, flip=not flip),
        ),
    )
    return Pair(sides, index)
