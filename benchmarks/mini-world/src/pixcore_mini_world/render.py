"""Draw a scene: a picture and exact masks.

Everything is drawn at ``SUPERSAMPLING`` times the size with whole-number coordinates, and all arithmetic on
pixels is done in integers, so that a picture depends on the seed and on Pillow's version alone, not on the
platform.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from pixcore_mini_world.drawing import Shape, shade, shapes_of
from pixcore_mini_world.scene import Scene, Thing

Ink = int | tuple[int, int, int]

SUPERSAMPLING = 4
DEFAULT_SIZE = 112

#: What every background is a pastel of: paper, sky, meadow, sand, lilac, stone.
_GROUNDS = ((226, 222, 212), (196, 214, 228), (204, 218, 190), (226, 212, 184), (214, 206, 226), (206, 208, 210))


@dataclass(frozen=True)
class Picture:
    """A drawn scene.

    Attributes:
        image: (size, size, 3) uint8 RGB.
        labels: (size, size) uint8; 0 is background, else 1 + the index of the region in ``regions``.
        regions: (index of the thing, part or None) of each label.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    regions: tuple[tuple[int, str | None], ...]

    def mask(self, thing: int, part: str | None = None) -> npt.NDArray[np.bool_]:
        """Mark the visible pixels of a thing, or of one of its parts, (size, size) bool.

        A pixel belongs to what lies at its centre, so parts are disjoint and lie inside their thing.
        """
        wanted = [
            label
            for label, (index, name) in enumerate(self.regions, 1)
            if index == thing and (part is None or name == part)
        ]
        return np.isin(self.labels, wanted)


def render(scene: Scene, size: int = DEFAULT_SIZE) -> Picture:
    """Draws a scene as a square picture of ``size`` pixels."""
    side = size * SUPERSAMPLING
    label_canvas = Image.new("L", (side, side))
    label_pen = ImageDraw.Draw(label_canvas)
    regions: list[tuple[int, str | None]] = []
    placed: list[tuple[Shape, _Stroke]] = []
    for index, thing in enumerate(scene.things):
        for shape in shapes_of(thing):
            region = (index, shape.part)
            if region not in regions:
                regions.append(region)
            label = regions.index(region) + 1
            stroke = _Stroke.of(thing, shape, side)
            placed.append((shape, stroke))
            stroke.draw(label_pen, label, label)
    labels = np.asarray(label_canvas)[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING]

    relief = _relief(label_canvas, size)
    ground = _with_light(_background(scene.background, size), scene, relief)
    canvas = Image.fromarray(ground).resize((side, side), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(canvas)
    for shape, stroke in placed:
        stroke.draw(pen, shape.fill, shade(shape.fill, 62))
    flat = np.asarray(canvas.reduce(SUPERSAMPLING)).astype(np.int16)
    image = np.clip(flat + relief.bevel[..., None], 0, 255).astype(np.uint8)
    return Picture(image, labels.copy(), tuple(regions))


@dataclass(frozen=True)
class _Stroke:
    """One shape in whole-number coordinates of a canvas; colours and labels are drawn by it, so that they agree.

    Attributes:
        form: "polygon", "ellipse" or "ring".
        points: (x, y) of its corners, or of the two corners of its box.
        width: of a ring.
        line: of its outline; 0 for none.
    """

    form: str
    points: list[tuple[int, int]]
    width: int
    line: int

    @classmethod
    def of(cls, thing: Thing, shape: Shape, side: int) -> _Stroke:
        size = thing.size
        points = [(round((thing.x + x * size) * side), round((thing.y + y * size) * side)) for x, y in shape.points]
        line = max(1, round(side / 150)) if shape.outlined else 0
        return cls(shape.form, points, max(1, round(shape.width * size * side)), line)

    def draw(self, pen: ImageDraw.ImageDraw, fill: Ink, outline: Ink) -> None:
        points, line = self.points, self.line
        if self.form == "polygon":
            pen.polygon(points, fill=fill)
            if line:
                pen.line([*points, points[0]], fill=outline, width=line, joint="curve")
        elif self.form == "ellipse":
            pen.ellipse(points, fill=fill, outline=outline if line else fill, width=line or 1)
        else:
            pen.ellipse(points, outline=outline, width=self.width + line)
            (left, top), (right, bottom) = points
            inner = [(left + line, top + line), (right - line, bottom - line)]
            pen.ellipse(inner, outline=fill, width=max(1, self.width - line))


@dataclass(frozen=True)
class _Relief:
    """What light does to the picture: (size, size) int16 arrays.

    Attributes:
        bevel: added to things; light from the upper left.
        shadow: 0 to 255, how much of the ground lies in shadow.
    """

    bevel: npt.NDArray[np.int16]
    shadow: npt.NDArray[np.int16]


def _relief(label_canvas: Image.Image, size: int) -> _Relief:
    solid = label_canvas.point(lambda value: 255 if value else 0).reduce(SUPERSAMPLING)
    scale = size / DEFAULT_SIZE
    round_edge = solid.filter(ImageFilter.BoxBlur(2 * scale)).filter(ImageFilter.BoxBlur(scale))
    height = np.asarray(round_edge).astype(np.int16)
    step = max(1, round(scale))
    slope = np.zeros_like(height)
    slope[step:-step, step:-step] = height[2 * step :, 2 * step :] - height[: -2 * step, : -2 * step]
    bevel = slope * np.asarray(solid).astype(np.int16) // 255 // 4
    offset = max(1, round(2 * scale))
    shadow = np.zeros_like(height)
    shadow[offset:, offset:] = height[:-offset, :-offset]
    return _Relief(bevel, shadow)


def _with_light(ground: npt.NDArray[np.int16], scene: Scene, relief: _Relief) -> npt.NDArray[np.uint8]:
    """The ground with the things' shadows and the glow of lamps that are on."""
    size = len(ground)
    lit: npt.NDArray[np.int_] = ground - ground * relief.shadow[..., None].astype(np.int32) // 255 * 2 // 5
    for lamp in scene.things:
        if lamp.kind == "lamp" and lamp.values[0] == "on":
            glow = Image.new("L", (size, size))
            x, y, reach = lamp.x * size, (lamp.y - 0.02 * lamp.size) * size, 0.3 * lamp.size * size
            corners = (round(x - reach), round(y - reach), round(x + reach), round(y + reach))
            ImageDraw.Draw(glow).ellipse(corners, fill=235)
            softly = glow.filter(ImageFilter.BoxBlur(0.14 * lamp.size * size))
            amount = np.asarray(softly).astype(np.int32)[..., None]
            lit = lit + (np.array((255, 248, 190)) - lit) * amount // 255
    bounded: npt.NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    return bounded


@lru_cache(maxsize=1)
def _background(seed: int, size: int) -> npt.NDArray[np.int16]:
    """A soft textured ground: a pastel, large clouds of colour, and a finer grain. (size, size, 3) int16, read-only.

    The two pictures of a pair follow each other and have one ground.
    """
    rng = Random(seed)
    colour = np.array(rng.choice(_GROUNDS), np.int16) + rng.randint(-26, 6)
    colour = colour + np.array([rng.randint(-9, 9) for _ in range(3)], np.int16)
    clouds = _noise(rng, 5, 3, size)
    grain = _noise(rng, 28, 1, size)
    fine = _noise(rng, DEFAULT_SIZE, 1, size)
    ground = colour + (clouds - 128) * 9 // 64 + (grain - 128) * 5 // 64 + (fine - 128) * 3 // 128
    ground = ground.astype(np.int16)
    ground.setflags(write=False)
    return ground


def _noise(rng: Random, cells: int, channels: int, size: int) -> npt.NDArray[np.int16]:
    values = np.frombuffer(rng.randbytes(cells * cells * channels), np.uint8).reshape(cells, cells, channels)
    image = Image.fromarray(values if channels == 3 else values[..., 0])
    smooth: npt.NDArray[np.uint8] = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    return smooth.astype(np.int16).reshape(size, size, channels)
