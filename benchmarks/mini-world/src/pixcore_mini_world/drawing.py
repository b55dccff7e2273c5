"""Know how each kind looks: its shapes, back to front, in the unit square around its centre (y points down)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pixcore_mini_world.kinds import COLOURS, Colour
from pixcore_mini_world.scene import Thing

Point = tuple[float, float]

_GLASS: Colour = (186, 222, 242)
_WOOD: Colour = (112, 82, 56)
_DARKNESS: Colour = (30, 26, 28)
_LIGHT: Colour = (255, 236, 120)


@dataclass(frozen=True)
class Shape:
    """One filled shape of a thing.

    Attributes:
        part: the part that its pixels belong to; None where they belong to the thing alone.
        form: ``polygon`` (its corners), ``ellipse`` (two corners of its box) or ``ring`` (likewise).
        points: unit coordinates.
        fill: RGB.
        outlined: whether a darker line goes round it.
        width: the thickness of a ring, in units.
    """

    part: str | None
    form: Literal["polygon", "ellipse", "ring"]
    points: tuple[Point, ...]
    fill: Colour
    outlined: bool = True
    width: float = 0.0


def shapes_of(thing: Thing) -> list[Shape]:
    """List the shapes of a thing, back to front."""
    paint = {
        part: _tinted(colour, tint)
        for part, colour, tint in zip(thing.spec.parts, thing.colours, thing.tints, strict=True)
    }
    return _DRAW[thing.kind](paint, thing.values)


def _tinted(colour: str, tint: Colour) -> Colour:
    red, green, blue = (max(0, min(255, c + t)) for c, t in zip(COLOURS[colour], tint, strict=True))
    return red, green, blue


def shade(colour: Colour, percent: int) -> Colour:
    """Make a colour darker (below 100) or lighter (above, towards white)."""
    if percent <= 100:
        red, green, blue = (c * percent // 100 for c in colour)
    else:
        red, green, blue = (c + (255 - c) * (percent - 100) // 100 for c in colour)
    return red, green, blue


def _polygon(part: str | None, points: Sequence[Point], fill: Colour, outlined: bool = True) -> Shape:
    return Shape(part, "polygon", tuple(points), fill, outlined)


def _rectangle(
    part: str | None, left: float, top: float, right: float, bottom: float, fill: Colour, outlined: bool = True
) -> Shape:
    return _polygon(part, [(left, top), (right, top), (right, bottom), (left, bottom)], fill, outlined)


def _ellipse(
    part: str | None, left: float, top: float, right: float, bottom: float, fill: Colour, outlined: bool = True
) -> Shape:
    return Shape(part, "ellipse", ((left, top), (right, bottom)), fill, outlined)


def _mirrored(shapes: list[Shape]) -> list[Shape]:
    mirrored = []
    for shape in shapes:
        points = tuple((-x, y) for x, y in shape.points)
        if shape.form != "polygon":
            (right, top), (left, bottom) = points
            points = ((left, top), (right, bottom))
        mirrored.append(Shape(shape.part, shape.form, points, shape.fill, shape.outlined, shape.width))
    return mirrored


def _house(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    door, window = values
    shapes = [
        _rectangle(None, 0.16, -0.46, 0.27, -0.2, (134, 96, 84)),
        _rectangle("wall", -0.38, -0.1, 0.38, 0.5, paint["wall"]),
        _polygon("roof", [(-0.5, -0.07), (0, -0.5), (0.5, -0.07)], paint["roof"]),
    ]
    lit = window == "lit"
    shapes += [
        _rectangle("window", 0.07, 0.03, 0.31, 0.26, _LIGHT if lit else (58, 66, 92)),
        _rectangle("window", 0.178, 0.04, 0.202, 0.25, (250, 250, 244), outlined=False),
        _rectangle("window", 0.08, 0.133, 0.30, 0.157, (250, 250, 244), outlined=False),
    ]
    if door == "closed":
        shapes += [
            _rectangle("door", -0.29, 0.08, -0.02, 0.5, paint["door"]),
            _ellipse("door", -0.1, 0.27, -0.055, 0.315, _LIGHT, outlined=False),
        ]
    else:
        shapes += [
            _rectangle("door", -0.24, 0.08, -0.02, 0.5, _DARKNESS),
            _polygon("door", [(-0.24, 0.08), (-0.46, 0.13), (-0.46, 0.53), (-0.24, 0.5)], paint["door"]),
        ]
    return shapes


def _car(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    shapes = [
        _polygon("cabin", [(-0.36, -0.02), (-0.27, -0.33), (0.09, -0.33), (0.25, -0.02)], paint["cabin"]),
        _polygon("cabin", [(0.0, -0.25), (0.06, -0.25), (0.16, -0.05), (0.0, -0.05)], _GLASS, outlined=False),
        _polygon("cabin", [(-0.21, -0.25), (-0.06, -0.25), (-0.06, -0.05), (-0.27, -0.05)], _GLASS, outlined=False),
        _polygon(
            "body",
            [(-0.5, 0.19), (-0.5, -0.01), (-0.42, -0.05), (0.27, -0.05), (0.46, 0.0), (0.5, 0.06), (0.5, 0.19)],
            paint["body"],
        ),
        _ellipse("body", 0.41, 0.01, 0.49, 0.09, (255, 244, 170), outlined=False),
    ]
    for centre in (-0.27, 0.27):
        shapes += [
            _ellipse("wheels", centre - 0.14, 0.05, centre + 0.14, 0.33, paint["wheels"]),
            _ellipse("wheels", centre - 0.04, 0.15, centre + 0.04, 0.23, (214, 216, 220), outlined=False),
        ]
    return shapes if values[0] == "right" else _mirrored(shapes)


def _fish(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    shapes = [
        _polygon("tail", [(-0.2, 0), (-0.5, -0.26), (-0.41, 0), (-0.5, 0.26)], paint["tail"]),
        _polygon("fin", [(0.2, -0.14), (-0.1, -0.38), (-0.12, -0.1)], paint["fin"]),
        _ellipse("body", -0.3, -0.22, 0.5, 0.24, paint["body"]),
        _polygon("fin", [(0.1, 0.04), (-0.12, 0.02), (-0.06, 0.16)], paint["fin"]),
        _ellipse("body", 0.26, -0.11, 0.4, 0.03, (250, 250, 250), outlined=False),
        _ellipse("body", 0.31, -0.08, 0.39, 0.0, (18, 18, 20), outlined=False),
    ]
    return shapes if values[0] == "right" else _mirrored(shapes)


def _tree(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    crown = paint["crown"]
    shapes = [_polygon("trunk", [(-0.07, 0.05), (0.07, 0.05), (0.11, 0.5), (-0.11, 0.5)], paint["trunk"])]
    if values[0] == "round":
        return [
            *shapes,
            _ellipse("crown", -0.36, -0.5, 0.36, 0.2, crown),
            _ellipse("crown", -0.22, -0.41, 0.02, -0.21, shade(crown, 122), outlined=False),
        ]
    return [
        *shapes,
        _polygon("crown", [(-0.36, 0.2), (0, -0.2), (0.36, 0.2)], crown),
        _polygon("crown", [(-0.29, 0.0), (0, -0.5), (0.29, 0.0)], crown),
    ]


#: Six directions, 60 degrees apart, written out so that no platform's cosine matters.
_PETALS = ((1.0, 0.0), (0.5, 0.866), (-0.5, 0.866), (-1.0, 0.0), (-0.5, -0.866), (0.5, -0.866))


def _flower(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    petals, stem = paint["petals"], paint["stem"]
    shapes = [
        _rectangle("stem", -0.04, -0.1, 0.04, 0.5, stem),
        _polygon("stem", [(0.02, 0.36), (0.12, 0.18), (0.3, 0.12), (0.22, 0.3)], stem),
    ]
    if values[0] == "open":
        for dx, dy in _PETALS:
            x, y = 0.18 * dx, -0.2 + 0.18 * dy
            shapes.append(_ellipse("petals", x - 0.13, y - 0.13, x + 0.13, y + 0.13, petals))
        return [*shapes, _ellipse("petals", -0.1, -0.3, 0.1, -0.1, shade(petals, 62), outlined=False)]
    bud = [(0, 0.06), (-0.15, -0.06), (-0.18, -0.38), (-0.08, -0.25), (0, -0.46), (0.08, -0.25), (0.18, -0.38)]
    return [*shapes, _polygon("petals", [*bud, (0.15, -0.06)], petals)]


def _boat(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    sail = paint["sail"]
    shapes = [_rectangle(None, -0.028, -0.5, 0.028, 0.24, _WOOD)]
    if values[0] == "up":
        shapes += [
            _polygon("sail", [(0.05, -0.46), (0.41, 0.12), (0.05, 0.12)], sail),
            _polygon("sail", [(-0.05, -0.38), (-0.34, 0.12), (-0.05, 0.12)], shade(sail, 92)),
        ]
    else:
        shapes.append(_ellipse("sail", -0.34, 0.02, 0.38, 0.17, sail))
    hull = [(-0.45, 0.2), (0.45, 0.2), (0.3, 0.5), (-0.3, 0.5)]
    return [*shapes, _polygon("hull", hull, paint["hull"])]


def _cup(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    body = paint["body"]
    shapes = [
        Shape("handle", "ring", ((0.1, -0.2), (0.44, 0.18)), paint["handle"], width=0.085),
        _polygon("body", [(-0.27, -0.3), (0.27, -0.3), (0.21, 0.35), (-0.21, 0.35)], body),
        _ellipse("body", -0.27, -0.36, 0.27, -0.22, shade(body, 72)),
    ]
    return shapes if values[0] == "right" else _mirrored(shapes)


def _lamp(paint: dict[str, Colour], values: tuple[str, ...]) -> list[Shape]:
    stand, shade_colour = paint["stand"], paint["shade"]
    return [
        _rectangle("stand", -0.04, -0.05, 0.04, 0.44, stand),
        _polygon("stand", [(-0.21, 0.5), (-0.16, 0.41), (0.16, 0.41), (0.21, 0.5)], stand),
        _ellipse("bulb", -0.12, -0.2, 0.12, 0.09, _LIGHT if values[0] == "on" else (116, 118, 126)),
        _polygon("shade", [(-0.15, -0.5), (0.15, -0.5), (0.32, -0.08), (-0.32, -0.08)], shade_colour),
    ]


_DRAW: dict[str, Callable[[dict[str, Colour], tuple[str, ...]], list[Shape]]] = {
    "house": _house,
    "car": _car,
    "fish": _fish,
    "tree": _tree,
    "flower": _flower,
    "boat": _boat,
    "cup": _cup,
    "lamp": _lamp,
}
