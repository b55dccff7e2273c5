"""What clicks on the object save: as many masks, as good, with fewer clicks than outlines take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pixcore_annotate.segmenting import Segmenter
from pixcore_datasets.coco import union_of
from scipy.ndimage import distance_transform_edt
from skimage.measure import approximate_polygon, find_contours

from pixcore import masks
from pixcore.errors import ConfigError, DataError

GOOD = 0.85
"""The IoU from which a mask will do."""

PATIENCE = 2
"""Clicks after which the person draws an outline instead."""

Mask = NDArray[np.bool_]


def middle(mask: Mask) -> tuple[float, float]:
    """Where one clicks to mean a mask: as far from its edge as can be."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


def overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def outlined(truth: Mask) -> int:
    """Corners of the coarsest outline that will do."""
    height, width = truth.shape
    corners = 0
    for tolerance in np.arange(8, 0.2, -0.4):
        rings = [approximate_polygon(ring, tolerance) for ring in find_contours(np.pad(truth, 1).astype(float), 0.5)]
        flat = [(ring[:-1, ::-1] - 0.5).ravel().tolist() for ring in rings if len(ring) > 3]
        corners = sum(len(ring) // 2 for ring in flat)
        mask = union_of([[ring] for ring in flat], (width, height), where="an outline")
        if overlap(masks.decode(mask), truth) >= GOOD:
            break
    return corners


def clicked(segmenter: Segmenter, picture: Path, truth: Mask) -> int | None:
    """Clicks that it takes to be given a mask that will do; None where patience ends first."""
    clicks = [(*middle(truth), 1)]
    for _ in range(PATIENCE):
        made = [masks.decode(mask) for mask, _ in segmenter.masks(picture, clicks)]
        best = max(made, key=lambda mask: overlap(mask, truth))
        if overlap(best, truth) >= GOOD:
            return len(clicks)
        missing, extra = truth & ~best, best & ~truth
        clicks.append((*middle(missing), 1) if missing.sum() >= extra.sum() else (*middle(extra), 0))
    return None


def test_thirty_pictures_take_half_the_clicks(tmp_path: Path) -> None:
    world = pytest.importorskip("pixcore_mini_world.benchmark")
    config = pytest.importorskip("pixcore_mini_world.config")
    pytest.importorskip("pixcore_regions")
    segmenter = Segmenter("regions")
    by_outline = by_click = pictures = 0
    for sample in world.MiniWorld(config.MiniWorldConfig(pairs=40)).samples():
        if sample.mask is None or not masks.area(sample.mask) or pictures == 30:
            continue
        pictures += 1
        picture = tmp_path / f"{pictures}.png"
        sample.image.pil().save(picture)
        truth = masks.decode(sample.mask)
        outline, clicks = outlined(truth), clicked(segmenter, picture, truth)
        by_outline += outline
        by_click += clicks if clicks is not None else PATIENCE + outline
    assert pictures == 30
    assert by_click <= by_outline / 2, (by_click, by_outline)


def test_what_no_mask_can_be_made_of(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no click is inside"):
        Segmenter("regions").masks(tmp_path / "a.png", [(1, 1, 0)])
    with pytest.raises(DataError, match=r"a\.png"):
        Segmenter("regions").masks(tmp_path / "a.png", [(1, 1, 1)])
    with pytest.raises(ConfigError, match="--masks"):
        Segmenter("{name: regions, colour: red}")
