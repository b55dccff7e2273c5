"""The geometry check passes adapters whose tokens lie where they say, and catches those that lie elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_testing import check_geometry

from pixcore.components import AttentionExtractor, ModelAdapter, NoConfig
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Image, Request, Response

SIZES = ((120, 60), (60, 120), (90, 90))
CELL = 8  # pixels of the resized image in one cell


class Tower(ModelAdapter[NoConfig]):
    """A vision tower in NumPy: patches, a random projection, and a little of every patch in every other."""

    capabilities = frozenset({"text"})

    def __init__(self, rows: int = 6, cols: int = 6, *, pad: bool = False, crop: bool = False, newline: bool = False):
        super().__init__(NoConfig())
        self.rows, self.cols, self.pad, self.crop, self.newline = rows, cols, pad, crop, newline
        self.projection = np.random.default_rng(0).normal(size=(CELL * CELL * 3, 16)) / CELL
        self.claim: Callable[[VisualLayout, tuple[int, int]], VisualLayout] = lambda layout, size: layout

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        raise NotImplementedError

    def layout(self, image: Image) -> VisualLayout:
        make = VisualGrid.stretched
        if self.pad:
            make = VisualGrid.padded_to_square
        elif self.crop:
            make = VisualGrid.centre_cropped
        true = VisualLayout.single(make(self.rows, self.cols, image.size), newline=self.newline)
        return self.claim(true, image.size)

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        picture = image.pil()
        width, height = picture.size
        side = max(width, height) if self.pad else min(width, height)
        if self.pad:
            canvas = PILImage.new("RGB", (side, side), (127, 127, 127))
            canvas.paste(picture, ((side - width) // 2, (side - height) // 2))
            picture = canvas
        elif self.crop:
            left, top = (width - side) // 2, (height - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
        resized = picture.resize((self.cols * CELL, self.rows * CELL), PILImage.Resampling.BICUBIC)
        pixels = np.asarray(resized, np.float64) / 127.5 - 1
        patches = pixels.reshape(self.rows, CELL, self.cols, CELL, 3).swapaxes(1, 2).reshape(self.rows, self.cols, -1)
        cells = patches @ self.projection
        cells = cells + 0.2 * cells.mean(axis=(0, 1))
        if self.newline:
            cells = np.concatenate([cells, np.ones((self.rows, 1, cells.shape[2]))], axis=1)
        return cells.reshape(-1, cells.shape[2]).astype(np.float32)


def regrid(rows: int, cols: int, layout: VisualLayout, cell_of: NDArray[Any]) -> VisualLayout:
    cells = cell_of.astype(np.int32)
    grid = VisualGrid(rows, cols, layout.grids[0].box)
    return VisualLayout((grid,), np.where(cells >= 0, 0, -1).astype(np.int32), cells)


def transposed(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    grid = layout.grids[0]
    return regrid(grid.cols, grid.rows, layout, np.arange(grid.cells).reshape(grid.cols, grid.rows).T.reshape(-1))


def flat_transposed(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    """Rows and columns swapped, the tokens still in sequence."""
    grid = layout.grids[0]
    return regrid(grid.cols, grid.rows, layout, np.arange(grid.cells))


def newlines_at_the_end(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    """The newline column forgotten, its tokens taken for padding after the grid."""
    grid = layout.grids[0]
    return regrid(grid.rows, grid.cols, layout, np.concatenate([np.arange(grid.cells), np.full(grid.rows, -1)]))


def newlines_as_cells(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    """The newline column taken for one more column of the image."""
    grid = layout.grids[0]
    return regrid(grid.rows, grid.cols + 1, layout, np.arange(layout.tokens))


def no_newlines(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    return VisualLayout.single(layout.grids[0])


def cropped(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    return VisualLayout.single(VisualGrid.centre_cropped(layout.grids[0].rows, layout.grids[0].cols, size))


def padded(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    return VisualLayout.single(VisualGrid.padded_to_square(layout.grids[0].rows, layout.grids[0].cols, size))


def stretched(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    return VisualLayout.single(VisualGrid.stretched(layout.grids[0].rows, layout.grids[0].cols, size))


def mirrored(layout: VisualLayout, size: tuple[int, int]) -> VisualLayout:
    grid = layout.grids[0]
    return regrid(
        grid.rows, grid.cols, layout, np.arange(grid.cells).reshape(grid.rows, grid.cols)[:, ::-1].reshape(-1)
    )


@given(
    rows=st.integers(3, 9),
    cols=st.integers(3, 9),
    kind=st.sampled_from([{}, {"pad": True}, {"crop": True}, {"newline": True}, {"pad": True, "newline": True}]),
    size=st.tuples(st.integers(40, 200), st.integers(40, 200)),
)
@settings(max_examples=25, deadline=None)
def test_a_layout_that_is_right_has_no_findings(
    rows: int, cols: int, kind: dict[str, bool], size: tuple[int, int]
) -> None:
    assert check_geometry(Tower(rows, cols, **kind), [size]) == []


@pytest.mark.parametrize(
    ("tower", "claim"),
    [
        (Tower(), transposed),
        (Tower(4, 8), transposed),
        (Tower(4, 8), flat_transposed),
        (Tower(), mirrored),
        (Tower(newline=True), newlines_at_the_end),
        (Tower(newline=True), newlines_as_cells),
        (Tower(newline=True), no_newlines),
        (Tower(pad=True), cropped),
        (Tower(pad=True), stretched),
        (Tower(crop=True), padded),
        (Tower(crop=True), stretched),
        (Tower(), padded),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_wrong_layout_is_found(tower: Tower, claim: Callable[..., VisualLayout]) -> None:
    tower.claim = claim
    findings = check_geometry(tower, SIZES)
    tower.claim = lambda layout, size: layout
    assert findings
    assert check_geometry(tower, SIZES) == []


def test_padding_taken_for_a_crop_is_found_in_wide_and_tall_images_alone() -> None:
    tower = Tower(pad=True)
    tower.claim = cropped
    places = {finding.where.split(",")[0] for finding in check_geometry(tower, SIZES)}
    assert places == {"120x60", "60x120"}, "a square image is neither padded nor cropped"


def test_a_finding_names_the_place_and_both_tokens() -> None:
    tower = Tower()
    tower.claim = mirrored
    first = next(finding for finding in check_geometry(tower, [(90, 90)]) if "top left" in finding.where)
    assert first.where == "90x90, top left"
    assert "visual token 0 changes most (grid 0, row 0, column 5)" in first.message
    assert "the layout names 5 (grid 0, row 0, column 0)" in first.message


def test_an_adapter_without_a_layout_is_told_what_is_missing() -> None:
    class Silent(Tower):
        def layout(self, image: Image) -> VisualLayout:
            return ModelAdapter.layout(self, image)

    (finding,) = check_geometry(Silent(), [(90, 90)])
    assert "Silent does not say where its visual tokens lie" in finding.message


@pytest.mark.parametrize("fault", ["noisy", "blind", "short", "nan"])
def test_embeddings_that_can_not_be_judged_are_found(fault: str) -> None:
    class Faulty(Tower):
        calls = 0

        def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
            true = super().visual_embeddings(image)
            self.calls += 1
            if fault == "noisy":  # dropout left on
                return true + np.float32(self.calls)
            if fault == "blind":
                return np.ones_like(true)
            return true[:-1] if fault == "short" else np.full_like(true, np.nan)

    (finding,) = check_geometry(Faulty(), [(90, 90)])
    expected = {"noisy": "evaluation mode", "blind": "changes no visual token", "short": "(35, 16)", "nan": "finite"}
    assert expected[fault] in finding.message


def test_slack_forgives_a_token_that_changes_with_everything() -> None:
    class Register(Tower):
        def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
            true = super().visual_embeddings(image)
            true[7] = 100 * true.mean(axis=0)
            return true

    assert check_geometry(Register(), [(90, 90)])
    assert check_geometry(Register(), [(90, 90)], slack=0.05) == []
