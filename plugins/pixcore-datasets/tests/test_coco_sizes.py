"""Annotations of another size than their picture: scaled alike, whatever they are written as; turned ones refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_datasets.coco import GroundTruth, Size, union_of
from pixcore_datasets.polygons import from_polygons

from pixcore import masks
from tests.damages import assert_told

RIGHT_HALF = [[20, 0, 40, 0, 40, 30, 20, 30]]


def half() -> masks.RLE:
    inside = np.zeros((30, 40), bool)
    inside[:, 20:] = True
    return masks.encode(inside)


def brought(segmentation: Any, size: Size, *, own: Size | None = None) -> masks.RLE:
    return union_of([segmentation], size, where="f: image a", resize=True, own=own)


@settings(deadline=None)
@given(st.integers(1, 5))
def test_polygons_and_run_lengths_of_one_annotation_stay_one(times: int) -> None:
    size = (40 * times, 30 * times)
    drawn = brought(RIGHT_HALF, size, own=(40, 30))
    assert drawn == brought(half(), size)
    assert masks.area(drawn) == size[0] * size[1] // 2


def test_polygons_stay_where_nothing_states_their_size_or_nothing_is_to_be_resized() -> None:
    assert brought(RIGHT_HALF, (80, 60)) == from_polygons(RIGHT_HALF, (80, 60))
    unchanged = union_of([RIGHT_HALF], (80, 60), where="f", own=(40, 30))
    assert unchanged == from_polygons(RIGHT_HALF, (80, 60))


def test_sizes_that_differ_by_rounding_are_one_shape() -> None:
    truth = GroundTruth()
    mask = truth.of([{"segmentation": RIGHT_HALF}], (27, 20), where="f", resize=True, own=(40, 30))
    assert mask is not None
    assert masks.size_of(mask) == (27, 20)
    assert not truth.notes


@pytest.mark.parametrize(("segmentation", "own"), [(RIGHT_HALF, (40, 30)), (half(), None)])
@pytest.mark.parametrize("size", [(30, 40), (60, 80), (300, 401)])
def test_a_turned_picture_is_refused(segmentation: Any, own: Size | None, size: Size) -> None:
    told = f"f: image a is annotated at 40x30 pixels, its picture has {size[0]}x{size[1]}"
    assert_told(lambda: brought(segmentation, size, own=own), told)


@pytest.mark.parametrize(("segmentation", "own"), [(RIGHT_HALF, (40, 30)), (half(), None)])
def test_another_shape_is_stretched_and_noted(segmentation: Any, own: Size | None) -> None:
    truth = GroundTruth()
    for name in "ab":
        mask = truth.of([{"segmentation": segmentation}] * 2, (80, 20), where=name, resize=True, own=own)
        assert mask is not None
        assert masks.area(mask) == 800
    (note,) = truth.notes
    assert note == "2 image(s) have another shape than their annotations, which are stretched to it (a; b)"
