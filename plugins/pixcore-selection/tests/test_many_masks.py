"""Many masks at a time give what each on its own gives, plainly: by pycocotools' own IoU, by a map's pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pixcore_datasets import run_lengths
from pixcore_selection.borders import borders_of
from pixcore_selection.inside import RelevanceAtPixels, sums_inside
from pixcore_selection.overlaps import ious

from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout

sizes = st.tuples(st.integers(1, 40), st.integers(1, 30))  # (width, height)


@st.composite
def several(draw: st.DrawFn, size: tuple[int, int]) -> list[np.ndarray]:
    """Noise, rectangles (one stretch a column), the whole image and nothing."""
    width, height = size
    found = []
    for kind in draw(st.lists(st.sampled_from(["noise", "box", "box", "box", "all", "none"]), min_size=1, max_size=8)):
        mask = np.zeros((height, width), bool)
        if kind == "noise":
            mask = draw(arrays(bool, (height, width)))
        elif kind == "box":
            x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
            mask[y : y + draw(st.integers(1, height)), x : x + draw(st.integers(1, width))] = True
        elif kind == "all":
            mask[:] = True
        found.append(mask)
    return found


@given(st.data())
def test_overlaps_are_those_of_pycocotools(data: st.DataObject) -> None:
    rles = masks.encode_many(np.stack(data.draw(several(data.draw(sizes)))))
    np.testing.assert_array_equal(ious(rles), masks.iou(rles, rles, both_empty=masks.EmptyMaskPolicy.ZERO))


@given(st.data())
def test_sums_are_those_over_the_pixels(data: st.DataObject) -> None:
    width, height = size = data.draw(sizes)
    drawn = data.draw(several(size))
    rows, cols = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    values = data.draw(arrays(np.float32, rows * cols, elements=st.floats(0, 1, width=32)))
    whole = VisualLayout.single(VisualGrid.stretched(rows, cols, size))
    part = VisualLayout.single(VisualGrid(rows, cols, (0.0, 0.0, (width + 1) / 2, float(height))))
    padded = VisualLayout.single(VisualGrid.padded_to_square(rows, cols, size))
    for layout in (whole, part, padded):
        plain = np.clip(layout.to_image(values, size), 0, None)
        at_pixels = RelevanceAtPixels(layout, size)
        at_pixels(values[::-1].copy())  # the next map overwrites it
        sums, total, areas = sums_inside(at_pixels(values), borders_of(masks.encode_many(np.stack(drawn))))
        expected = [plain[mask].sum(dtype=np.float64) for mask in drawn]
        np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(total, plain.sum(dtype=np.float64), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(areas, [mask.mean() for mask in drawn])


def test_runs_of_no_pixels_are_no_borders() -> None:
    outside = run_lengths.parse({"size": [4, 2], "counts": [2, 0, 1, 2, 0, 0, 3]}, where="here")
    relevance = np.arange(8, dtype=np.float32).reshape(2, 4)
    (found,), _, (share,) = sums_inside(relevance, borders_of([outside]))
    assert (found, share) == (relevance.T[masks.decode(outside)].sum(), 2 / 8)
