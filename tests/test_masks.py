"""Masks against NumPy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pixcore import masks
from pixcore.errors import DataError
from pixcore.masks import EmptyMaskPolicy

bitmaps = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(bool, shape))
stacks = st.tuples(st.integers(1, 6), st.integers(1, 16), st.integers(1, 16)).flatmap(lambda s: arrays(bool, s))


@given(bitmaps)
def test_encoding_round_trip(mask):
    rle = masks.encode(mask)
    assert np.array_equal(masks.decode(rle), mask)
    assert masks.area(rle) == mask.sum()
    assert masks.size_of(rle) == mask.shape[::-1]
    assert masks.parse(rle, where="here", size=mask.shape[::-1]) == rle


@given(stacks)
def test_many_at_once(stack):
    assert masks.encode_many(stack) == [masks.encode(mask) for mask in stack]
    size = stack.shape[:0:-1]
    assert np.array_equal(masks.decode(masks.union(masks.encode_many(stack), size)), stack.any(axis=0))


@given(stacks, st.data())
def test_iou_equals_numpy(stack, data):
    others = data.draw(arrays(bool, stack.shape))
    values = masks.iou(masks.encode_many(stack), masks.encode_many(others))
    for i, one in enumerate(stack):
        for j, other in enumerate(others):
            union = (one | other).sum()
            assert values[i, j] == pytest.approx((one & other).sum() / union if union else 1.0)


def test_empty_masks_follow_the_named_policy():
    nothing, something = masks.empty((4, 3)), masks.encode(np.ones((3, 4), bool))
    assert masks.iou([nothing], [nothing])[0, 0] == 1.0
    assert masks.iou([nothing], [nothing], both_empty=EmptyMaskPolicy.ZERO)[0, 0] == 0.0
    assert np.isnan(masks.iou([nothing], [nothing], both_empty=EmptyMaskPolicy.SKIP)[0, 0])
    for policy in EmptyMaskPolicy:
        assert masks.iou([nothing], [something], both_empty=policy)[0, 0] == 0.0
    assert masks.iou([], [nothing]).shape == (0, 1)


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(DataError, match="size"):
        masks.iou([masks.empty((4, 3))], [masks.empty((3, 4))])


@given(bitmaps, st.data())
def test_damaged_counts_never_crash(mask, data):
    """pycocotools reads past the end of damaged text; `parse` must not let it."""
    counts = masks.encode(mask)["counts"]
    position = data.draw(st.integers(0, len(counts)))
    damaged = counts[:position] + data.draw(st.text(min_size=1, max_size=3)) + counts[position:]
    value = {"size": list(mask.shape), "counts": damaged}
    try:
        rle = masks.parse(value, where="here")
    except DataError:
        return
    assert masks.decode(rle).shape == mask.shape


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "mask",
        {"size": [2, 2]},
        {"size": [2], "counts": ""},
        {"size": [2, "2"], "counts": "04"},
        {"size": [0, 4], "counts": ""},
        {"size": [2, 2], "counts": 5},
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [-1, 5]},
        {"size": [2, 2], "counts": "ö"},
        {"size": [2, 2], "counts": "o"},
        {"size": [3, 2], "counts": masks.encode(np.ones((2, 2), bool))["counts"]},
    ],
)
def test_what_is_no_mask_is_named(value):
    with pytest.raises(DataError, match="line 7: mask"):
        masks.parse(value, where="line 7: mask")


def test_a_transposed_size_is_named():
    rle = masks.empty((4, 3))
    with pytest.raises(DataError, match="is 4x3 pixels, its image is 3x4"):
        masks.parse(rle, where="mask", size=(3, 4))


def test_polygons_and_uncompressed_runs():
    square = masks.from_polygons([[1, 1, 4, 1, 4, 3, 1, 3]], (6, 5))
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    assert np.array_equal(masks.decode(square), expected)
    assert masks.area(masks.from_runs([2, 3, 1], (2, 3))) == 3


def test_blend_is_half_red():
    pixels = np.full((2, 2, 3), 100, np.uint8)
    inside = np.array([[True, False], [False, False]])
    assert masks.blend(pixels, inside)[0, 0].tolist() == [177, 50, 50]
    assert masks.blend(pixels, inside)[1, 1].tolist() == [100, 100, 100]
