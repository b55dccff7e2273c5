"""Masks against NumPy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pixcore_datasets import run_lengths
from pixcore_datasets.polygons import from_polygons
from pycocotools import mask as coco

from pixcore import masks
from pixcore.errors import DataError
from pixcore.masks import EmptyMaskPolicy
from pixcore.records import Response

bitmaps = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(bool, shape))
stacks = st.tuples(st.integers(1, 6), st.integers(1, 16), st.integers(1, 16)).flatmap(lambda s: arrays(bool, s))


@given(bitmaps)
def test_encoding_round_trip(mask):
    rle = masks.encode(mask)
    assert np.array_equal(masks.decode(rle), mask)
    assert masks.area(rle) == mask.sum()
    assert masks.size_of(rle) == mask.shape[::-1]
    assert run_lengths.parse(rle, where="here", size=mask.shape[::-1]) == rle


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


@given(stacks, st.integers(0, 40), st.integers(0, 40))
def test_masks_are_enlarged_by_their_run_lengths(stack, wider, taller):
    size = (stack.shape[2] + wider, stack.shape[1] + taller)
    expected = np.stack([masks.resized(mask, size) for mask in stack])
    assert masks.encode_many(stack, size) == masks.encode_many(expected)


@given(stacks, st.integers(1, 12), st.integers(1, 12))
def test_masks_are_brought_to_any_size(stack, width, height):
    expected = np.stack([masks.resized(mask, (width, height)) for mask in stack])
    assert masks.encode_many(stack, (width, height)) == masks.encode_many(expected)


@pytest.mark.parametrize("numbers", [np.eye(3) * 0.7, np.arange(9).reshape(3, 3), np.eye(3, dtype=np.uint8)])
def test_a_mask_of_numbers_is_refused(numbers):
    """Shares were cut to 0, and of labels each change of value was taken for a border."""
    with pytest.raises(ValueError, match=rf"bool array .*got {numbers.dtype} \(3, 3\)"):
        masks.encode(numbers)
    with pytest.raises(ValueError, match=rf"bool array .*got {numbers.dtype} \(1, 3, 3\)"):
        masks.encode_many(numbers[None])


def test_a_policy_may_be_named_by_its_text():
    """Each text was taken for SKIP, so that "zero" gave NaN."""
    nothing = [masks.empty((4, 3))]
    assert masks.iou(nothing, nothing, both_empty="one") == 1
    assert masks.iou(nothing, nothing, both_empty="zero") == 0
    assert np.isnan(masks.iou(nothing, nothing, both_empty="skip"))
    with pytest.raises(ValueError, match="half"):
        masks.iou(nothing, nothing, both_empty="half")


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
        rle = run_lengths.parse(value, where="here")
    except DataError:
        return
    assert masks.decode(rle).shape == mask.shape


@settings(max_examples=300)
@given(bitmaps, st.lists(st.tuples(st.sampled_from(["take", "put", "change"]), st.integers(0, 400), st.characters())))
def test_counts_are_refused_where_the_loader_refuses_them(mask, damages):
    """Of a benchmark's or a model's own mask that did not fill its size, measuring went on for ever."""
    rle = masks.encode(mask)
    counts = list(rle["counts"])
    for damage, place, character in damages:
        at = place % (len(counts) + 1)
        counts[at : at + (damage != "put")] = [character] if damage != "take" else []
    damaged = {**rle, "counts": "".join(counts)}
    try:
        run_lengths.parse(damaged, where="here")
    except DataError:
        with pytest.raises(DataError, match="the mask is not COCO RLE that fills its size"):
            masks.check(damaged, "the mask")
    else:
        masks.check(damaged, "the mask")


@pytest.mark.parametrize("size", [[-3, -4], [3.0, 4.0], [None, 4], [[3], 4], [True, 12]])
def test_a_masks_size_is_two_positive_whole_numbers(size):
    """Two negative ones passed, as their product fits; None ended in a TypeError."""
    with pytest.raises(DataError, match="the mask is not COCO RLE that fills its size"):
        masks.check({"size": size, "counts": "<"}, "the mask")


def test_a_response_has_masks_that_fill_their_size():
    short = masks.RLE(size=[3, 4], counts="0;")
    with pytest.raises(DataError, match="a response's mask is not COCO RLE"):
        Response("a mask", mask=short)
    with pytest.raises(DataError, match="a response's mask is not COCO RLE"):
        Response("a mask", mask=masks.empty((4, 3)), masks=(masks.empty((4, 3)), short))


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
        run_lengths.parse(value, where="line 7: mask")


def test_a_transposed_size_is_named():
    rle = masks.empty((4, 3))
    with pytest.raises(DataError, match="is 4x3 pixels, its image is 3x4"):
        run_lengths.parse(rle, where="mask", size=(3, 4))


def test_polygons_and_uncompressed_runs():
    square = from_polygons([[1, 1, 4, 1, 4, 3, 1, 3]], (6, 5))
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    assert np.array_equal(masks.decode(square), expected)
    assert masks.area(run_lengths.parse({"size": [3, 2], "counts": [2, 3, 1]}, where="mask")) == 3


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 1000), st.integers(0, 2**32 - 1))
def test_any_number_of_masks(count, seed):
    """A library's limit of 255 masks at once is met by every function that takes several."""
    stack = np.random.default_rng(seed).random((count, 4, 5)) < 0.3
    rles = masks.encode_many(stack)
    assert rles == [masks.encode(mask) for mask in stack]
    assert masks.areas(rles).tolist() == stack.sum(axis=(1, 2)).tolist()
    assert np.array_equal(masks.decode(masks.union(rles, (5, 4))), stack.any(axis=0))
    truths = rles[:3]
    values, swapped = masks.iou(rles, truths), masks.iou(truths, rles)
    assert np.array_equal(values, swapped.T)
    some = rles[:200]  # with themselves, of which half is measured, as with others
    assert np.array_equal(masks.iou(some, some), masks.iou(some, list(some)))
    for truth, column in zip(stack[:3], values.T, strict=True):
        shared, either = (stack & truth).sum(axis=(1, 2)), (stack | truth).sum(axis=(1, 2))
        assert column == pytest.approx(np.where(either > 0, shared / np.maximum(either, 1), 1.0))
    corners = np.argwhere(stack.any(axis=0))
    rings = [[x, y, x + 1, y, x + 1, y + 1, x, y + 1] for y, x in corners.tolist()] * 60
    assert np.array_equal(masks.decode(from_polygons(rings, (5, 4))), stack.any(axis=0))


@given(st.lists(st.floats(-200, 250), min_size=6, max_size=16).filter(lambda ring: len(ring) % 2 == 0))
def test_a_polygon_that_goes_far_outside_is_as_the_library_draws_it(ring):
    size = (40, 30)
    expected = coco.decode(coco.merge(coco.frPyObjects([ring], 30, 40))).astype(bool)
    found = masks.decode(from_polygons([ring], size))
    assert (found != expected).sum() <= 40  # at its border: the library rounds corners to a fifth of a pixel


@pytest.mark.parametrize("far", [1e6, 1e12, 1e308])
def test_a_polygon_of_any_reach_is_cut_at_once(far):
    size = (40, 30)
    right_below = from_polygons([[10, 5, far, 5, far, far, 10, far]], size)
    expected = np.zeros((30, 40), bool)
    expected[5:, 10:] = True
    assert np.array_equal(masks.decode(right_below), expected)
    everything = from_polygons([[-far, -far, far, -far, far, far, -far, far]], size)
    assert masks.area(everything) == 1200
    assert masks.area(from_polygons([[far, far, far, far / 2, far / 2, far]], size)) == 0


def test_what_would_take_all_memory_is_refused():
    zigzag = [float(value) for step in range(9000) for value in (step % 2 * 2000, step % 1000)]
    with pytest.raises(DataError, match="pixels long"):
        from_polygons([zigzag], (2000, 1000))
    for make in (masks.empty, lambda size: from_polygons([], size)):
        with pytest.raises(DataError, match="more than"):
            make((10**9, 10**9))
    with pytest.raises(DataError, match="more than"):
        run_lengths.parse({"size": [10**200, 10**200], "counts": [1]}, where="here")
    assert masks.area(masks.empty((16_000, 16_000))) == 0


def test_runs_whose_sum_wraps_around_are_refused():
    # each number adds 2^33 to the run two before: soon longer than any image's, long before a sum of 64 bits is full
    counts = "000" + "PPPPPP8" * 2000
    with pytest.raises(DataError, match="absurd"):
        run_lengths.parse({"size": [112, 112], "counts": counts}, where="here")


def test_masks_of_unlike_sizes_are_not_united():
    """pycocotools makes a mask of no pixel of them."""
    with pytest.raises(DataError, match=r"size \[5, 4\] meets one of size \[4, 4\]"):
        masks.union([masks.empty((4, 4)), masks.empty((4, 5))], (4, 4))
