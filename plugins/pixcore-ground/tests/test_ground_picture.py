"""The picture of one grounded image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pixcore_ground.grounded import Grounded
from pixcore_ground.picture import _caption, ground_picture
from pixcore_pictures.drawing import MASK

from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Candidate, Image, PointPrompt, Response, Selection, TokenGroup

SIZES = [(1, 1), (1, 40), (112, 112), (640, 480), (20000, 1), (2, 3000), (2600, 1900), (300, 2000), (2000, 300)]


def candidate(size: tuple[int, int], phrase: str = "the roof", **fields: Any) -> Candidate:
    width, height = size
    inside = np.zeros((height, width), bool)
    inside[height // 4 : height // 4 + max(1, height // 2), width // 4 : width // 4 + max(1, width // 2)] = True
    group = TokenGroup((0,), phrase, 0, len(phrase))
    return Candidate(group, PointPrompt.at((width // 2, height // 2)), (masks.encode(inside),), (0.75,), **fields)


def grounded(
    image: Image, *candidates: Candidate, selection: Selection | None = None, response: Response | None = None
) -> Grounded:
    chosen = selection or Selection.chosen(0, 0, reason="why")
    said = response or Response("The roof is red.")
    return Grounded(image, "the roof of the house", "mini", "mask-score", said, candidates, chosen)


def outlined(drawn: Any) -> bool:
    return bool((np.asarray(drawn).reshape(-1, 3) == MASK).all(axis=1).any())


def grey(size: tuple[int, int]) -> Image:
    return Image.from_pixels(np.full((size[1], size[0], 3), 200, np.uint8))


@pytest.mark.parametrize("with_map", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_any_image_size_makes_a_picture_one_can_look_at(size: tuple[int, int], with_map: bool) -> None:
    layout = VisualLayout.single(VisualGrid.padded_to_square(3, 3, size)) if with_map else None
    relevance = np.arange(9, dtype=np.float32) if with_map else None
    found = grounded(grey(size), *[candidate(size, map=relevance)] * 3, response=Response("It is red.", layout=layout))
    drawn = ground_picture(found)
    assert 500 <= drawn.width <= 1100
    assert 150 <= drawn.height <= 1600
    assert outlined(drawn)


def test_heat_stands_beside_the_mask_and_the_answer_below() -> None:
    size = (400, 300)
    layout = VisualLayout.single(VisualGrid.stretched(3, 4, size))
    relevance = np.zeros(12, np.float32)
    relevance[11] = 1  # the lower right corner
    response = Response("It is red.", layout=layout)
    mapped = candidate(size, map=relevance)
    drawn = np.asarray(ground_picture(grounded(grey(size), mapped, response=response)), float)
    bare = np.asarray(ground_picture(grounded(grey(size), candidate(size), response=response)), float)
    assert drawn.shape[1] > bare.shape[1]
    yellow = (drawn[..., 0] > 200) & (drawn[..., 1] > 200) & (drawn[..., 2] < 190)
    cols = np.nonzero(yellow)[1]
    assert cols.min() > drawn.shape[1] / 2  # in the right half alone
    told = ground_picture(grounded(grey(size), mapped, response=Response("It is red. " * 40, layout=layout)))
    assert told.height > drawn.shape[0]  # a longer answer takes more lines
    long, longest = (
        ground_picture(grounded(grey(size), mapped, response=Response("It is red. " * times, layout=layout)))
        for times in (200, 4000)
    )
    assert told.height < long.height == longest.height  # and no more than six


def test_what_a_model_has_to_say_of_itself_stands_on_the_picture() -> None:
    quiet = ground_picture(grounded(grey((80, 60)), candidate((80, 60))))
    warned = Response("The roof is red.", extra={"notice": "it knows drawn scenes only"})
    loud = ground_picture(grounded(grey((80, 60)), candidate((80, 60)), response=warned))
    assert loud.height > quiet.height
    orange = (np.asarray(loud).reshape(-1, 3) == (168, 65, 10)).all(axis=1)
    assert orange.any()


@pytest.mark.parametrize("text", ["Η στέγη είναι κόκκινη.", "Крыша красная.", "السقف أحمر", "\x1b[31m\u202eroof", " "])
def test_any_answer_is_drawn(text: str) -> None:
    assert outlined(ground_picture(grounded(grey((80, 60)), candidate((80, 60)), response=Response(text))))


@pytest.mark.parametrize("selection", [Selection.absent("no phrase"), Selection.nothing()])
def test_without_a_choice_the_image_stays_bare(selection: Selection) -> None:
    assert not outlined(ground_picture(grounded(grey((80, 60)), selection=selection)))


def test_candidates_without_phrase_point_or_scores_are_drawn() -> None:
    bare = Candidate(None, None, candidate((8, 8)).masks, ())
    assert outlined(ground_picture(grounded(grey((8, 8)), bare, bare, selection=Selection.chosen(1, 0))))


def test_a_models_own_mask_is_told_as_one() -> None:
    own = Candidate(None, None, candidate((8, 8)).masks, ())
    found = Grounded(grey((8, 8)), "the roof", "lisa", "", Response("It is red."), (own,), Selection.chosen(0, 0))
    assert [line.text for line in _caption(found, beside=False, room=500)] == ["the model's own mask"]
