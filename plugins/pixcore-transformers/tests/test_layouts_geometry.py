"""Every family's visual tokens lie where its layout says: cover a region, see which embeddings change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_testing import check_geometry
from pixcore_transformers.testing import RECIPES, recipes, save_checkpoint

from pixcore.components import Context, ModelAdapter
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


@pytest.mark.parametrize(
    ("family", "sizes"),
    [("llava", {"size": {"height": 35, "width": 35}, "do_center_crop": False}), ("llava_next", {}), ("paligemma", {})],
)
def test_a_tower_whose_side_is_no_multiple_of_its_patch(
    family: str, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """35 pixels are 8 patches of 4 and 3 pixels that the tower never reads: they belong to no cell."""
    monkeypatch.setitem(recipes._TOWER, "image_size", 35)
    recipe = RECIPES[family]
    side = {"height": 35, "width": 35}
    settings = {
        "llava": sizes,
        "llava_next": {
            "size": {"shortest_edge": 35},
            "crop_size": side,
            "image_grid_pinpoints": [[35, 70], [70, 35], [70, 70]],
        },
        "paligemma": {"size": side},
    }[family]

    def config(tokenizer: Any) -> Any:
        made = recipe.config(tokenizer)
        if family == "llava_next":
            made.image_grid_pinpoints = settings["image_grid_pinpoints"]
        return made

    monkeypatch.setitem(RECIPES, family, replace(recipe, config=config))
    folder = save_checkpoint(family, tmp_path / family, **settings)
    found = registry().get(Kind.MODEL, "transformers")
    adapter = found.create(found.config_class.model_validate({"checkpoint": str(folder)}), Context())
    box = adapter.layout(image_of((70, 35))).grids[0].box
    assert box == pytest.approx((0, 0, 64, 32))
    assert check_geometry(adapter, (WIDE, TALL, SQUARE), draws=1) == []


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
