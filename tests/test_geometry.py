"""Visual tokens and pixels: round trips, and upsampling against torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pixcore_testing.geometry import tokens_at

from pixcore.geometry import VisualGrid, VisualLayout

sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))
counts = st.integers(1, 30)


@st.composite
def grids(draw):
    size = draw(sizes)
    rows, cols = draw(counts), draw(counts)
    kind = draw(st.sampled_from(["stretched", "padded", "cropped", "tile"]))
    if kind == "stretched":
        return size, VisualGrid.stretched(rows, cols, size)
    if kind == "padded":
        return size, VisualGrid.padded_to_square(rows, cols, size)
    if kind == "cropped":
        return size, VisualGrid.centre_cropped(rows, cols, size)
    x0, y0 = draw(st.floats(-50, 50)), draw(st.floats(-50, 50))
    return size, VisualGrid(rows, cols, (x0, y0, x0 + draw(st.floats(1, 300)), y0 + draw(st.floats(1, 300))))


@given(grids())
def test_a_cells_centre_lies_in_the_cell(case):
    _, grid = case
    for row in range(grid.rows):
        for col in range(grid.cols):
            x0, y0, x1, y1 = grid.cell_box(row, col)
            assert grid.cell_at((x0 + x1) / 2, (y0 + y1) / 2) == (row, col)


@given(grids())
def test_cells_tile_the_box(case):
    _, grid = case
    boxes = np.array([grid.cell_box(row, col) for row in range(grid.rows) for col in range(grid.cols)])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    x0, y0, x1, y1 = grid.box
    assert areas.sum() == pytest.approx((x1 - x0) * (y1 - y0))
    assert np.allclose([boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()], grid.box)


@given(grids(), st.booleans())
def test_token_to_image_and_back(case, newline):
    _, grid = case
    layout = VisualLayout.single(grid, newline=newline)
    for token in range(layout.tokens):
        box = layout.cell_box(token)
        if box is None:
            assert newline
            assert token % (grid.cols + 1) == grid.cols
        else:
            assert tokens_at(layout, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2) == [token]


@given(grids(), grids(), st.integers(0, 5))
def test_several_tiles_with_separators(first, second, gap):
    layout = VisualLayout.joined(
        [VisualLayout.single(first[1]), VisualLayout.separators(gap), VisualLayout.single(second[1], newline=True)]
    )
    assert layout.tokens == first[1].cells + gap + second[1].rows * (second[1].cols + 1)
    for token in range(layout.tokens):
        box = layout.cell_box(token)
        if box is not None:
            assert token in tokens_at(layout, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def test_newline_tokens_are_in_no_grid():
    """LLaVA-NeXT and Cambrian: 24 x 25 tokens for a 24 x 24 grid."""
    layout = VisualLayout.single(VisualGrid.stretched(24, 24, (336, 336)), newline=True)
    assert layout.tokens == 600
    assert np.flatnonzero(layout.cell_of < 0).tolist() == list(range(24, 600, 25))
    values = np.arange(600, dtype=np.float32)
    assert np.array_equal(layout.cell_values(values)[0], values.reshape(24, 25)[:, :-1])


def test_a_padded_image_that_is_not_square():
    """640 x 480 padded to 640 x 640: the first and last three rows of 24 lie in the padding."""
    grid = VisualGrid.padded_to_square(24, 24, (640, 480))
    assert grid.box == (0, -80, 640, 560)
    assert grid.cell_at(0, 0) == (3, 0)
    assert grid.cell_at(639, 479) == (20, 23)
    values = np.zeros((24, 24), np.float32)
    values[0] = 1.0
    assert grid.upsample(values, (640, 480)).max() < 1e-6


def test_a_cropped_image_has_no_peak_where_the_model_saw_nothing():
    layout = VisualLayout.single(VisualGrid.centre_cropped(4, 4, (200, 100)))
    values = np.linspace(1, 2, 16, dtype=np.float32)
    image = layout.to_image(values, (200, 100))
    assert image.shape == (100, 200)
    assert 50 <= image.argmax() % 200 < 150
    assert np.all(image[:, :50] == image.min())


@given(counts, counts, sizes, st.integers(0, 2**32 - 1))
def test_upsampling_equals_torch(rows, cols, size, seed):
    """Bicubic with align_corners=False, which attend-and-segment uses."""
    values = np.random.default_rng(seed).normal(size=(rows, cols)).astype(np.float32)
    width, height = size
    ours = VisualGrid.stretched(rows, cols, size).upsample(values, size)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None].double(), size=(height, width), mode="bicubic", align_corners=False
    )
    assert np.allclose(ours, theirs[0, 0].numpy(), atol=2e-6)


@given(counts, sizes, st.integers(0, 2**32 - 1))
def test_upsampling_over_padding_equals_resize_and_crop(side, size, seed):
    """The published way: resize to the padded square, then cut the image out."""
    values = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    width, height = size
    longest = max(size)
    ours = VisualGrid.padded_to_square(side, side, size).upsample(values, size)
    square = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None].double(), size=(longest, longest), mode="bicubic", align_corners=False
    )[0, 0].numpy()
    top, left = (longest - height) // 2, (longest - width) // 2
    assert np.allclose(ours, square[top : top + height, left : left + width], atol=2e-6)


def test_tiles_and_thumbnail_are_averaged():
    thumbnail = VisualLayout.single(VisualGrid.stretched(1, 1, (4, 2)))
    tile = VisualLayout.single(VisualGrid(1, 1, (0, 0, 2, 2)))
    image = VisualLayout.joined([thumbnail, tile]).to_image(np.array([1.0, 3.0]), (4, 2))
    assert np.allclose(image, [[2, 2, 1, 1], [2, 2, 1, 1]])


@pytest.mark.parametrize(
    ("grid_of", "cell_of"), [([0, 0], [0, 0]), ([0], [4]), ([1], [0]), ([0], [-1]), ([-1], [0]), ([0, 0], [0])]
)
def test_a_layout_that_contradicts_itself_is_refused(grid_of, cell_of):
    grid = VisualGrid.stretched(2, 2, (10, 10))
    with pytest.raises(ValueError, match=r"grid|cell"):
        VisualLayout((grid,), np.array(grid_of, np.int32), np.array(cell_of, np.int32))
