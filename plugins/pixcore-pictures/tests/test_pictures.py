"""Masks and points drawn over images, and text in any alphabet."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage
from pixcore_pictures.drawing import MASK, blend, mask_at, overlay
from pixcore_pictures.fonts import font_for, shortened, wrapped
from pixcore_pictures.heat import heat, ramp, relevance_at

from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Candidate, Image, PointPrompt, TokenGroup


def _candidate(size: tuple[int, int], phrase: str = "the roof") -> Candidate:
    width, height = size
    inside = np.zeros((height, width), bool)
    inside[height // 4 : height // 4 + max(1, height // 2), width // 4 : width // 4 + max(1, width // 2)] = True
    group = TokenGroup((0,), phrase, 0, len(phrase))
    return Candidate(group, PointPrompt.at((width // 2, height // 2)), (masks.encode(inside),), (0.75,))


def test_an_overlay_only_darkens_what_is_outside_the_mask() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    candidate = _candidate((60, 40))
    drawn = np.asarray(overlay(Image.from_pixels(pixels).pil(), (60, 40), candidate.masks[0]))
    inside = masks.decode(candidate.masks[0])
    np.testing.assert_allclose(drawn[~inside], pixels[~inside] * 0.65, atol=1)
    assert (drawn[inside] != pixels[inside]).any(axis=1).mean() > 0.9
    assert tuple(drawn[10, 15]) == MASK  # the mask's own corner


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 40), st.integers(1, 40), st.data())
def test_no_mask_is_too_small_to_be_seen(height: int, width: int, rows: int, columns: int, data: st.DataObject) -> None:
    """A mask of one pixel is shown where it lies, however much smaller the picture is; no mask is shown as none."""
    whole = np.zeros((height, width), bool)
    assert not mask_at(masks.encode(whole), (columns, rows)).any()
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    whole[y, x] = True
    shown = mask_at(masks.encode(whole), (columns, rows))
    assert shown.shape == (rows, columns)
    assert shown.any()
    if shown.sum() == 1:
        (row, column) = np.argwhere(shown)[0]
        assert abs((row + 0.5) / rows - (y + 0.5) / height) <= 0.5 / rows + 0.5 / height
        assert abs((column + 0.5) / columns - (x + 0.5) / width) <= 0.5 / columns + 0.5 / width


def test_a_point_is_drawn_at_the_pixel_it_names() -> None:
    image = Image.from_pixels(np.zeros((10, 20, 3), np.uint8)).pil()
    drawn = np.asarray(overlay(image, (400, 200), prompt=PointPrompt.at((3.0, 7.0)))).astype(int)
    rows, cols = np.nonzero(drawn.sum(axis=2))
    assert (cols.mean() / 20, rows.mean() / 20) == pytest.approx((3.5, 7.5), abs=0.05)


def _drawn(prompt: PointPrompt, ground: int) -> np.ndarray:
    """What a prompt leaves on an image of one grey, five times as large."""
    image = PILImage.new("RGB", (40, 30), (ground,) * 3)
    return np.asarray(overlay(image, (200, 150), prompt=prompt), int) - ground


def _box(*corners: float) -> PointPrompt:
    return PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), box=corners)  # type: ignore[arg-type]


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_a_box_and_a_point_outside_are_seen_on_any_ground(ground: int) -> None:
    outside = PointPrompt(np.array([(20, 15)], np.float32), np.zeros(1, np.int8))
    for prompt in (_box(10, 5, 30, 25), outside):
        assert (np.abs(_drawn(prompt, ground)).max(axis=2) > 100).sum() > 20


def test_further_places_of_the_same_thing_are_drawn() -> None:
    one, other = PointPrompt.at((5, 5)), _box(20, 10, 35, 25)
    both = _drawn(replace(one, also=(other,)), 0)
    np.testing.assert_array_equal(both, np.maximum(_drawn(one, 0), _drawn(other, 0)))


def test_a_box_whose_corners_are_the_wrong_way_round_is_drawn_all_the_same() -> None:
    np.testing.assert_array_equal(_drawn(_box(30, 25, 10, 5), 0), _drawn(_box(10, 5, 30, 25), 0))


@pytest.mark.parametrize("text", ["красная крыша", "κόκκινη στέγη", "червоний дах — ⅓", "toit en été", "سقف"])
def test_text_beyond_ascii_has_its_letters(text: str) -> None:
    font = font_for(text, 20)
    missing = font.getmask("\U0010fffe")  # a code point that no font draws
    for letter in set(text) - {" "}:
        glyph = font.getmask(letter)
        assert bytes(glyph) != bytes(missing), f"{letter!r} is drawn as a missing character"


def test_long_and_odd_text_fits_its_line() -> None:
    font = font_for("x", 14)
    for text in ("word " * 100, "x" * 500, "line\nbreak\tand\x00control", ""):
        line = shortened(text, font, 200)
        assert font.getlength(line) <= 200
        assert line.isprintable()


@pytest.mark.parametrize("text", ["word " * 100, "x" * 500, "红色的屋顶" * 60, "one\n\ntwo " + "three " * 80])
def test_a_text_is_wrapped_and_what_is_left_is_cut(text: str) -> None:
    font = font_for(text, 14)
    lines = wrapped(text, font, 200, 3)
    assert len(lines) == 3
    assert all(0 < font.getlength(line) <= 200 for line in lines)
    assert lines[-1].endswith("…")


def test_a_wrapped_text_that_fits_is_whole_and_breaks_between_words() -> None:
    text = "The green lamp is at the top of the image, to the right of the pink flower.\nIts bulb is off."
    lines = wrapped(text, font_for(text, 14), 200, 9)
    assert " ".join(lines) == text.replace("\n", " ")
    assert "Its bulb is off." in lines
    assert wrapped(" \n\t", font_for("x", 14), 200, 3) == []


def test_a_script_without_spaces_fills_its_lines() -> None:
    text = "mini: " + "屋顶是红色的门是关着的" * 10
    first, *_, last = wrapped(text, font_for(text, 14), 200, 9)
    assert len(first) > 10
    assert not last.endswith("…")


def test_a_text_of_a_million_letters_is_wrapped_at_once() -> None:
    assert len(wrapped("x" * 1_000_000, font_for("x", 14), 200, 2)) == 2


def test_heat_is_brightest_where_the_values_are_largest() -> None:
    layout = VisualLayout.single(VisualGrid.stretched(4, 4, (80, 40)))
    values = np.zeros(16, np.float32)
    values[4 * 1 + 3] = 7  # second row, last column
    spread = relevance_at(layout, values, (80, 40), (160, 80))
    row, col = np.unravel_index(spread.argmax(), spread.shape)
    assert (spread.min(), spread.max()) == (0, 1)
    assert 20 <= row < 40
    assert col >= 120
    grey = PILImage.new("RGB", (80, 40), (128, 128, 128))
    light = np.asarray(heat(grey, (160, 80), layout, values).convert("L"), int)
    assert np.unravel_index(light.argmax(), light.shape) == pytest.approx((row, col), abs=6)


def test_heat_grows_in_lightness_so_that_it_reads_in_print() -> None:
    lightness = ramp(np.linspace(0, 1, 50)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


def test_heat_of_nothing_and_of_no_numbers_is_dark() -> None:
    layout = VisualLayout.single(VisualGrid.stretched(2, 2, (8, 8)))
    assert not relevance_at(layout, np.full(4, 3.0), (8, 8), (8, 8)).any()
    assert np.isfinite(relevance_at(layout, np.array([np.nan, 1, np.inf, 0]), (8, 8), (4, 4))).all()


def test_without_matplotlib_pillows_own_font_serves() -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pixcore_pictures.fonts import font_for, shortened\n"
        "font = font_for('the roof', 20)\n"
        "assert font.getmask('r').getbbox() and font.getlength(shortened('word ' * 50, font, 200)) <= 200\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_blend_is_half_red():
    pixels = np.full((2, 2, 3), 100, np.uint8)
    inside = np.array([[True, False], [False, False]])
    assert blend(pixels, inside)[0, 0].tolist() == [177, 50, 50]
    assert blend(pixels, inside)[1, 1].tolist() == [100, 100, 100]
