"""Every family's visual tokens lie where its layout says: cover a region, see which embeddings change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_testing import check_geometry
from pixcore_transformers.testing import RECIPES, recipes, save_checkpoint

from pixcore.components import Context, ModelAdapter
from pixcore.errors import ModelError, SampleError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.plugins import Kind, registry
from pixcore.records import Image

WIDE, TALL, SQUARE = (187, 71), (96, 192), (128, 128)  # nothing divides the first

PAN_AND_SCAN = {
    "do_pan_and_scan": True,
    "pan_and_scan_min_crop_size": 20,
    "pan_and_scan_max_num_crops": 3,
}
PAD = {"image_processor_type": "LlavaImageProcessor", "do_pad": True}  # in the checkpoint, there is no option for it
# a tiny checkpoint, and the config's image_options
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llava, cropped": ("llava", {}),
    "llava, stretched": ("llava", {"size": {"height": 32, "width": 32}, "do_center_crop": False}),
    "llava, cropped from a larger one": ("llava", {"size": {"shortest_edge": 40}}),
    "llava, cropped at its own size": ("llava", {"do_resize": False}),
    "llava, padded where nothing is left to pad": ("llava", {"do_pad": True}),  # CLIP's processor pads what it cropped
    "llava_next": ("llava_next", {}),
    "llava_onevision": ("llava_onevision", {}),
    "qwen2_vl": ("qwen2_vl", {}),
    "qwen2_5_vl": ("qwen2_5_vl", {}),
    "qwen3_vl": ("qwen3_vl", {}),
    "qwen3_vl_moe": ("qwen3_vl_moe", {}),
    "internvl": ("internvl", {}),
    "internvl, one tile": ("internvl", {"max_patches": 1}),
    "gemma3": ("gemma3", {}),
    "gemma3, pan and scan": ("gemma3", PAN_AND_SCAN),
    "idefics3": ("idefics3", {}),
    "idefics3, not split": ("idefics3", {"do_image_splitting": False}),
    "smolvlm": ("smolvlm", {}),
    "paligemma": ("paligemma", {}),
    "pixtral": ("pixtral", {}),
    "mistral3": ("mistral3", {}),
}

Adapt = Callable[..., ModelAdapter[Any]]


@pytest.fixture(scope="module")
def adapt(checkpoint: Callable[..., Path]) -> Adapt:
    """The adapter `transformers` on a tiny checkpoint, made as a config would make it."""

    def make(family: str, image_options: dict[str, Any] | None = None, **image_settings: Any) -> ModelAdapter[Any]:
        found = registry().get(Kind.MODEL, "transformers")
        config = {"checkpoint": str(checkpoint(family, **image_settings)), "image_options": image_options or {}}
        adapter: ModelAdapter[Any] = found.create(found.config_class.model_validate(config), Context())
        return adapter

    return make


@pytest.mark.parametrize("case", CASES)
def test_tokens_lie_where_the_layout_says(case: str, adapt: Adapt) -> None:
    family, options = CASES[case]
    assert check_geometry(adapt(family, options), (WIDE, TALL, SQUARE), draws=1) == []


def test_a_padded_image_is_cropped_too(adapt: Adapt) -> None:
    adapter = adapt("llava", size={"shortest_edge": 40}, **PAD)
    assert check_geometry(adapter, (WIDE, TALL, SQUARE), draws=1) == []


def test_a_crop_that_a_layout_does_not_know_is_refused(adapt: Adapt) -> None:
    adapter = adapt("mistral3", {"do_center_crop": True, "crop_size": square(48)})
    with pytest.raises(ModelError, match="cropped image") as error:
        adapter.layout(image_of(WIDE))
    assert "leave do_center_crop out" in error.value.hint


def square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def tiles_of(side: int) -> list[list[int]]:
    return [[side, 2 * side], [2 * side, side], [2 * side, 2 * side]]


IDEFICS = {"size": {"longest_edge": 4 * 35}, "max_image_size": {"longest_edge": 35}}
# a tiny checkpoint, its tower's side, its preprocessor_config.json and the config's image_options; a patch has 4 pixels
RESTS: dict[str, tuple[str, int, dict[str, Any], dict[str, Any]]] = {
    "llava": ("llava", 35, {"size": square(35), "do_center_crop": False}, {}),
    "llava, cropped": ("llava", 35, {"size": {"shortest_edge": 36}, "crop_size": square(35)}, {}),
    "llava, padded": ("llava", 35, {"size": square(35), "crop_size": square(35), **PAD}, {}),
    "llava_next": (
        "llava_next",
        35,
        {"size": {"shortest_edge": 35}, "crop_size": square(35), "image_grid_pinpoints": tiles_of(35)},
        {},
    ),
    "llava_onevision": ("llava_onevision", 35, {"size": square(35), "image_grid_pinpoints": tiles_of(35)}, {}),
    "internvl": ("internvl", 35, {"size": square(35), "crop_to_patches": True}, {}),
    "internvl, one tile": ("internvl", 35, {"size": square(35)}, {"max_patches": 1}),
    "gemma3": ("gemma3", 35, {"size": square(35)}, {}),
    "gemma3, pan and scan": ("gemma3", 35, {"size": square(35)}, PAN_AND_SCAN),
    "idefics3": ("idefics3", 35, IDEFICS, {}),
    "idefics3, not split": ("idefics3", 35, IDEFICS, {"do_image_splitting": False}),
    "smolvlm": ("smolvlm", 35, IDEFICS, {}),
    "paligemma": ("paligemma", 35, {"size": square(35)}, {}),
}
MULTIPLES = {"qwen2_vl": 8, "qwen2_5_vl": 8, "qwen3_vl": 8, "qwen3_vl_moe": 8, "pixtral": 4, "mistral3": 8}
"""How many pixels a token sees, where the processor makes every side a multiple of them: there is no rest."""


def test_every_family_is_held_to_its_rest_or_has_none() -> None:
    assert {family for family, *_ in RESTS.values()} | set(MULTIPLES) == set(RECIPES) - {"mllama"}


@pytest.mark.parametrize("case", RESTS)
def test_what_a_tower_never_reads_belongs_to_no_cell(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    family, side, settings, options = RESTS[case]
    monkeypatch.setattr(recipes, "_TILE", side)
    monkeypatch.setitem(recipes._TOWER, "image_size", side)
    monkeypatch.setattr(recipes, "_PINPOINTS", tiles_of(side))
    folder = save_checkpoint(family, tmp_path / family, **settings)
    found = registry().get(Kind.MODEL, "transformers")
    config = found.config_class.model_validate({"checkpoint": str(folder), "image_options": options})
    adapter = found.create(config, Context())
    # 8 patches of 4 pixels, of an image that is first scaled to 36 pixels where it is cropped
    end = 32 * side / 36 if case == "llava, cropped" else 32
    boxes = [grid.box for grid in adapter.layout(image_of((side, side))).grids]
    assert any(box == pytest.approx((0, 0, end, end)) for box in boxes), boxes
    assert check_geometry(adapter, (WIDE, TALL, SQUARE), draws=1) == []
    true = adapter.layout
    adapter.layout = lambda image: read_whole(true(image), side / 32)  # type: ignore[method-assign]
    assert check_geometry(adapter, (WIDE, TALL, SQUARE), draws=1), "cells over the rest too go unnoticed"


def read_whole(layout: VisualLayout, more: float) -> VisualLayout:
    """Each grid laid over what the tower never reads, too."""
    boxes = [(x0, y0, x0 + (x1 - x0) * more, y0 + (y1 - y0) * more) for x0, y0, x1, y1 in (g.box for g in layout.grids)]
    grids = tuple(VisualGrid(grid.rows, grid.cols, box) for grid, box in zip(layout.grids, boxes, strict=True))
    return VisualLayout(grids, layout.grid_of, layout.cell_of)


def test_patches_that_no_token_pools_belong_to_no_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """38 pixels are 9 patches of 4: two by two make 4 tokens a side, and the ninth is in none of them."""
    monkeypatch.setitem(recipes._TOWER, "image_size", 38)
    folder = save_checkpoint("gemma3", tmp_path / "gemma3", size=square(38))
    found = registry().get(Kind.MODEL, "transformers")
    adapter = found.create(found.config_class.model_validate({"checkpoint": str(folder)}), Context())
    (grid,) = adapter.layout(image_of((38, 38))).grids
    assert (grid.rows, grid.cols) == (4, 4)
    assert grid.box == pytest.approx((0, 0, 32, 32))


@pytest.mark.parametrize("size", [(128, 128), (110, 150)], ids=str)
def test_cells_that_tiles_are_shrunk_to_have_their_centres_where_they_are_interpolated(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The places of the tiles' cells, shrunk as the model shrinks their features."""
    monkeypatch.setattr(recipes, "_TILE", 35)
    monkeypatch.setitem(recipes._TOWER, "image_size", 35)
    monkeypatch.setattr(recipes, "_PINPOINTS", tiles_of(35))
    folder = save_checkpoint("llava_onevision", tmp_path / "odd", size=square(35), image_grid_pinpoints=tiles_of(35))
    found = registry().get(Kind.MODEL, "transformers")
    adapter = found.create(found.config_class.model_validate({"checkpoint": str(folder)}), Context())
    layout = adapter.layout(image_of(size))
    token = int(np.argmax(layout.grid_of > 0))
    width = int(np.argmax(layout.grid_of[token:] < 0))
    rows = layout.grid_of[token:].size // (width + 1)
    centres = [
        tuple((box[axis] + box[axis + 2]) / 2 for axis in (0, 1))
        for box in (layout.cell_box(each) for each in range(token, layout.tokens))
        if box is not None
    ]
    scale = max(size) / 70  # two tiles of 35 pixels along the longer side, whose patches begin at these pixels
    places = torch.tensor([tile * 35 + patch * 4 + 2.0 for tile in (0, 1) for patch in range(8)]) * scale
    for axis, made in ((0, width), (1, rows)):
        kept = 16 - (16 - round(16 * size[axis] / max(size))) // 2 * 2
        before = (16 - kept) // 2
        own = places[before : before + kept] - (max(size) - size[axis]) / 2
        expected = torch.nn.functional.interpolate(own[None, None], size=made, mode="linear")[0, 0]
        found_here = np.array(centres)[:, axis].reshape(rows, width)
        lines = found_here if axis == 0 else found_here.T
        # half of what lies between two tiles; a padding's last pixel
        np.testing.assert_allclose(lines, np.tile(expected, (len(lines), 1)), atol=1.5 * scale + 1)


@pytest.mark.parametrize("family", MULTIPLES)
@pytest.mark.parametrize("size", [(187, 71), (41, 67), (35, 35), (300, 33)], ids=str)
def test_a_processor_leaves_no_rest(family: str, size: tuple[int, int], adapt: Adapt) -> None:
    adapter: Any = adapt(family)
    inputs = adapter.encode([image_of(size).pil()], ["Where?"])
    if "image_grid_thw" in inputs:
        sides = (inputs["image_grid_thw"][0, 1:] * 4).tolist()
    else:
        sides = inputs["image_sizes"][0].tolist()
        assert list(inputs["pixel_values"].shape[-2:]) == sides
    (grid,) = adapter.layout(image_of(size)).grids
    assert sides == [grid.rows * MULTIPLES[family], grid.cols * MULTIPLES[family]]
    assert grid.box == (0, 0, *size)


@pytest.mark.parametrize("size", [(40, 4), (40, 3), (3, 3), (40, 1), (1, 1)], ids=str)
def test_rows_of_pixels_are_no_channels(size: tuple[int, int], adapt: Adapt) -> None:
    """Processors of old guess which axis has the colours: one colour everywhere stays one."""
    colour = np.array([250, 20, 120], np.uint8)
    image = Image.from_pixels(np.broadcast_to(colour, (size[1], size[0], 3)).copy())
    video_llava: Any = adapt("video_llava")
    pixels = video_llava.encode([image.pil()], ["Where?"])["pixel_values_images"][0]
    expected = torch.from_numpy(colour / 127.5 - 1)[:, None, None].expand(pixels.shape)
    torch.testing.assert_close(pixels.double(), expected, atol=1e-5, rtol=0)
    emu3: Any = adapt("emu3")
    if size[1] in (1, 3):
        with pytest.raises(SampleError):
            emu3.layout(image)
    else:
        seen = emu3.encode([image.pil()], ["Where?"])["pixel_values"][0]
        torch.testing.assert_close(seen.double(), expected[:, :1, :1].expand(seen.shape), atol=1e-5, rtol=0)


def test_padding_is_no_crop(adapt: Adapt) -> None:
    padding, cropping = adapt("llava", **PAD), adapt("llava")
    assert check_geometry(padding, (WIDE, TALL, SQUARE), draws=1) == []
    padding.layout = cropping.layout  # type: ignore[method-assign]
    wrong = {finding.where.split(",")[0] for finding in check_geometry(padding, (WIDE, TALL, SQUARE), draws=1)}
    assert wrong == {"187x71", "96x192"}, "a square image is neither padded nor cropped"


def test_pan_and_scan_takes_crops_along_the_longer_side(adapt: Adapt) -> None:
    adapter = adapt("gemma3", PAN_AND_SCAN)
    wide = adapter.layout(image_of((191, 96)))
    assert [grid.box for grid in wide.grids] == [(0, 0, 191, 96), (0, 0, 96, 96), (96, 0, 191, 96)]
    tall = adapter.layout(image_of((60, 170)))
    assert [grid.box for grid in tall.grids] == [(0, 0, 60, 170), (0, 0, 60, 57), (0, 57, 60, 114), (0, 114, 60, 170)]
    assert len(adapter.layout(image_of(SQUARE)).grids) == 1


def image_of(size: tuple[int, int]) -> Image:
    return Image.from_pixels(np.zeros((size[1], size[0], 3), np.uint8))


def without_newlines(layout: VisualLayout) -> VisualLayout:
    """The newline column forgotten: the cells follow each other, what is left over comes at the end."""
    last = len(layout.grids) - 1
    tiles = np.flatnonzero((layout.grid_of == last) | (layout.grid_of < 0))
    grid_of, cell_of = layout.grid_of.copy(), layout.cell_of.copy()
    count = layout.grids[last].cells
    grid_of[tiles], cell_of[tiles] = -1, -1
    grid_of[tiles[:count]], cell_of[tiles[:count]] = last, np.arange(count)
    return VisualLayout(layout.grids, grid_of, cell_of)


def transposed(layout: VisualLayout) -> VisualLayout:
    """Columns before rows in every grid."""
    cell_of = layout.cell_of.copy()
    for index, grid in enumerate(layout.grids):
        own = layout.grid_of == index
        cell_of[own] = np.arange(grid.cells).reshape(grid.rows, grid.cols).T.reshape(-1)[cell_of[own]]
    return VisualLayout(layout.grids, layout.grid_of, cell_of)


def columns_before_rows_of_tiles(layout: VisualLayout) -> VisualLayout:
    """The second and third of three tiles or more exchanged."""
    grids = list(layout.grids)
    if len(grids) > 4:
        grids[1], grids[2] = grids[2], grids[1]
    return VisualLayout(tuple(grids), layout.grid_of, layout.cell_of)


def thumbnail_first(layout: VisualLayout) -> VisualLayout:
    """The whole image taken for the first of the tiles, not the last."""
    if len(layout.grids) == 1:
        return layout
    return VisualLayout((layout.grids[-1], *layout.grids[:-1]), layout.grid_of, layout.cell_of)


def padding_kept(layout: VisualLayout) -> VisualLayout:
    """The tiles' grid taken for that of the canvas with its padding."""
    tiles = layout.grids[-1]
    x0, y0, x1, y1 = tiles.box
    side = max(x1 - x0, y1 - y0)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    grids = (*layout.grids[:-1], VisualGrid(tiles.rows, tiles.cols, (left, top, left + side, top + side)))
    return VisualLayout(grids, layout.grid_of, layout.cell_of)


@pytest.mark.parametrize(
    ("family", "mistake", "size"),
    [
        ("llava_next", without_newlines, WIDE),
        ("llava_onevision", without_newlines, SQUARE),
        ("mistral3", without_newlines, TALL),
        ("pixtral", without_newlines, SQUARE),
        *((family, transposed, WIDE) for family in ("llava", "llava_next", "qwen2_5_vl", "gemma3", "paligemma")),
        ("qwen3_vl", transposed, SQUARE),
        ("internvl", thumbnail_first, TALL),
        ("smolvlm", thumbnail_first, SQUARE),
        ("smolvlm", columns_before_rows_of_tiles, SQUARE),
        ("llava_next", padding_kept, WIDE),
        ("llava_onevision", padding_kept, TALL),
    ],
)
def test_a_mistake_in_a_layout_is_found(
    family: str, mistake: Callable[[VisualLayout], VisualLayout], size: tuple[int, int], adapt: Adapt
) -> None:
    adapter = adapt(family)
    true = adapter.layout
    adapter.layout = lambda image: mistake(true(image))  # type: ignore[method-assign]
    assert check_geometry(adapter, [size], draws=1)
