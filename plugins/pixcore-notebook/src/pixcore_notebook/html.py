"""Write what a notebook shows: HTML that is inert, whole in itself, and legible on light and on dark paper.

There is no script, no style sheet and no address in it: styles stand on the elements, as a style sheet of an output
would reach the whole notebook, and colours are the notebook's own or lie thinly over them. All text goes through
Jinja2's autoescape, after what would steer its reader (controls, marks that turn the direction of writing) is made
visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_pictures.drawing import data_uri, fitted, overlay
from pixcore_pictures.heat import heat
from pixcore_report.page import environment_of
from pixcore_report.payload import text_pieces

from pixcore.errors import DataError
from pixcore.files import printable
from pixcore.geometry import VisualLayout
from pixcore.masks import RLE
from pixcore.records import Candidate, Image, PointPrompt, Response

LARGE, SMALL, THUMBNAIL = 440, 280, 112
"""The longer sides of pictures, in pixels."""

_MOST_TEXT = 20_000


@dataclass(frozen=True)
class Shade:
    """A piece of what was said.

    Attributes:
        text: The piece.
        strength: How strongly it is shaded, from 0 to 1.
        chosen: Whether it belongs to the chosen phrase.
        told: What a pointer that rests on it is told.
    """

    text: str
    strength: float
    chosen: bool
    told: str


def rendered(macro: str, **context: Any) -> str:
    """Render one macro of the templates."""
    return str(getattr(_module(), macro)(**context))


@lru_cache(maxsize=1)
def _module() -> Any:
    environment = environment_of("pixcore_notebook")
    environment.filters.update(said=lambda value: printable(str(value)), cell=_cell)
    return environment.get_template("views.html").module


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def masked(
    image: Image, longest: int, mask: RLE | None = None, point: PointPrompt | None = None, *, enlarge: bool = False
) -> str:
    """Draw an image with a mask and points, as a `data:` address; an empty one where the image can't be read."""
    picture = _opened(image)
    if picture is None:
        return ""
    size = fitted(picture.size, longest, thinnest=16, enlarge=enlarge)
    return _address(overlay(picture, size, mask, point, outline=2 if longest > THUMBNAIL else 1))


def heated(image: Image, longest: int, layout: VisualLayout, relevance: NDArray[np.floating], *, enlarge: bool) -> str:
    """Draw an image under the heat of a map, as a `data:` address; an empty one where the image can't be read."""
    picture = _opened(image)
    if picture is None:
        return ""
    return _address(heat(picture, fitted(picture.size, longest, thinnest=16, enlarge=enlarge), layout, relevance))


def _opened(image: Image) -> PILImage.Image | None:
    try:
        return image.pil()
    except DataError:
        return None


def _address(picture: PILImage.Image) -> str:
    return data_uri(picture, "webp", quality=84, method=1)


def shaded(
    response: Response, candidates: Sequence[Candidate], overlaps: Sequence[float] | None, chosen: int | None, of: str
) -> list[Shade]:
    """Cut what was said into pieces, shaded by how well each phrase's best mask overlaps.

    Args:
        response: What was said.
        candidates: The phrases.
        overlaps: For each candidate the best IoU of its masks; None shades nothing.
        chosen: The chosen candidate.
        of: With what they overlap.
    """
    pieces = text_pieces(response.text[:_MOST_TEXT], response.tokens, [one.group for one in candidates])
    result = []
    for text, owners in pieces:
        best = max((overlaps[one] for one in owners), default=0.0) if overlaps is not None else 0.0
        told = f"overlaps {of} by {best:.2f}" if overlaps is not None and owners else ""
        result.append(Shade(text, best if np.isfinite(best) else 0.0, chosen in owners, told))
    if len(response.text) > _MOST_TEXT:
        result.append(Shade(f"… {len(response.text) - _MOST_TEXT:,} characters more", 0.0, False, ""))
    return result


def phrase_of(candidate: Candidate) -> str:
    """Give a candidate's phrase, or say that it has none."""
    return candidate.group.phrase.strip() if candidate.group is not None else "no phrase"
