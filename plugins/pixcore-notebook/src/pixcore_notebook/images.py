"""Take an image as a notebook has it: a file's path, a picture of Pillow's, an array."""

from __future__ import annotations

import io
import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps

from pixcore.errors import DataError
from pixcore.records import Image

ImageLike = Image | str | os.PathLike[str] | PILImage.Image | NDArray[Any]
"""Anything that `as_image` takes."""

_EXPECTED = "expected a path, a PIL image, or an array (height, width, 3) of uint8, or of floats from 0 to 1"


def as_image(given: ImageLike) -> Image:
    """Make the record of an image.

    Args:
        given: A path; a picture of Pillow's, of any mode; an array (height, width), (height, width, 3) or
            (height, width, 4), uint8, or floats from 0 to 1.

    Raises:
        DataError: It is none of these, or an address.
    """
    if isinstance(given, Image):
        return given
    if isinstance(given, PILImage.Image):
        return _of_picture(given)
    if isinstance(given, np.ndarray):
        return _of_array(given)
    if isinstance(given, str) and re.match(r"[a-z][a-z0-9+.-]+://|data:", given, re.I):
        raise DataError(f"{given[:80]!r} is an address", hint="download it and give its path: nothing is fetched here")
    if isinstance(given, (str, os.PathLike)):
        return Image.from_path(os.path.expanduser(given))
    raise DataError(f"a {type(given).__name__} is no image", hint=_EXPECTED)


def _of_picture(picture: PILImage.Image) -> Image:
    name = str(getattr(picture, "filename", "")) or "image"
    if not all(picture.size):
        raise DataError(f"the picture is {picture.width}x{picture.height}", hint="it has no pixels")
    buffer = io.BytesIO()
    deep = picture.mode.startswith("I") or picture.mode == "F"  # 16 bits and more are brought to 8 where they are read
    try:
        upright = ImageOps.exif_transpose(picture)
        # a picture remembers how its own file was compressed: with loss, or as no RGB can be
        (upright if deep else upright.convert("RGB")).save(buffer, "TIFF", compression="raw")
    except (OSError, ValueError) as error:
        raise DataError(f"can't read {name}: {error}", hint="is the file whole?") from error
    encoded = buffer.getvalue()
    return Image(lambda: encoded, name)


def _of_array(array: NDArray[Any]) -> Image:
    shape, kind = array.shape, array.dtype
    shaped = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    told = f"an array {shape} of {kind}"
    if not shaped or not array.size or not (kind == np.uint8 or np.issubdtype(kind, np.floating)):
        raise DataError(f"{told} is no image", hint=_EXPECTED)
    if kind != np.uint8:
        if not (array.min() >= 0 and array.max() <= 1):
            raise DataError(f"{told} has values from {array.min():g} to {array.max():g}", hint=_EXPECTED)
        array = (array * 255).round().astype(np.uint8)
    pixels = array[..., :3] if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
    return Image.from_pixels(np.ascontiguousarray(pixels))
