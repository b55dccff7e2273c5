"""Mask files of every kind people have: each object's pixels come back as they were painted."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_folder.labels import parse_value, read_labels

from pixcore.errors import DataError

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
BYTES = arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 255))
COLOURS = arrays.arrays(
    np.uint8, SHAPES.map(lambda shape: (*shape, 3)), elements=st.sampled_from([0, 1, 100, 127, 128, 255])
)


def saved(picture: PILImage.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()


@settings(deadline=None)
@given(BYTES)
def test_each_value_of_eight_bits_is_an_object(values: NDArray[np.uint8]) -> None:
    labels = read_labels(saved(PILImage.fromarray(values)), "m")
    assert labels.size == values.shape[::-1]
    for value in range(256):
        if (values == value).any():
            np.testing.assert_array_equal(labels.inside([value]), values == value)
        else:
            with pytest.raises(DataError, match="has no value"):
                labels.inside([value])


def deep(grey: NDArray[np.uint16]) -> bytes:
    """A PNG of colours with 16 bits each, which Pillow can't write."""
    height, width = grey.shape
    rows = np.repeat(grey, 3, axis=1).astype(">u2")
    pieces = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)),
        b"IEND": b"",
    }
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in pieces.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def test_colours_of_sixteen_bits_are_no_empty_mask() -> None:
    inside = np.arange(12).reshape(3, 4) > 6
    with pytest.raises(DataError, match="colours of 16 bits"):
        read_labels(deep(inside.astype(np.uint16)), "m")
    np.testing.assert_array_equal(read_labels(deep(inside * np.uint16(65535)), "m").inside(), inside)


@settings(deadline=None)
@given(arrays.arrays(np.uint16, SHAPES, elements=st.integers(0, 65535)), st.data())
def test_sixteen_bits_are_kept_and_values_unite(values: NDArray[np.uint16], data: st.DataObject) -> None:
    labels = read_labels(saved(PILImage.fromarray(values)), "m")
    wanted = data.draw(st.lists(st.sampled_from(np.unique(values).tolist()), min_size=1, max_size=3))
    np.testing.assert_array_equal(labels.inside(wanted), np.any([values == one for one in wanted], axis=0))


@settings(deadline=None)
@given(BYTES, st.binary(min_size=765, max_size=765))
def test_a_palettes_colours_do_not_matter_to_its_indices(values: NDArray[np.uint8], colours: bytes) -> None:
    picture = PILImage.frombytes("P", values.shape[::-1], values.tobytes())
    picture.putpalette(b"\0\0\0" + colours)
    labels = read_labels(saved(picture), "m")
    for value in np.unique(values):
        np.testing.assert_array_equal(labels.inside([int(value)]), values == value)


@settings(deadline=None)
@given(arrays.arrays(bool, SHAPES), st.sampled_from(["0/1", "0/255", "bits", "16 bits", "colour", "palette", "alpha"]))
def test_one_object_on_its_background_needs_no_value(inside: NDArray[np.bool_], form: str) -> None:
    grey = np.where(inside, 255, 0).astype(np.uint8)
    pictures = {
        "0/1": lambda: PILImage.fromarray(inside.astype(np.uint8)),
        "0/255": lambda: PILImage.fromarray(grey),
        "bits": lambda: PILImage.fromarray(inside),
        "16 bits": lambda: PILImage.fromarray(inside.astype(np.uint16) * 4321),
        "colour": lambda: PILImage.fromarray(np.stack([grey, grey // 2, grey * 0], axis=-1)),
        "palette": lambda: PILImage.fromarray(grey).convert("P"),
        "alpha": lambda: PILImage.merge("RGBA", [PILImage.new("L", grey.shape[::-1])] * 3 + [PILImage.fromarray(grey)]),
    }
    labels = read_labels(saved(pictures[form]()), "m")
    if form == "alpha" and inside.all():  # black, and nowhere transparent, is black
        inside = ~inside
    np.testing.assert_array_equal(labels.inside(), inside)


def test_a_palette_whose_black_is_not_its_first_colour() -> None:
    """What a tool that shrinks PNGs makes of black and white."""
    picture = PILImage.frombytes("P", (3, 1), bytes([0, 1, 1]))
    picture.putpalette([255, 255, 255, 0, 0, 0])
    assert read_labels(saved(picture), "m").inside().tolist() == [[True, False, False]]


def test_colours_are_values() -> None:
    pixels = np.array([[[255, 0, 0], [0, 128, 255], [0, 0, 0]]], np.uint8)
    labels = read_labels(saved(PILImage.fromarray(pixels)), "m")
    value = parse_value("#0080FF")
    assert value is not None
    assert labels.inside([value]).tolist() == [[False, True, False]]
    with pytest.raises(DataError, match=r"has no value #00ff00 .*it has 0, #0080ff, #ff0000"):
        labels.inside([0x00FF00], where="m")


def test_soft_edges_are_cut_where_the_config_says() -> None:
    soft = read_labels(saved(PILImage.fromarray(np.array([[0, 60, 200, 255]], np.uint8))), "m")
    with pytest.raises(DataError, match="several objects, or soft edges"):
        soft.inside()
    assert soft.inside(threshold=128).tolist() == [[False, False, True, True]]
    assert soft.inside(threshold=1).tolist() == [[False, True, True, True]]


def test_a_mask_that_is_a_jpeg_is_cut_too() -> None:
    inside = np.zeros((32, 32), np.uint8)
    inside[8:20, 4:25] = 255
    labels = read_labels(saved(PILImage.fromarray(inside), "JPEG"), "m")
    np.testing.assert_array_equal(labels.inside(threshold=128), inside > 0)


def test_a_threshold_over_colours_is_one_of_brightness() -> None:
    pixels = np.array([[[1, 0, 0], [0, 0, 200], [130, 120, 140]]], np.uint8)
    labels = read_labels(saved(PILImage.fromarray(pixels)), "m")
    assert labels.inside(threshold=128).tolist() == [[False, True, True]]
    assert labels.inside(threshold=255).tolist() == [[False, False, False]]


def test_a_threshold_that_no_value_can_reach_is_refused() -> None:
    """Every object would count as absent."""
    grey = np.array([[0, 60, 200, 255]], np.uint8)
    for pixels in (grey, np.stack([grey, grey, 0 * grey], axis=-1)):
        labels = read_labels(saved(PILImage.fromarray(pixels)), "m")
        with pytest.raises(DataError, match="m can't reach threshold: 300: its values end at 255"):
            labels.inside(threshold=300, where="m")
    deep = read_labels(saved(PILImage.fromarray(grey.astype(np.uint16) * 257)), "m")
    assert deep.inside(threshold=300).tolist() == [[False, True, True, True]]


@settings(deadline=None)
@given(COLOURS, st.integers(1, 255), st.randoms())
def test_a_threshold_sees_a_palettes_colours(pixels: NDArray[np.uint8], threshold: int, order: random.Random) -> None:
    """The same picture with 24 bits and with a palette in any order, its background first, last or in between."""
    colours, indices = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    places = np.array(order.sample(range(len(colours)), len(colours)))
    colours, indices = colours[np.argsort(places)], places[indices]
    indexed = PILImage.frombytes("P", pixels.shape[1::-1], indices.astype(np.uint8).tobytes())
    indexed.putpalette(colours.tobytes())
    found = [read_labels(saved(one), "m").inside(threshold=threshold) for one in (PILImage.fromarray(pixels), indexed)]
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0], pixels.max(axis=-1) >= threshold)


@settings(deadline=None)
@given(arrays.arrays(bool, SHAPES), st.sampled_from(["bits", "palette", "clear palette", "alpha"]), st.integers(1, 255))
def test_any_threshold_takes_the_object_of_a_mask_of_two_values(
    inside: NDArray[np.bool_], form: str, threshold: int
) -> None:
    bits, size = inside.astype(np.uint8), inside.shape[::-1]
    if form == "bits":
        encoded = saved(PILImage.fromarray(inside))
    elif form == "alpha":
        alpha = PILImage.fromarray(bits * np.uint8(255))
        encoded = saved(PILImage.merge("RGBA", [PILImage.new("L", size)] * 3 + [alpha]))
    else:
        indexed = PILImage.frombytes("P", size, bits.tobytes())
        indexed.putpalette([0, 0, 0, 255, 255, 255] if form == "palette" else [0, 0, 0, 0, 0, 0])
        encoded = saved(indexed) if form == "palette" else clear(indexed)
    if form in ("alpha", "clear palette") and inside.all():  # black, and nowhere transparent, is black
        inside = ~inside
    np.testing.assert_array_equal(read_labels(encoded, "m").inside(threshold=threshold), inside)


def clear(indexed: PILImage.Image) -> bytes:
    """Save a picture whose index 0 is transparent."""
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", transparency=0)
    return buffer.getvalue()


def test_a_mask_is_turned_as_its_exif_says() -> None:
    picture = PILImage.fromarray(np.array([[255, 0]], np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    assert read_labels(buffer.getvalue(), "m").inside().tolist() == [[True], [False]]


@pytest.mark.parametrize("encoded", [b"", b"GIF89a", b"no picture", saved(PILImage.new("L", (40, 40)))[:45]])
def test_a_damaged_mask_is_named(encoded: bytes) -> None:
    with pytest.raises(DataError, match=r"can't read mask m\.png"):
        read_labels(encoded, "m.png")


@pytest.mark.parametrize("odd", [0.5, np.nan, np.inf, -np.inf, 3e9])
def test_fractions_are_refused(odd: float) -> None:
    with pytest.raises(DataError, match="not whole numbers"):
        read_labels(saved(PILImage.fromarray(np.array([[0.0, odd]], np.float32)), "TIFF"), "m")
    whole = read_labels(saved(PILImage.fromarray(np.array([[0.0, 7.0]], np.float32)), "TIFF"), "m")
    assert whole.inside([7]).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("said", "value"),
    [("3", 3), (" 3 ", 3), (3, 3), (3.0, 3), ("3.0", 3), ("#ff0000", 0xFF0000), ("x", None), (-1, None), (True, None)],
)
def test_values_as_tables_have_them(said: object, value: int | None) -> None:
    assert parse_value(said) == value
