"""Draw the pictures that a language model is shown: the image, and the image with one candidate highlighted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_pictures.drawing import blend, data_uri

from pixcore.masks import Mask
from pixcore_openai.config import Overlay

_RED = (255, 0, 0)


@dataclass(frozen=True, eq=False)
class Picture:
    """What is sent of one image.

    Attributes:
        pixels: (height, width, 3) RGB.
    """

    pixels: NDArray[np.uint8]

    @cached_property
    def digest(self) -> str:
        """Hash of size and pixels; the PNG's own bytes may differ between versions of the encoder."""
        return hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).hexdigest()

    @property
    def size(self) -> tuple[int, int]:
        """Size as (width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def data_url(self) -> str:
        """Encode the picture as a PNG, as a request holds it: lossless, so that a thin mask's edge is not smeared."""
        return data_uri(PILImage.fromarray(self.pixels), "png", compress_level=3)


def sent_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """Give the (width, height) at which a picture of a size is sent: its longer side is `max_side` at most."""
    longest = max(size)
    if max_side is None or longest <= max_side:
        return size
    width, height = (max(1, round(length * max_side / longest)) for length in size)
    return width, height


def plain(image: PILImage.Image, max_side: int | None) -> Picture:
    """Show the image itself, scaled down only where that is asked for."""
    return _scaled(np.asarray(image, np.uint8), max_side)


def highlighted(
    image: PILImage.Image, mask: Mask, *, overlay: Overlay = "blend", opacity: float = 0.5, max_side: int | None = None
) -> Picture:
    """Show the image with one mask highlighted.

    Args:
        image: RGB.
        mask: (height, width), of the image's size.
        overlay: "blend" covers the mask in red, as the paper does; "outline" draws its edge, three pixels wide;
            "dim" darkens what is outside.
        opacity: Of the red, or of the dark.
        max_side: Scale down to this afterwards.
    """
    pixels = np.asarray(image, np.uint8)
    if overlay == "blend":
        shown = blend(pixels, mask, colour=_RED, opacity=opacity)
    elif overlay == "outline":
        shown = blend(pixels, _grown(mask, 2) & _grown(~mask, 1), colour=_RED, opacity=1.0)
    else:
        shown = blend(pixels, ~mask, colour=(0, 0, 0), opacity=opacity)
    return _scaled(shown, max_side)


def _grown(mask: Mask, steps: int) -> Mask:
    """The mask and its neighbours, four to a pixel."""
    for _ in range(steps):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


def _scaled(pixels: NDArray[np.uint8], max_side: int | None) -> Picture:
    own = (pixels.shape[1], pixels.shape[0])
    size = sent_size(own, max_side)
    if size == own:
        return Picture(pixels)
    resized = PILImage.fromarray(pixels).resize(size, PILImage.Resampling.LANCZOS)
    return Picture(np.asarray(resized, np.uint8))
