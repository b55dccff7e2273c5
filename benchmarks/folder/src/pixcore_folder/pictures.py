"""Write samples' pictures to files that other programs read."""

from __future__ import annotations

import io
import re
from itertools import chain, count
from pathlib import Path

from PIL import ExifTags
from PIL import Image as PILImage

from pixcore.files import written_beside
from pixcore.records import Image

_KEPT = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}  # formats whose files are copied as they are


def stem_of(name: str) -> str:
    """Give a sample's or a row's name as a file's: letters, digits, dots, dashes, at most 100 bytes of them."""
    return re.sub(r"[^\w.()-]+", "-", name).strip(".-").encode()[:100].decode(errors="ignore") or "sample"


def free_stem(stem: str, taken: set[str]) -> str:
    """Give a file's name that none has yet, on a disk that knows no capitals either, and take it."""
    name = next(one for one in chain([stem], (f"{stem}-{n}" for n in count(2))) if one.lower() not in taken)
    taken.add(name.lower())
    return name


def write_picture(image: Image, folder: Path, stem: str, given: str) -> str:
    """Write a picture, upright: as it is where it is that already and its format a common one.

    Args:
        image: The picture.
        folder: Where to.
        stem: The file's name without its ending.
        given: The option or argument that named the folder, for the hint of an error.

    Returns:
        The file's name.

    Raises:
        DataError: It can't be read.
        StoreError: It can't be written.
    """
    encoded, decoded = image.read(), image.pil()
    with PILImage.open(io.BytesIO(encoded)) as opened:
        upright = opened.getexif().get(ExifTags.Base.Orientation, 1) == 1
        extension = _KEPT.get(opened.format or "") if upright else None
    path = folder / f"{stem}.{extension or 'png'}"
    with written_beside(path, given) as beside:
        if extension:
            beside.write_bytes(encoded)
        else:
            decoded.save(beside, "PNG")
    return path.name
