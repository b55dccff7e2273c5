"""Read mask files: which value each pixel has, and which pixels an object's are.

A file is read as it is meant: black and white, values of objects, palettes, 16 bits, colours. Which object is meant is
said by its value; without one, a file holds one object on its background.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps, UnidentifiedImageError

from pixcore.errors import DataError
from pixcore.masks import Mask

_OPAQUE = 128  # of 255
_SHOWN = 12  # values that an error lists
_COLOUR = re.compile("#[0-9a-fA-F]{6}")


@dataclass(frozen=True, eq=False)
class Labels:
    """The values of a mask file.

    Attributes:
        values: (height, width) whole numbers: grey values, a palette's indices, or colours as 0xRRGGBB.
        background: The value of what is no object.
        coloured: Whether values are colours.
        brightness: What a threshold is compared with, from 0 to 255: of a colour, the strongest of red, green and blue.
            None: the values themselves.
    """

    values: NDArray[np.integer[Any]]
    background: int = 0
    coloured: bool = False
    brightness: NDArray[np.uint8] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of the picture."""
        return self.values.shape[1], self.values.shape[0]

    @cached_property
    def present(self) -> NDArray[np.integer[Any]]:
        """The values that occur, ascending."""
        return np.unique(self.values)

    def inside(self, wanted: Sequence[int] = (), *, threshold: int | None = None, where: str = "a mask") -> Mask:
        """Say which pixels are an object's.

        Args:
            wanted: Its values; without any, whatever is not background, or reaches the threshold.
            threshold: What counts as inside without a value.
            where: Names the mask in an error.

        Returns:
            (height, width) bool.

        Raises:
            DataError: A value does not occur, no pixel could reach the threshold, or it is not clear what is meant.
        """
        if wanted:
            lacking = [one for one in wanted if one not in self.present]
            if lacking:
                raise DataError(
                    f"{where} has no value {self._shown(lacking)}", hint=f"it has {self._shown(self.present)}"
                )
            return np.asarray(np.isin(self.values, list(wanted)))
        if threshold is not None:
            compared = self.values if self.brightness is None else self.brightness
            if threshold > (most := np.iinfo(compared.dtype).max):
                hint = f"{most} at most; without a threshold a mask has one value beside its background"
                raise DataError(f"{where} can't reach threshold: {threshold}: its values end at {most}", hint=hint)
            return np.asarray(compared >= threshold)
        others = self.present[self.present != self.background]
        if len(others) > 1:
            raise DataError(
                f"{where} has the values {self._shown(self.present)}: several objects, or soft edges?",
                hint="name the object's in a column `value`; or threshold: 128 cuts soft edges, threshold: 1 takes all",
            )
        return np.asarray(self.values != self.background)

    def _shown(self, values: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        names = [f"#{one:06x}" if self.coloured and one else str(one) for one in list(values)[:_SHOWN]]
        return ", ".join(names) + (f", ... ({len(values)} in all)" if len(values) > _SHOWN else "")


def parse_value(given: Any) -> int | None:
    """Read one value of a mask as a table has it, a whole number or a colour; None where it is neither."""
    said = str(given).strip()
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        return None
    if _COLOUR.fullmatch(said):
        return int(said[1:], 16)
    found = re.fullmatch(r"([0-9]{1,10})(\.0+)?", said)  # a spreadsheet may have made 3.0 of it
    return int(found[1]) if found else None


def read_labels(encoded: bytes, where: str) -> Labels:
    """Read a mask file, turned upright as its EXIF data says.

    Args:
        encoded: The file's bytes.
        where: Names it in an error.

    Raises:
        DataError: It is no picture, is damaged, or has values that are not whole numbers, or colours of 16 bits, of
            which Pillow reads 8.
    """
    try:
        with PILImage.open(io.BytesIO(encoded)) as opened:
            halved = opened.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in opened.tile)
            opened.load()
            if halved and set(np.unique(np.asarray(opened)[..., :3])) not in ({0, 255}, {255}):
                hint = "save it with 8 bits a colour, or as grey with 16"
                raise DataError(f"mask {where} has colours of 16 bits, of which 8 can be read", hint=hint)
            return _labels(ImageOps.exif_transpose(opened), where)
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise anything at damaged files
        why = "it is of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(f"can't read mask {where}: {why}", hint="is the file whole?") from error


def labels_of(numbers: NDArray[Any], where: str) -> Labels:
    """Take numbers, a (height, width) array, for the values of a mask.

    Args:
        numbers: Whole ones, of any type; or true and false, which a threshold takes for white and black.
        where: Names the mask in an error.

    Raises:
        DataError: Some are not whole, or far too large.
    """
    if numbers.dtype.kind == "b":
        return Labels(numbers.astype(np.uint8), brightness=numbers * np.uint8(255))
    if numbers.dtype.kind != "f":
        return Labels(numbers)
    whole = np.nan_to_num(numbers).clip(-(1 << 30), 1 << 30).astype(np.int32)
    if (whole != numbers).any():
        raise DataError(f"{where} has values that are not whole numbers", hint="round them, or save 8 or 16 bits")
    return Labels(whole)


def _labels(picture: PILImage.Image, where: str) -> Labels:
    if picture.mode in ("P", "PA"):
        indices = np.asarray(picture if picture.mode == "P" else picture.getchannel("P"))
        shown = np.asarray(picture.convert("RGBA"))
        return Labels(indices, _background(picture, indices), brightness=_brightness(shown))
    if picture.mode in ("1", "L", "F") or picture.mode.startswith("I"):
        return labels_of(np.asarray(picture), f"mask {where}")
    channels = np.asarray(picture.convert("RGBA"))
    red, green, blue = (channels[..., one] for one in range(3))
    opaque = channels[..., 3] >= _OPAQUE
    grey = bool((red == green).all() and (green == blue).all())
    values = red if grey else red.astype(np.int32) << 16 | green.astype(np.int32) << 8 | blue
    brightness = _brightness(channels)
    if opaque.all():
        return Labels(values, coloured=not grey, brightness=brightness)
    if not values[opaque].any():  # black on nothing
        return Labels(opaque.astype(np.uint8), brightness=brightness)
    return Labels(np.where(opaque, values, 0), coloured=not grey, brightness=brightness)


def _brightness(channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The strongest of red, green and blue, 0 where it is transparent; of black on nothing the black is what shows."""
    opaque = channels[..., 3] >= _OPAQUE
    strongest = np.where(opaque, np.max([channels[..., one] for one in range(3)], axis=0), np.uint8(0))
    return strongest if opaque.all() or strongest.any() else opaque * np.uint8(255)


def _background(picture: PILImage.Image, indices: NDArray[np.integer[Any]]) -> int:
    """A palette's background is its index 0, unless that has a colour and another index that occurs is black."""
    palette = np.asarray(picture.getpalette("RGB") or [], np.int64).reshape(-1, 3)
    black = [int(one) for one in np.unique(indices) if one < len(palette) and not palette[one].any()]
    return black[0] if black and 0 not in black else 0
