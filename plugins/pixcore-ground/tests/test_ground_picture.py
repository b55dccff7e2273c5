"""The picture of one grounded image."""

from __future__ import annotations

import numpy as np
import pytest
from pixcore_ground.picture import ground_picture
from pixcore_pictures.drawing import MASK

from pixcore import masks
from pixcore.records import Candidate, Image, PointPrompt, Selection, TokenGroup


def _candidate(size: tuple[int, int], phrase: str = "the roof") -> Candidate:
    width, height = size
    inside = np.zeros((height, width), bool)
    inside[height // 4 : height // 4 + max(1, height // 2), width // 4 : width // 4 + max(1, width // 2)] = True
    group = TokenGroup((0,), phrase, 0, len(phrase))
    return Candidate(group, PointPrompt.at((width // 2, height // 2)), (masks.encode(inside),), (0.75,))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (112, 112), (640, 480), (20000, 1), (2, 3000), (2600, 1900)])
def test_any_image_size_makes_a_picture_one_can_look_at(size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 200, np.uint8)
    drawn = ground_picture(
        Image.from_pixels(pixels),
        expression="the roof of the house",
        candidates=[_candidate(size)] * 3,
        selection=Selection.chosen(0, 0, reason="why"),
        strategy="mask-score",
    )
    assert 500 <= drawn.width <= 1100
    assert 150 <= drawn.height <= 1600
    assert (np.asarray(drawn).reshape(-1, 3) == MASK).all(axis=1).any()  # the outline


@pytest.mark.parametrize("selection", [Selection.absent("no phrase"), Selection.nothing()])
def test_without_a_choice_the_image_stays_bare(selection: Selection) -> None:
    image = Image.from_pixels(np.full((60, 80, 3), 90, np.uint8))
    drawn = ground_picture(image, expression="x", candidates=[], selection=selection)
    assert not (np.asarray(drawn).reshape(-1, 3) == MASK).all(axis=1).any()


def test_candidates_without_phrase_point_or_scores_are_drawn() -> None:
    image = Image.from_pixels(np.zeros((8, 8, 3), np.uint8))
    bare = Candidate(None, None, _candidate((8, 8)).masks, ())
    drawn = ground_picture(image, expression="", candidates=[bare, bare], selection=Selection.chosen(1, 0))
    assert (np.asarray(drawn).reshape(-1, 3) == MASK).all(axis=1).any()
