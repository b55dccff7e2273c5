"""Pictures of masks and points: the size they are shown at, and what is drawn over an image."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFilter

from pixcore import masks
from pixcore.masks import RLE, Mask
from pixcore.records import PointPrompt

Size = tuple[int, int]
"""(width, height) in pixels."""

MASK = (230, 159, 0)
TRUTH = (0, 114, 178)
POINT = (204, 47, 123)
_DIM = 0.35
_LIGHT, _DARK = (255, 255, 255), (60, 60, 60)


def fitted(size: Size, longest: int, *, thinnest: int = 1, enlarge: bool = False) -> Size:
    """Fit a size: the same shape, the longer side at most `longest`.

    Args:
        size: (width, height) of the original.
        longest: Pixels.
        thinnest: What no side falls below, even where the shape suffers: a 20,000x1 image has to be seen.
        enlarge: Whether a smaller image grows to `longest`.
    """
    scale = longest / max(size)
    if not enlarge:
        scale = min(1.0, scale)
    return max(thinnest, round(size[0] * scale)), max(thinnest, round(size[1] * scale))


def data_uri(picture: PILImage.Image | bytes, kind: str, **options: Any) -> str:
    """Turn a picture into a `data:` address, which a page or a request holds.

    Args:
        picture: An image, or a picture's file.
        kind: What it is stored as, after "image/": png, jpeg, webp, svg+xml.
        options: What `PIL.Image.Image.save` takes for that kind.
    """
    if not isinstance(picture, bytes):
        buffer = io.BytesIO()
        picture.save(buffer, kind.upper(), **options)
        picture = buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def mask_at(mask: RLE, size: Size) -> Mask:
    """Decode a mask at the size that it is shown at; what would be lost there keeps one pixel.

    Args:
        mask: At any size.
        size: (width, height) of the result.
    """
    whole = masks.decode(mask)
    shown = masks.resized(whole, size)
    if not shown.any() and whole.any():
        pixels = np.argwhere(whole)
        row, column = pixels[len(pixels) // 2] * size[::-1] // whole.shape
        shown[row, column] = True
    return shown


def blend(
    pixels: NDArray[np.uint8],
    mask: Mask,
    *,
    colour: tuple[int, int, int] = (255, 0, 0),
    opacity: float = 0.5,
) -> NDArray[np.uint8]:
    """Blend a colour into the pixels inside a mask.

    Args:
        pixels: (height, width, 3) RGB.
        mask: (height, width).
        colour: RGB; the paper highlights candidates in red.
        opacity: 0 leaves the image, 1 covers it.

    Returns:
        A new (height, width, 3) array.
    """
    result = pixels.copy()
    tint = np.asarray(colour, np.float32)
    result[mask] = (result[mask] * (1.0 - opacity) + tint * opacity).astype(np.uint8)
    return result


def overlay(
    picture: PILImage.Image,
    size: Size,
    mask: RLE | None = None,
    prompt: PointPrompt | None = None,
    *,
    outline: int = 2,
    truth: RLE | None = None,
) -> PILImage.Image:
    """Draw an image at another size with a mask tinted and outlined, all else darkened, and points.

    Args:
        picture: RGB.
        size: (width, height) of the result.
        mask: At the original size.
        prompt: In original pixels; points inside are discs, points outside crosses; its further places likewise.
        outline: Its thickness in pixels of the result.
        truth: The mask that would be right, at the original size: a line around it, blue on white.
    """
    enlarged = size[0] > picture.width * 8
    smooth = PILImage.Resampling.NEAREST if enlarged else PILImage.Resampling.LANCZOS
    pixels = np.asarray(picture.resize(size, smooth), np.uint8)
    if mask is not None:
        inside = mask_at(mask, size)
        edge = _edge(inside, outline)
        pixels = blend(pixels, ~inside, colour=(0, 0, 0), opacity=_DIM)  # a tint alone hides on its own colour
        pixels = blend(pixels, inside, colour=MASK, opacity=0.35)
        pixels = blend(pixels, _edge(inside, outline + 1) & ~edge, colour=(0, 0, 0), opacity=0.45)
        pixels = blend(pixels, edge, colour=MASK, opacity=1.0)
    if truth is not None:
        inside = mask_at(truth, size)
        pixels = blend(pixels, _edge(inside, outline + 2), colour=(255, 255, 255), opacity=1.0)
        pixels = blend(pixels, _edge(inside, outline), colour=TRUTH, opacity=1.0)
    result = PILImage.fromarray(pixels)
    if prompt is not None:
        _draw_prompt(result, prompt, size[0] / picture.width, size[1] / picture.height)
    return result


def _edge(inside: Mask, thickness: int) -> Mask:
    """The pixels of a mask that lie within `thickness` of its border."""
    framed = np.pad(inside, thickness)  # what touches the image's border has an edge there too
    eroded = PILImage.fromarray(framed.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(2 * thickness + 1))
    kept = np.asarray(eroded)[thickness:-thickness, thickness:-thickness] > 0
    return inside & ~kept


def _draw_prompt(picture: PILImage.Image, prompt: PointPrompt, across: float, down: float) -> None:
    pen = ImageDraw.Draw(picture)
    radius = max(2.5, min(6.0, max(picture.size) / 60))
    if prompt.box is not None:
        (x0, x1), (y0, y1) = sorted(prompt.box[::2]), sorted(prompt.box[1::2])
        for grown, width, colour in ((1, 4, _DARK), (0, 2, _LIGHT)):
            corners = (x0 * across - grown, y0 * down - grown, x1 * across + grown, y1 * down + grown)
            pen.rectangle(corners, outline=colour, width=width)
    for (x, y), label in zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True):
        px, py = (x + 0.5) * across, (y + 0.5) * down  # a point names a pixel; its centre lies half a pixel on
        if label:
            ring = radius + max(1.0, radius / 3)
            pen.ellipse((px - ring - 1, py - ring - 1, px + ring + 1, py + ring + 1), fill=_DARK)
            pen.ellipse((px - ring, py - ring, px + ring, py + ring), fill=_LIGHT)
            pen.ellipse((px - radius, py - radius, px + radius, py + radius), fill=POINT)
        else:
            for reach, width, colour in ((radius + 1, 4, _DARK), (radius, 2, _LIGHT)):
                for sign in (1, -1):
                    ends = (px - reach, py - sign * reach, px + reach, py + sign * reach)
                    pen.line(ends, fill=colour, width=width)
    for other in prompt.also:
        _draw_prompt(picture, other, across, down)
