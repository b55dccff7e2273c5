"""Make scenes from a seed: which things stand where, on one of three sides that share no thing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from pixcore_mini_world.kinds import COLOURS, KINDS, Kind

Split = Literal["train", "validation", "test"]

#: Out of ten content classes, how many belong to each side.
_SPLIT_CLASSES: dict[Split, range] = {"train": range(0, 7), "validation": range(7, 8), "test": range(8, 10)}
_TINT = 12
_MARGIN = 0.012


@dataclass(frozen=True)
class Thing:
    """One thing of a scene, as it is drawn.

    Attributes:
        kind: the name of its kind.
        x: horizontal centre as a fraction of the image's width, from the left.
        y: vertical centre as a fraction of the image's height, from the top.
        size: the unit of its drawing as a fraction of the image's side.
        colours: one colour name for each of the kind's ``parts``, all different.
        values: one value for each of the kind's ``attributes``.
        tints: for each part what is added to the named colour, as RGB offsets.
    """

    kind: str
    x: float
    y: float
    size: float
    colours: tuple[str, ...]
    values: tuple[str, ...]
    tints: tuple[tuple[int, int, int], ...]

    @property
    def spec(self) -> Kind:
        """The kind's description."""
        return KINDS[self.kind]

    @property
    def colour(self) -> str:
        """The colour of the thing as a whole: its first part's."""
        return self.colours[0]

    def colour_of(self, part: str) -> str | None:
        """Give the named colour of a part, None for a part without one."""
        return dict(zip(self.spec.parts, self.colours, strict=True)).get(part)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The rectangle that it never leaves, (left, top, right, bottom), in fractions of the image."""
        half_width = self.spec.half_width * self.size + _MARGIN
        half_height = self.spec.half_height * self.size + _MARGIN
        return self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height

    def with_value(self, attribute: int, value: str) -> Thing:
        """Make the same thing with another value of one attribute."""
        values = [*self.values]
        values[attribute] = value
        return replace(self, values=tuple(values))

    def with_colour(self, part: str, colour: str) -> Thing:
        """Make the same thing with another colour of one part."""
        colours = [*self.colours]
        colours[self.spec.parts.index(part)] = colour
        return replace(self, colours=tuple(colours))


@dataclass(frozen=True)
class Scene:
    """A picture's content: things that do not overlap, and the seed of the background."""

    things: tuple[Thing, ...]
    background: int

    def of_kind(self, kind: str) -> list[Thing]:
        """List all things of a kind."""
        return [thing for thing in self.things if thing.kind == kind]

    def replaced(self, index: int, thing: Thing) -> Scene:
        """Make the same scene with another thing at ``index``."""
        things = [*self.things]
        things[index] = thing
        return replace(self, things=tuple(things))

    def without(self, index: int) -> Scene:
        """Make the same scene with the thing at ``index`` taken away."""
        return replace(self, things=self.things[:index] + self.things[index + 1 :])


def split_of(thing: Thing) -> Split:
    """Say which side a thing's content (its kind and its colours) belongs to.

    Every (kind, colours) combination belongs to exactly one side, so no thing of the test side was ever
    seen in training with that combination of colours.
    """
    return _side_of(thing.kind, thing.colours)


def _side_of(kind: str, colours: Sequence[str]) -> Split:
    content = " ".join((kind, *colours))
    content_class = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big") % 10
    return next(split for split, classes in _SPLIT_CLASSES.items() if content_class in classes)


def scene_random(split: Split, seed: int, *keys: object) -> Random:
    """Make the random stream of one item: same split, seed and keys, same scene, on every platform."""
    return Random("/".join(map(str, ("mini-world", split, seed, *keys))))


def fits(things: Sequence[Thing]) -> bool:
    """Say whether all things lie inside the image and none overlaps another."""
    boxes = [thing.box for thing in things]
    inside = all(left >= 0 and top >= 0 and right <= 1 and bottom <= 1 for left, top, right, bottom in boxes)
    return inside and not any(
        a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for i, a in enumerate(boxes) for b in boxes[:i]
    )


def make_thing(rng: Random, split: Split, kind: str, count: int, taken: Sequence[Thing] = ()) -> Thing:
    """Make one thing of a kind for a scene of ``count`` things, with a content of its side.

    Its main colour differs from that of every thing of its kind in ``taken``, so that the colour refers.
    """
    spec = KINDS[kind]
    low, high = {1: (0.36, 0.58), 2: (0.32, 0.48), 3: (0.30, 0.44)}.get(count, (0.27, 0.38))
    size = rng.uniform(low, high)
    seen = {thing.colour for thing in taken if thing.kind == kind}
    while True:
        colours = tuple(rng.sample(list(COLOURS), len(spec.parts)))
        if colours[0] in seen:
            continue
        half_width, half_height = spec.half_width * size + _MARGIN, spec.half_height * size + _MARGIN
        x, y = rng.uniform(half_width, 1 - half_width), rng.uniform(half_height, 1 - half_height)
        values = tuple(rng.choice(attribute.values) for attribute in spec.attributes)
        tints = _tints(rng, len(spec.parts))
        if _side_of(kind, colours) == split:
            return Thing(kind, x, y, size, colours, values, tints)


def _tints(rng: Random, count: int) -> tuple[tuple[int, int, int], ...]:
    """``count`` tints of numbers that ``rng.randint(-_TINT, _TINT)`` gives, without its checks.

    Most of a scene's numbers are these.
    """
    draw, span = rng.getrandbits, 2 * _TINT + 1
    bits = span.bit_length()
    offsets = []
    for _ in range(3 * count):
        drawn = draw(bits)
        while drawn >= span:
            drawn = draw(bits)
        offsets.append(drawn - _TINT)
    return tuple(zip(offsets[::3], offsets[1::3], offsets[2::3], strict=True))


def make_scene(rng: Random, split: Split, count: int | None = None, *, twins: float = 0.3) -> Scene:
    """Make a scene of one side.

    Args:
        rng: where the choices come from.
        split: the side that every thing's content belongs to.
        count: how many things, 1 to 4; None leaves it to chance.
        twins: the probability that two things are of one kind (never three).
    """
    count = count or rng.choice((1, 2, 2, 3, 3, 3, 4))
    while True:
        kinds = rng.sample(list(KINDS), count)
        if count > 1 and rng.random() < twins:
            kinds[1] = kinds[0]
        things: list[Thing] = []
        for kind in kinds:
            for _ in range(30):
                thing = make_thing(rng, split, kind, count, things)
                if fits([*things, thing]):
                    things.append(thing)
                    break
            else:
                break
        if len(things) == count:
            return Scene(tuple(things), rng.getrandbits(32))
