"""What a notebook has at hand becomes an image, or one line says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_notebook.images import as_image

from pixcore.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def test_paths_pictures_and_arrays_are_one_image(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    picture = PILImage.fromarray(PIXELS)
    picture.save(path)
    alpha = np.dstack([PIXELS, np.full((5, 7), 9, np.uint8)])
    for given in (path, str(path), picture, PILImage.open(path), PIXELS, alpha, PIXELS / 255, as_image(PIXELS)):
        image = as_image(given)
        assert image.size == (7, 5)
        np.testing.assert_array_equal(image.pixels(), PIXELS)


def test_one_image_has_one_digest_each_time(tmp_path: Path) -> None:
    picture = PILImage.fromarray(PIXELS)
    assert as_image(picture).digest == as_image(picture.copy()).digest
    assert as_image(PIXELS).digest == as_image(PIXELS.copy()).digest


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"])
def test_every_mode_of_pillow(mode: str) -> None:
    plain = PILImage.fromarray(PIXELS)
    picture = plain.convert("L").convert(mode) if mode in ("I", "F", "I;16") else _converted(plain, mode)
    image = as_image(picture)
    assert image.pixels().shape == (5, 7, 3)


@pytest.mark.parametrize(("mode", "compression"), [("RGB", "jpeg"), ("L", "jpeg"), ("1", "group4"), ("1", "packbits")])
def test_a_picture_of_a_compressed_file_is_taken_as_it_is(mode: str, compression: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    PILImage.fromarray(pixels).convert(mode).save(tmp_path / "one.tif", compression=compression)
    with PILImage.open(tmp_path / "one.tif") as picture:
        np.testing.assert_array_equal(as_image(picture).pixels(), as_image(tmp_path / "one.tif").pixels())


def _converted(picture: PILImage.Image, mode: str) -> PILImage.Image:
    return PILImage.new("LAB", picture.size) if mode == "LAB" else picture.convert(mode)


def test_a_grey_array_is_grey() -> None:
    grey = PIXELS[..., 0]
    np.testing.assert_array_equal(as_image(grey).pixels(), np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(as_image(grey / 255).pixels()[..., 1], grey)


def test_a_picture_is_turned_upright() -> None:
    picture = PILImage.fromarray(PIXELS)
    picture.getexif()[0x0112] = 6
    assert as_image(picture).size == (5, 7)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("https://example.org/cat.jpg", "is an address"),
        ("data:image/png;base64,AAAA", "is an address"),
        ("/nowhere/cat.jpg", "can't read image /nowhere/cat.jpg"),
        (7, "a int is no image"),
        (None, "a NoneType is no image"),
        (PIXELS.transpose(2, 0, 1), "an array (3, 5, 7) of uint8 is no image"),
        (PIXELS.astype(np.int64), "an array (5, 7, 3) of int64 is no image"),
        (PIXELS.astype(np.float32), "has values from 0 to 255"),
        (np.full((4, 4, 3), np.nan), "has values from nan to nan"),
        (np.zeros((0, 4, 3), np.uint8), "an array (0, 4, 3) of uint8 is no image"),
        (np.zeros((4,), np.uint8), "an array (4,) of uint8 is no image"),
    ],
)
def test_what_is_no_image_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        as_image(given).pil()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
