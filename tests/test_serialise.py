"""Records as entries and back: what a strategy is given is what was kept, and nobody can write to it."""

from __future__ import annotations

import numpy as np
import pytest

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Response, Token
from pixcore.stages import serialise
from pixcore.stages.serialise import Entry


def response() -> Response:
    layout = VisualLayout.single(VisualGrid.stretched(2, 3, (30, 20)), newline=True)
    maps = np.random.default_rng(0).normal(size=(4, layout.tokens)).astype(np.float32)
    tokens = tuple(Token(number, letter, number, number + 1) for number, letter in enumerate("cups"))
    return Response("cups", tokens, maps=maps, layout=layout, reference=maps[0].copy())


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<i2", "<i8"])
def test_a_layout_is_read_whatever_integers_it_was_kept_in(dtype):
    given = response()
    entry = serialise.response_to_entry(given)
    for name in ("grid_of", "cell_of"):
        entry.arrays[name] = entry.arrays[name].astype(dtype)
    found = serialise.response_from_entry(entry).layout
    assert found is not None
    assert given.layout is not None
    assert found.grids == given.layout.grids
    assert np.array_equal(found.grid_of, given.layout.grid_of)
    assert np.array_equal(found.cell_of, given.layout.cell_of)


def test_responses_of_one_shape_share_their_layout_and_others_do_not():
    entry = serialise.response_to_entry(response())
    one, same = (serialise.response_from_entry(entry).layout for _ in range(2))
    assert one is same
    other = Entry({**entry.body, "grids": [[2, 3, [0, 0, 30, 21]]]}, entry.arrays)
    assert serialise.response_from_entry(other).layout is not one
