"""Measure a picture by its file's header: one way, for all who need a size and no pixels."""

from __future__ import annotations

import io
import os
import unicodedata
from pathlib import Path
from typing import IO

from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as PILImage

from pixcore.errors import DataError
from pixcore.files import open_file
from pixcore.records import Image


def measured(picture: Path | str | Image) -> Image:
    """Take an image or its file and read its upright size from its header, without decoding it.

    Raises:
        DataError: It is not an image.
    """
    unread = picture if isinstance(picture, Image) else Image.from_path(picture)
    try:
        with _opened(picture) as file, PILImage.open(file) as opened:
            if opened.format == "TIFF":  # some versions of Pillow turn its size, and some don't
                return Image(unread.read, unread.name, unread.pil().size)
            turned = opened.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
            return Image(unread.read, unread.name, (opened.height, opened.width) if turned else opened.size)
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise anything at damaged files
        why = "it is of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(f"can't read image {unread.name}: {why}", hint="is the file whole?") from error


def _opened(picture: Path | str | Image) -> IO[bytes]:
    """A file is not read beyond its header."""
    return io.BytesIO(picture.read()) if isinstance(picture, Image) else open_file(Path(picture), "image")


def listed_in(folder: Path, name: str) -> Path:
    """Find a picture below a folder by the name that a list has for it, which another system may have written.

    Backslashes may stand for slashes, and accents may be encoded otherwise; what is not there keeps the list's name.
    """
    if "\\" in name or not name.isascii():
        told = (name, name.replace("\\", "/"))
        for one in (*told, *(unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in told)):
            if os.path.exists(folder / one):
                return folder / one
    return folder / name


def measured_of(listing: Path, path: Path | str) -> Image:
    """Take an image file that another file lists, likewise; an error names both.

    Raises:
        DataError: It is not an image.
    """
    try:
        return measured(path)
    except DataError as error:
        raise DataError(f"{listing}: {error.message}", hint=error.hint) from error
