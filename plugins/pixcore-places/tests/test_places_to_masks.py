"""From an answer's text to masks: groups with prompts, united masks, who chooses, what a control draws."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from pixcore_places.config import AsWrittenConfig, SaidPhrasesConfig, SilentConfig, UnitedConfig, WrittenPlacesConfig
from pixcore_places.controls import RandomPlaces
from pixcore_places.groupers import AskedExpression, SaidPhrases, WrittenPlaces
from pixcore_places.probings import box, point
from pixcore_places.silent import Silent
from pixcore_places.strategies import AsWritten
from pixcore_places.united import United

from pixcore import masks
from pixcore.components import Context, MaskGenerator, ModelConfig, NoConfig
from pixcore.errors import ConfigError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import (
    Candidate,
    Fidelity,
    Image,
    MaskProposal,
    PointPrompt,
    Request,
    Response,
    Sample,
    Token,
    TokenGroup,
)
from pixcore.stages.serialise import candidate_from_json, candidate_to_json

IMAGE = Image.from_pixels(np.zeros((100, 200, 3), np.uint8))
REQUEST = Request("one", "point", IMAGE, "Point to the dog.", "the dog")


class Qwen(ModelConfig):
    @property
    def family(self) -> str:  # type: ignore[override]
        return "qwen3_vl"


def groups(
    text: str, tokens: tuple[Token, ...] = (), context: Context | None = None, **options: object
) -> list[TokenGroup]:
    config = WrittenPlacesConfig.model_validate({"convention": "qwen3-vl", **options})
    return WrittenPlaces(config, context).group_asked([(REQUEST, Response(text, tokens))])[0]


def prompts(found: list[TokenGroup]) -> list[PointPrompt]:
    return [group.prompt for group in found if group.prompt is not None]


TWO = '[{"point_2d": [500, 250], "label": "dog"}, {"point_2d": [100, 100], "label": "dog"}]'


@pytest.mark.parametrize(
    ("objects", "points", "also"),
    [
        ("each", [[[99.5, 24.5]], [[19.5, 9.5]]], [0, 0]),
        ("together", [[[99.5, 24.5], [19.5, 9.5]]], [0]),
        ("united", [[[99.5, 24.5]]], [1]),
    ],
)
def test_points_of_one_label_are_of_one_object(objects: str, points: list[object], also: list[int]) -> None:
    found = groups(TWO, objects=objects)
    assert [prompt.points.tolist() for prompt in prompts(found)] == points
    assert [len(prompt.also) for prompt in prompts(found)] == also
    assert all(TWO[group.start : group.end] == group.phrase for group in found)


def test_boxes_are_objects_of_their_own_unless_united() -> None:
    text = '{"bbox_2d": [0, 0, 100, 100], "label": "dog"} {"bbox_2d": [500, 500, 600, 600], "label": "dog"}'
    assert [prompt.box for prompt in prompts(groups(text))] == [(0, 0, 20, 10), (100, 50, 120, 60)]
    (united,) = prompts(groups(text, objects="united"))
    assert [united.box, *(one.box for one in united.also)] == [(0, 0, 20, 10), (100, 50, 120, 60)]


def test_a_tags_place_in_the_text_is_no_places_number() -> None:
    text = ' <point x="50" y="25"/> [10, 10]'  # the tag begins at 1, as the bare point's number is
    found = prompts(groups(text, convention="molmo"))
    assert [prompt.points.tolist() for prompt in found] == [[[99.5, 24.5]], [[19.5, 9.5]]]


def test_a_groups_tokens_are_those_that_spell_its_place() -> None:
    text = "It is at [100, 200, 300, 400]."
    tokens = tuple(Token(index, text[index], index, index + 1) for index in range(len(text)))
    (group,) = groups(text, tokens)
    assert "".join(tokens[index].text for index in group.tokens) == group.phrase == "[100, 200, 300, 400]"


def test_the_models_own_convention_is_the_default() -> None:
    context = Context(model_config=Qwen())
    (prompt,) = prompts(groups("[100, 200, 300, 400]", context=context, convention="auto"))
    assert prompt.box == (20, 20, 60, 40)
    with pytest.raises(ConfigError, match="nobody knows how this model writes places"):
        groups("[1, 2]", convention="auto")


def test_what_the_model_saw_says_how_large_its_image_was() -> None:
    layout = VisualLayout.single(VisualGrid.stretched(2, 4, (200, 100)))
    tokens = (Token(0, '{"point_2d": [56, 28]}', 0, 22),)
    response = Response(tokens[0].text, tokens, np.zeros((1, 8), np.float32), layout)
    grouper = WrittenPlaces(WrittenPlacesConfig(convention="qwen2.5-vl"))
    (prompt,) = prompts(grouper.group_asked([(REQUEST, response)])[0])
    assert prompt.points.tolist() == [[99.5, 49.5]]  # of 112 x 56 pixels the middle


def test_the_released_script_cuts_coordinates_to_whole_pixels() -> None:
    published = Context(Fidelity.PUBLISHED)
    (prompt,) = prompts(groups('{"point_2d": [512, 255]}', context=published))
    assert prompt.points.tolist() == [[102, 25]]


def test_the_released_script_cuts_qwens_boxes_to_the_last_pixel() -> None:
    published = Context(Fidelity.PUBLISHED)
    text = '{"bbox_2d": [98, 56, 196, 112]}'  # of 196 x 112, to the far corner
    for context, corner in ((published, (199, 99)), (Context(), (200, 100))):
        (prompt,) = prompts(groups(text, context=context, convention="qwen2.5-vl"))
        assert prompt.box == (100, 50, *corner)
    (prompt,) = prompts(groups("[0.5, 0.5, 1.0, 1.0]", context=published, convention="cambrian"))
    assert prompt.box == (100, 50, 200, 100)  # its script cuts nothing


def test_an_expression_and_phrases_become_texts() -> None:
    (asked,) = AskedExpression(NoConfig()).group_asked([(REQUEST, Response("Yes."))])[0]
    assert asked.prompt is not None
    assert (asked.prompt.text, asked.tokens) == ("the dog", ())
    grouper = SaidPhrases(SaidPhrasesConfig())
    text = "a dog"
    with_tokens, without = grouper.group_many([(text, (Token(0, text, 0, 5),)), (text, ())])
    assert (
        [prompt.text for prompt in prompts(with_tokens)] == [prompt.text for prompt in prompts(without)] == ["a", "dog"]
    )
    assert [group.tokens for group in with_tokens] == [(0,), (0,)]
    assert [group.tokens for group in without] == [(), ()]


def test_phrases_of_a_grouper_that_has_to_know_what_was_asked() -> None:
    grouper = SaidPhrases(SaidPhrasesConfig(of={"name": "by-probing", "of": {"point": "words"}}))
    (found,) = grouper.group_asked([(REQUEST, Response("a dog"))])
    assert [prompt.text for prompt in prompts(found)] == ["a", "dog"]


def test_a_prompts_text_and_further_places_are_kept_in_its_record() -> None:
    prompt = PointPrompt.at((1, 2))
    several = PointPrompt(prompt.points, prompt.labels, None, "dog", (PointPrompt.at((3, 4)),))
    for one in (prompt, several):
        again = candidate_from_json(candidate_to_json(Candidate(None, one, (), ()))).point
        assert again is not None
        assert (again.text, [other.points.tolist() for other in again.also]) == (
            one.text,
            [other.points.tolist() for other in one.also],
        )
    assert candidate_to_json(Candidate(None, prompt, (), ()))["point"] == [1.0, 2.0]


class Strips(MaskGenerator[NoConfig]):
    """Three strips from a point: the pixel, the row of ten, the whole row."""

    def segment(self, image: Image, prompts: object) -> list[MaskProposal]:
        return [MaskProposal(strips(one.points[0]), np.array([0.5, 0.9, 0.1], np.float32)) for one in prompts]  # type: ignore[attr-defined]


def strips(at: NDArray[np.float32]) -> NDArray[np.bool_]:
    found = np.zeros((3, 100, 200), np.bool_)
    x, y = (int(value) for value in at)
    found[0, y, x], found[1, y, x : x + 10], found[2, y] = True, True, True
    return found


def united(monkeypatch: pytest.MonkeyPatch, **options: object) -> United:
    made = United(UnitedConfig.model_validate({"of": "regions", **options}))
    monkeypatch.setattr(made, "_inner", Strips(NoConfig()))
    return made


def at(*points: tuple[int, int]) -> PointPrompt:
    first, *others = (PointPrompt.at(one) for one in points)
    return PointPrompt(first.points, first.labels, also=tuple(others))


@pytest.mark.parametrize(("count", "each"), [(1, 3), (2, 3), (5, 3), (6, 2), (10, 2), (11, 1)])
def test_combinations_are_as_many_as_the_released_script_makes(
    count: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [(3 * index, 7 * index) for index in range(count)]
    (proposal,) = united(monkeypatch, how="combinations").segment(IMAGE, [at(*points)])
    assert len(proposal.masks) == each**count
    choices = product(range(each), repeat=count)
    apart = [strips(np.array(one, np.float32)) for one in points]
    for mask, choice in zip(proposal.masks[:30], choices, strict=False):
        expected = np.logical_or.reduce([found[number] for found, number in zip(apart, choice, strict=True)])
        assert np.array_equal(mask, expected)


@pytest.mark.parametrize(("mask", "kept"), [("all", [0, 1, 2]), ("last", [2]), ("best", [1])])
def test_a_union_is_of_the_masks_in_one_place(mask: str, kept: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = united(monkeypatch, mask=mask).segment(IMAGE, [at((1, 2), (3, 4)), at((5, 6))])
    both = strips(np.array((1, 2))) | strips(np.array((3, 4)))
    assert np.array_equal(one.masks, both[kept])
    assert np.array_equal(other.masks, strips(np.array((5, 6)))[kept])


class StripsBelow(Strips):
    """Finds nothing in the first row."""

    def segment(self, image: Image, prompts: object) -> list[MaskProposal]:
        found = super().segment(image, prompts)
        return [
            MaskProposal(each.masks[:0], each.scores[:0]) if one.points[0][1] == 0 else each
            for one, each in zip(prompts, found, strict=True)  # type: ignore[call-overload]
        ]


class Halves(Strips):
    """Gives masks of half the size for the first row; nothing there for x = 0."""

    def segment(self, image: Image, prompts: object) -> list[MaskProposal]:
        found = super().segment(image, prompts)
        for index, one in enumerate(prompts):  # type: ignore[var-annotated, arg-type]
            x, y = one.points[0]
            if y == 0:
                small = found[index].masks[:, ::2, ::2] if x else np.zeros((0, 50, 100), np.bool_)
                found[index] = MaskProposal(small, found[index].scores[: len(small)], size=(200, 100) if x else None)
        return found


def test_masks_of_several_generators_are_united_at_the_images_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of `mask-codes`, which draws at the image's size, and of a generator inside that answers in a smaller one."""
    made = united(monkeypatch, mask="last")
    monkeypatch.setattr(made, "_inner", Halves(NoConfig()))
    for places in (at((4, 0), (3, 4)), at((3, 4), (4, 0))):
        (both,) = made.segment(IMAGE, [places])
        expected = np.zeros((100, 200), np.bool_)
        expected[[0, 1, 4]] = True  # a row of half the size is two
        assert np.array_equal(masks.decode(masks.encode_many(both.masks, both.size)[0]), expected)
    (small,) = made.segment(IMAGE, [at((0, 0), (4, 0))])
    assert np.array_equal(
        masks.decode(masks.encode_many(small.masks, small.size)[0]).nonzero()[0], [0] * 200 + [1] * 200
    )


@pytest.mark.parametrize("how", ["union", "combinations"])
@pytest.mark.parametrize("mask", ["all", "last"])
def test_a_place_without_a_mask_adds_none(how: str, mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = united(monkeypatch, how=how, mask=mask)
    monkeypatch.setattr(made, "_inner", StripsBelow(NoConfig()))
    one, none = made.segment(IMAGE, [at((5, 0), (3, 4)), at((5, 0), (6, 0))])
    assert np.array_equal(one.masks, strips(np.array((3, 4)))[[0, 1, 2] if mask == "all" else [2]])
    assert none.masks.shape == (0, 100, 200)


SAMPLE = Sample("one", IMAGE, expression="the dog")
MASKS = tuple(masks.encode_many(strips(np.array((1, 2)))))


@pytest.mark.parametrize(
    ("text", "candidates", "outcome", "mask"),
    [
        ("There is none.", [], "absent", None),
        ("[100, 200, 300,", [], "nothing", None),
        ("[1, 2]", [Candidate(None, PointPrompt.at((1, 2)), MASKS, (0.5, 0.9, 0.1))], "chosen", 1),
        ("[1, 2]", [Candidate(None, PointPrompt.at((1, 2)), (), ())], "absent", None),
    ],
)
def test_no_object_is_absent(text: str, candidates: list[Candidate], outcome: str, mask: int | None) -> None:
    selection = AsWritten(AsWrittenConfig()).select(SAMPLE, Response(text), candidates)
    assert (selection.outcome, selection.mask) == (outcome, mask)


def test_a_control_draws_as_many_places_as_large() -> None:
    own = [
        PointPrompt(np.array([[3, 4], [5, 6]], np.float32), np.array([1, 0], np.int8), also=(PointPrompt.at((1, 1)),)),
        PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), (10, 10, 60, 30)),
    ]
    drawn = RandomPlaces(NoConfig()).control((200, 100), own, [])
    assert [len(one.points) for one in drawn] == [2, 0]
    assert drawn[0].labels.tolist() == [1, 0]
    assert len(drawn[0].also) == 1
    assert drawn[1].box is not None
    x0, y0, x1, y1 = drawn[1].box
    assert (x1 - x0, y1 - y0) == pytest.approx((50, 20))
    assert 0 <= x0 <= x1 <= 200
    assert 0 <= y0 <= y1 <= 100


def test_each_family_is_asked_in_its_own_words() -> None:
    assert point(Qwen(), "corrected") == "Point to {expression}, output its coordinates in point-format as JSON."

    class Named(ModelConfig):
        name: str

        @property
        def family(self) -> str:  # type: ignore[override]
            return self.name

    assert point(Named(name="qwen2_5_vl"), "published").endswith("point-format as JSON")
    assert box(Named(name="paligemma"), "corrected") == "detect {expression}\n"
    assert box(Named(name="gemma3"), "corrected").format(expression="dog").count('"label": "dog"}]') == 1
    with pytest.raises(ConfigError, match="models of the family paligemma write no points"):
        point(Named(name="paligemma"), "corrected")


def test_the_silent_model_says_nothing() -> None:
    (response,) = Silent(SilentConfig()).answer([REQUEST])
    assert response.text == ""
