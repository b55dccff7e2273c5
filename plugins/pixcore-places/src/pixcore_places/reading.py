"""Turn numbers as a text has them into places in an image, by a convention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pixcore_places.conventions import Convention, Unit
from pixcore_places.scanning import Form, Stated, scan

_UNITS: dict[Form, Unit] = {
    "coords": "thousandths",
    "gemini": "thousandths",
    "loc": "1023rds",  # big_vision writes round(1023 * edge), and its evaluation divides by that
    "loc_": "thousandths",
}
"""Of forms that say themselves what their numbers mean."""

_PATCHES = 32
"""Kosmos-2's, along each side."""


@dataclass(frozen=True)
class Place:
    """A place in an image.

    Attributes:
        point: (x, y); the centre of pixel (column i, row j) is (i, j).
        box: (x0, y0, x1, y1), corners as edges: the pixel (i, j) is the box (i, j, i + 1, j + 1).
        stated: Where the text says so.
    """

    point: tuple[float, float] | None
    box: tuple[float, float, float, float] | None
    stated: Stated


@dataclass(frozen=True)
class Resizing:
    """How Qwen2.5-VL resizes an image before it looks: both sides multiples of a patch's, within bounds of area.

    Attributes:
        multiple: Of what both sides are multiples.
        least: Pixels at least.
        most: Pixels at most.
    """

    multiple: int = 28
    least: int = 56 * 56
    most: int = 12_845_056

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Give the (width, height) that an image of a (width, height) is resized to.

        >>> Resizing().resized((200, 100)), Resizing(most=100_000).resized((1000, 500))
        ((196, 112), (420, 196))
        """
        width, height = (self.multiple * round(side / self.multiple) for side in size)
        area = size[0] * size[1]
        if width * height > self.most:
            scale = math.sqrt(area / self.most)
            width, height = (max(1, math.floor(side / scale / self.multiple)) * self.multiple for side in size)
        elif width * height < self.least:
            scale = math.sqrt(self.least / area)
            width, height = (math.ceil(side * scale / self.multiple) * self.multiple for side in size)
        return width, height


@dataclass(frozen=True)
class Reading:
    """What a text says of an image's places.

    Attributes:
        places: Those that can be read, in the order of the text, each once.
        unread: What looks like a place and is none, with what is wrong with it.
        repeated: How often a place was said again.
    """

    places: tuple[Place, ...]
    unread: tuple[Stated, ...]
    repeated: int


def read(
    text: str,
    size: tuple[int, int],
    convention: Convention,
    resized: tuple[int, int] | None = None,
    *,
    whole_pixels: bool = False,
    codes: bool = False,
) -> Reading:
    """Read the places that a text states.

    Corners that are swapped are put in order. A box that reaches beyond the image is cut to it; one without area inside
    it, or a point outside, can't be read.

    Args:
        text: What the model said.
        size: (width, height) of the image.
        convention: How the model writes places.
        resized: (width, height) that the model saw, where its numbers are pixels of that.
        whole_pixels: Cut coordinates to whole pixels, and take padding for part of the image, as PixFoundation's
            scripts do.
        codes: Take a box that is said again with other codes of its mask for another place.
    """
    places: list[Place] = []
    unread: list[Stated] = []
    seen: set[object] = set()
    repeated = 0
    for stated in scan(text):
        found = None if stated.wrong else _place(stated, size, convention, resized or size, whole_pixels)
        if found is None:
            unread.append(stated)
        elif (key := (found.point, found.box, stated.label, stated.codes if codes else ())) in seen:
            repeated += 1
        else:
            seen.add(key)
            places.append(found)
    return Reading(tuple(places), tuple(unread), repeated)


def _place(
    stated: Stated, size: tuple[int, int], convention: Convention, resized: tuple[int, int], whole_pixels: bool
) -> Place | None:
    """The place in the image; None where it lies outside."""
    if stated.form == "patch":
        edges = _patches(*(int(one) for one in stated.numbers))
        return (
            None
            if edges is None
            else _boxed([edge * side for edge, side in zip(edges, size * 2, strict=True)], size, stated)
        )
    own = convention.tag_unit if stated.form == "percent" else _UNITS.get(stated.form)
    unit = own or convention.unit
    rows_first = stated.form in ("gemini", "loc") or (stated.form in ("json", "bare") and convention.rows_first)
    numbers = [one + 0.5 for one in stated.numbers] if stated.form == "loc_" else list(stated.numbers)
    if rows_first:
        numbers = [numbers[index ^ 1] for index in range(len(numbers))]
    if whole_pixels and unit == "padded":
        unit = "fraction"
    pixels = [_pixel(value, axis % 2, unit, size, resized) for axis, value in enumerate(numbers)]
    if whole_pixels:
        pixels = [float(math.trunc(value)) for value in pixels]
    if len(pixels) == 4:
        if whole_pixels and unit == "resized":  # Qwen2.5-VL's script cuts its boxes to the last pixel
            pixels = [min(value, side - 1.0) for value, side in zip(pixels, size * 2, strict=True)]
        return _boxed(pixels, size, stated)
    (x, y), (width, height) = pixels, size
    if not (0 <= x <= width and 0 <= y <= height):
        return None
    shift = 0.0 if whole_pixels else 0.5  # from a place between edges to one between centres
    x, y = (min(max(value - shift, 0.0), side - 1.0) for value, side in ((x, width), (y, height)))
    return Place((x, y), None, stated)


def _pixel(value: float, axis: int, unit: Unit, size: tuple[int, int], resized: tuple[int, int]) -> float:
    """A coordinate along one axis, 0 across or 1 down, in pixels of the image; its left or upper edge is 0."""
    side = size[axis]
    if unit == "padded":
        longest = max(size)
        return value * longest - (longest - side) // 2
    if unit == "resized":
        return value / resized[axis] * side
    whole = {"thousandths": 1000, "percent": 100, "1023rds": 1023, "fraction": 1, "pixels": side}[unit]
    return value / whole * side


def _boxed(pixels: Sequence[float], size: tuple[int, int], stated: Stated) -> Place | None:
    width, height = size
    x0, x1 = (min(max(value, 0.0), float(width)) for value in sorted(pixels[0::2]))
    y0, y1 = (min(max(value, 0.0), float(height)) for value in sorted(pixels[1::2]))
    return Place(None, (x0, y0, x1, y1), stated) if x1 > x0 and y1 > y0 else None


def _patches(upper: int, lower: int) -> tuple[float, float, float, float] | None:
    """Edges in parts of the image: from the middle of one patch to another's, or the whole row, column or patch."""
    if max(upper, lower) >= _PATCHES**2:
        return None
    (y0, x0), (y1, x1) = divmod(upper, _PATCHES), divmod(lower, _PATCHES)
    first, last = (0.0, 1.0) if x0 == x1 or y0 == y1 else (0.5, 0.5)
    return (x0 + first) / _PATCHES, (y0 + first) / _PATCHES, (x1 + last) / _PATCHES, (y1 + last) / _PATCHES
