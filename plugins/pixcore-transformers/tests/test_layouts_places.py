"""Where layouts put their cells, against what the processors really do to pixels and prompts.

An image whose red is its x and whose green is its y shows in the processor's own output where each patch comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_transformers.families import Processed
from pixcore_transformers.layouts import family_for
from pixcore_transformers.layouts.anyres import padded_canvas, unpadded
from pixcore_transformers.processors import load_processor
from pixcore_transformers.testing import RECIPES
from transformers import AutoConfig

from pixcore.geometry import VisualLayout

SERVED = sorted(set(RECIPES) - {"mllama"})
SIZES = st.tuples(st.integers(33, 250), st.integers(33, 250))

Process = Callable[[str, tuple[int, int]], Processed]


@pytest.fixture(scope="module")
def process(checkpoint: Callable[..., Path]) -> Process:
    """One image of coordinates through a family's processor."""

    @cache
    def parts(family: str) -> tuple[Any, Any]:
        folder = checkpoint(family)
        return AutoConfig.from_pretrained(folder), load_processor(folder)

    def run(family: str, size: tuple[int, int]) -> Processed:
        config, processor = parts(family)
        text = (RECIPES[family].placeholder or "<image>") + "Where?"
        inputs = processor(images=[[coordinates(size)]], text=[text], return_tensors="pt")
        return Processed(size, np.asarray(inputs["input_ids"][0]), inputs, config, processor)

    return run


def coordinates(size: tuple[int, int]) -> PILImage.Image:
    """Red is the column, green the row."""
    width, height = size
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return PILImage.fromarray(np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8))


def seen_by_cells(family: str, processed: Processed) -> NDArray[np.float64]:
    """(cells, 2): the mean (column, row) that the processor shows each cell, in the order of the sequence."""
    values = np.asarray(processed.inputs["pixel_values"], np.float64) * 127.5 + 127.5
    if family.startswith("qwen"):
        merged = values.reshape(-1, 4, 3, values.shape[1] // 3)  # four patches a token, two frames of one image
        return np.asarray(merged.mean(axis=(1, 3))[:, :2])
    values = values.reshape(-1, *values.shape[-3:])[:, :2]
    if family in ("pixtral", "mistral3"):
        cell = 8 if family == "mistral3" else 4
        return averaged(values[0], cell).reshape(2, -1).T
    if not family.startswith("llava_"):
        cell = 32 // math.isqrt(layout_of(processed).grids[0].cells)
        return np.concatenate([averaged(tile, cell).reshape(2, -1).T for tile in values])
    whole, *tiles = (averaged(tile, 4) for tile in values)
    height, width = canvas(processed)
    rows = [np.concatenate(tiles[row * width : (row + 1) * width], axis=2) for row in range(height)]
    joined = np.concatenate(rows, axis=1)
    kept_rows, kept_cols = unpadded(padded_canvas(processed.config, processed.size, 8), processed.size)
    top, left = (joined.shape[1] - kept_rows) // 2, (joined.shape[2] - kept_cols) // 2
    joined = joined[:, top : top + kept_rows, left : left + kept_cols]
    return np.concatenate([whole.reshape(2, -1).T, joined.reshape(2, -1).T])


def canvas(processed: Processed) -> tuple[int, int]:
    """Tiles (down, across) of LLaVA-NeXT's canvas, told from how many there are."""
    width, height = processed.size
    count = processed.inputs["pixel_values"].shape[1] - 1
    return {2: (1, 2) if width > height else (2, 1), 3: (1, 3) if width > height else (3, 1), 4: (2, 2)}[count]


def averaged(channels: NDArray[np.float64], cell: int) -> NDArray[np.float64]:
    """(channels, rows, cols): means over squares of pixels."""
    count, height, width = channels.shape
    return np.asarray(channels.reshape(count, height // cell, cell, width // cell, cell).mean(axis=(2, 4)))


def layout_of(processed: Processed) -> VisualLayout:
    return family_for(processed.config.model_type).layout(processed)


@pytest.mark.parametrize("family", SERVED)
@given(size=SIZES)
@example(size=(500, 11))
@example(size=(11, 500))
@example(size=(1, 1))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_layout_has_a_place_for_every_visual_token_of_the_prompt(
    family: str, size: tuple[int, int], process: Process
) -> None:
    processed = process(family, size)
    visual = family_for(processed.config.model_type).visual(processed)
    assert layout_of(processed).tokens == int(visual.sum())


@pytest.mark.parametrize("family", [family for family in SERVED if family != "llava_onevision"])
@given(size=SIZES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cell_covers_what_the_processor_shows_of_the_image(
    family: str, size: tuple[int, int], process: Process
) -> None:
    processed = process(family, size)
    layout, seen = layout_of(processed), seen_by_cells(family, processed)
    boxes = np.array([layout.cell_box(int(token)) for token in np.flatnonzero(layout.grid_of >= 0)])
    assert len(seen) == len(boxes)
    x0, y0, x1, y1 = boxes.T
    # a cell with padding in it shows less than its box, and resizing bends the ramp within two pixels of the border
    inside = (x0 >= 2) & (y0 >= 2) & (x1 <= size[0] - 2) & (y1 <= size[1] - 2)
    centres = np.stack([x0 + x1, y0 + y1], axis=1) / 2 - 0.5  # pixel i has its centre at i + 0.5
    assume(inside.any())
    # Idefics3 resizes three times, each time to whole grey levels, and a level is a pixel here
    np.testing.assert_allclose(seen[inside], centres[inside], atol=0.8)


@pytest.mark.parametrize(("size", "newlines"), [((1000, 8), 0), ((8, 1000), 8)])
def test_of_a_sliver_only_newlines_are_left(size: tuple[int, int], newlines: int, process: Process) -> None:
    """LLaVA-NeXT cuts the padding in whole cells: here nothing of the tiles stays, the whole image does."""
    processed = process("llava_next", size)
    layout = layout_of(processed)
    assert len(layout.grids) == 1
    assert layout.tokens == 64 + newlines == int((processed.input_ids == processed.config.image_token_id).sum())
