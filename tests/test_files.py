"""Files of a user's that are none: named pipes and devices."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image as PILImage

from pixcore.errors import DataError
from pixcore.records import Image


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_or_a_device_is_no_image(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        for look in (lambda image: image.pil(), lambda image: image.digest):
            with pytest.raises(DataError, match="can't read image"):
                look(Image.from_path(path))
        with pytest.raises(DataError, match="can't read image"):
            Image.measured(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_measured_as_it_is_decoded(orientation: int, tmp_path: Path) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    PILImage.new("RGB", (40, 24), (9, 99, 200)).save(path, exif=exif)
    measured = Image.measured(path).size
    assert measured == Image.from_path(path).pil().size
    assert measured == ((24, 40) if orientation >= 5 else (40, 24))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_damaged_image_is_refused_by_no_other_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    PILImage.effect_noise((60, 40), 90).convert("RGB").save(path, kind)
    content = path.read_bytes()
    for cut in range(0, len(content) - 1, max(1, len(content) // 25)):
        path.write_bytes(content[:cut])
        with suppress(DataError):  # nothing else may come
            Image.from_path(path).pil()
