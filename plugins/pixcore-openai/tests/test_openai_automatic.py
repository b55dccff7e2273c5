"""The selection `automatic` with a server that answers by the pixels it is shown."""

from __future__ import annotations

import numpy as np
import pytest
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig
from pixcore_openai.automatic import Automatic, flip_rate
from pixcore_openai.config import AutomaticConfig
from pixcore_regions.config import RegionsConfig
from pixcore_regions.generator import Regions
from pixcore_selection.rules import Oracle

from pixcore import masks
from pixcore.components import Context, NoConfig
from pixcore.errors import ConfigError
from pixcore.records import Candidate, Fidelity, Image, PointPrompt, Response, Sample, Selection

SIZE = 48


def strategy(server, memory, fidelity=Fidelity.CORRECTED, **options):
    return Automatic(AutomaticConfig(**{"base_url": server.url, **options}), memory.context(fidelity=fidelity))


def squares(count):
    """A grey image and as many candidates, one square each; the last is the truth."""
    pixels = np.full((SIZE, SIZE, 3), 90, np.uint8)
    candidates = []
    for index in range(count):
        mask = np.zeros((SIZE, SIZE), bool)
        mask[3 * index : 3 * index + 4, 2 * index : 2 * index + 5] = True
        candidates.append(Candidate(None, None, (masks.encode(mask),), (0.5,)))
    sample = Sample("s", Image.from_pixels(pixels), expression="the square", mask=candidates[-1].masks[0])
    return sample, candidates


def red(image):
    """The pixels that the published overlay has turned red."""
    return image[..., 0].astype(int) - image[..., 1] > 60


def lowest(asked):
    """Prefers what reaches lowest in the image, whatever its number."""
    if "from 1 to" not in asked.text:
        return "yes"
    reach = [np.nonzero(red(image))[0].max() for image in asked.images]
    return f'{{"number": {int(np.argmax(reach)) + 1}}}'


@pytest.mark.parametrize(
    ("options", "count", "calls"),
    [
        ({}, 9, 1),
        ({"most_images": 4}, 9, 4),  # 4 + 4 + 1 alone, then 3 of them: 2 calls and 1
        ({"rounds": "groups", "group_size": 3}, 9, 4),
        ({"rounds": "tournament"}, 8, 7),
        ({"rounds": "tournament"}, 1, 0),
    ],
)
def test_whichever_way_it_asks_it_finds_what_the_judge_sees(server, memory, options, count, calls):
    server.script.answer = lowest
    sample, candidates = squares(count)
    one = strategy(server, memory, presence=False, **options)
    selection = one.select(sample, Response(""), candidates)
    assert (selection.outcome, selection.candidate, selection.mask) == ("chosen", count - 1, 0)
    expected = one.expected_cost(sample, count)
    assert expected.calls == len(server.calls)
    assert expected.images == sum(len(asked.images) for asked in server.calls)
    if options != {"most_images": 4}:
        assert len(server.calls) == calls


def test_a_rerun_costs_nothing_and_says_the_same(server, memory):
    server.script.answer = lowest
    sample, candidates = squares(6)
    first = strategy(server, memory).select(sample, Response(""), candidates)
    asked = len(server.calls)
    again = strategy(server, memory, concurrency=1, timeout=9).select(sample, Response(""), candidates)
    assert (first, len(server.calls)) == (again, asked)
    strategy(server, memory, temperature=0.9).select(sample, Response(""), candidates)
    assert len(server.calls) == 2 * asked, "another parameter is another question"


def test_published_asks_word_by_word(server, memory):
    server.script.answer = lambda asked: "Yes." if "Does" in asked.text else "1"
    sample, candidates = squares(3)
    sample = Sample("s", sample.image, expression="the square", released_expression=" the square", mask=sample.mask)
    selection = strategy(server, memory, Fidelity.PUBLISHED).select(sample, Response(""), candidates)
    presence, select = server.calls
    system = "You are a helpful and precise assistant for checking the quality of the answer."
    assert presence.system == select.system == system
    assert presence.texts == ["Does this image have  the square? Answer yes/no only."]
    assert select.texts == [
        "Select the image that has  the square best highlighted in red color than the others? Answer with a number "
        "from 1 to 3. Mention the number only."
    ]
    assert (presence.body["temperature"], presence.body["model"]) == (0.2, "gpt-5.1")
    assert "response_format" not in select.body
    names = [exchange["prompt"] for exchange in selection.details["exchanges"]]
    assert names == ["presence/published-2", "select/published-2"]


def test_published_overlay_is_half_red(server, memory):
    server.script.answer = lowest
    sample, candidates = squares(2)
    strategy(server, memory, presence=False).select(sample, Response(""), candidates)
    for image in server.calls[0].images:
        assert {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()} == {(90, 90, 90), (172, 45, 45)}


def test_the_first_picture_is_not_always_the_first_candidate(server, memory):
    """The order is drawn from the seed, the same for the same seed."""
    server.script.answer = lambda asked: '{"number": 1}'
    sample, candidates = squares(10)

    def first(entropy):
        one = strategy(server, type(memory)(), presence=False)
        one.reseed(entropy)
        return one.select(sample, Response(""), candidates).candidate

    chosen = [first(entropy) for entropy in range(12)]
    assert len(set(chosen)) > 3
    assert chosen == [first(entropy) for entropy in range(12)]


def test_orders_vote_and_the_flip_rate_is_told(server, memory):
    server.script.answer = lambda asked: '{"number": 1}'  # a judge with nothing but position bias
    sample, candidates = squares(10)
    biased = strategy(server, memory, presence=False, orders=5).select(sample, Response(""), candidates)
    assert biased.details["flip_rate"] > 0.5
    assert len(biased.details["votes"]) == 5
    server.script.answer = lowest
    steady = strategy(server, type(memory)(), presence=False, orders=5).select(sample, Response(""), candidates)
    assert (steady.details["flip_rate"], steady.score, steady.candidate) == (0.0, 1.0, 9)


@pytest.mark.parametrize(("count", "asked", "flips"), [(1, 0, None), (2, 2, 1.0), (3, 5, None)])
def test_no_order_is_asked_twice_and_one_mask_flips_nothing(server, memory, count, asked, flips):
    server.script.answer = lambda asked: '{"number": 1}'
    sample, candidates = squares(count)
    for entropy in range(4):
        server.calls.clear()
        one = strategy(server, type(memory)(), presence=False, orders=5)
        one.reseed(entropy)
        selection = one.select(sample, Response(""), candidates)
        assert len(selection.details.get("votes", [])) == asked
        assert len(server.calls) == one.expected_cost(sample, count).calls == asked
        if count < 3:
            assert (selection.details.get("flip_rate"), selection.score) == (flips, 1 / max(asked, 1))
        assert (selection.reason == "the only mask") == (count == 1)


def test_exchanges_stand_in_the_groups_order_whichever_is_answered_first(server, memory):
    def reached(asked):
        return f'{{"number": 1, "reach": {[int(np.nonzero(red(one))[0].max()) for one in asked.images]}}}'

    def told():
        one = strategy(server, type(memory)(), presence=False, rounds="groups", group_size=2)
        return [exchange["text"] for exchange in one.select(sample, Response(""), candidates).details["exchanges"]]

    server.script.answer = reached
    sample, candidates = squares(6)
    first, *_ = quickly = told()
    server.script.faults = lambda asked, count: "503" if reached(asked) == first and count == 1 else None
    assert told() == quickly


def test_flip_rate():
    assert flip_rate([1, 1, 2]) == pytest.approx(2 / 3)
    assert flip_rate([1, None]) is None


@pytest.mark.parametrize("answer", ["0", "4", "none of them", "1 or 2", '{"number": 17}', "", "-1"])
def test_what_can_not_be_read_is_asked_again_once_and_is_no_choice(server, memory, answer):
    server.script.answer = lambda asked: answer
    sample, candidates = squares(3)
    selection = strategy(server, memory, presence=False).select(sample, Response(""), candidates)
    assert selection.outcome == "nothing"
    assert selection.reason.startswith("unread")
    assert len(server.calls) == 2
    assert "could not be read" in server.calls[1].text


def test_the_second_answer_counts(server, memory):
    server.script.answer = lambda asked: "The second one, 2." if len(server.calls) > 1 else "hmm"
    sample, candidates = squares(3)
    selection = strategy(server, memory, presence=False).select(sample, Response(""), candidates)
    assert selection.outcome == "chosen"
    assert len(selection.details["exchanges"]) == 2


def test_an_absent_object_is_absent(server, memory):
    server.script.answer = lambda asked: '{"answer": "no"}'
    sample, candidates = squares(3)
    assert strategy(server, memory).select(sample, Response(""), candidates).outcome == "absent"
    assert len(server.calls) == 1
    assert strategy(server, memory, presence=False).select(sample, Response(""), ()).outcome == "nothing"


def test_a_refusal_is_no_choice(server, memory):
    server.script.faults = lambda asked, count: "refusal"
    sample, candidates = squares(3)
    selection = strategy(server, memory, presence=False).select(sample, Response(""), candidates)
    assert (selection.outcome, selection.reason) == ("nothing", "refused: I can't help with that.")
    assert len(server.calls) == 1


def test_structured_where_the_server_knows_it_and_plain_where_not(server, memory):
    server.script.answer = lowest
    sample, candidates = squares(4)
    with_schema = strategy(server, memory).select(sample, Response(""), candidates)
    assert all(exchange["structured"] for exchange in with_schema.details["exchanges"])
    schema = server.calls[-1].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"number": {"type": "integer"}}
    server.calls.clear()
    server.script.schemas = False
    without = strategy(server, type(memory)()).select(sample, Response(""), candidates)
    assert without.candidate == with_schema.candidate == 3
    assert not any(exchange["structured"] for exchange in without.details["exchanges"])
    assert len(server.calls) == 3, "it is tried once and not with every call"


def test_images_are_scaled_down_only_if_asked(server, memory):
    server.script.answer = lambda asked: '{"number": 1}'
    sample, candidates = squares(2)
    as_they_are = strategy(server, memory, presence=False).select(sample, Response(""), candidates)
    assert as_they_are.details["exchanges"][0]["sent_sizes"] == [[SIZE, SIZE]] * 2
    small = strategy(server, memory, presence=False, max_side=32).select(sample, Response(""), candidates)
    assert small.details["exchanges"][0]["sent_sizes"] == [[32, 32]] * 2
    assert [image.shape for image in server.calls[-1].images] == [(32, 32, 3)] * 2


def test_an_image_of_one_line_has_a_price(server, memory):
    sample = Sample("s", Image.from_pixels(np.zeros((1, 5000, 3), np.uint8)), expression="the line")
    assert strategy(server, memory, max_side=64).expected_cost(sample, 3).images == 4


@pytest.mark.parametrize("overlay", ["outline", "dim"])
def test_other_overlays(server, memory, overlay):
    server.script.answer = lambda asked: '{"number": 1}'
    sample, candidates = squares(2)
    selection = strategy(server, memory, presence=False, overlay=overlay).select(sample, Response(""), candidates)
    assert selection.details["exchanges"][0]["prompt"] == f"select-{overlay}/corrected-1"
    for image in server.calls[0].images:
        inside = (image == 90).all(-1)
        assert 0 < inside.sum() < SIZE * SIZE
    with pytest.raises(ConfigError, match="not what was published"):
        strategy(server, memory, Fidelity.PUBLISHED, overlay=overlay)


def mini_world(pairs):
    """Samples of mini-world with candidates of the regions generator, around points in and outside the object."""
    generator = Regions(RegionsConfig())
    rng = np.random.default_rng(6)
    for sample in MiniWorld(MiniWorldConfig(pairs=pairs)).samples():
        truth = masks.decode(sample.mask)
        height, width = truth.shape
        points = [(float(x), float(y)) for x, y in rng.uniform(0, (width - 1, height - 1), (5, 2)).round()]
        if truth.any():
            inside = np.argwhere(truth)
            row, col = inside[rng.integers(len(inside))]
            points.insert(int(rng.integers(6)), (float(col), float(row)))
        proposals = generator.segment(sample.image, [PointPrompt.at(point) for point in points])
        yield (
            sample,
            Response(""),
            [
                Candidate(None, PointPrompt.at(point), tuple(masks.encode_many(one.masks)), tuple(one.scores.tolist()))
                for point, one in zip(points, proposals, strict=True)
            ],
        )


class Looker:
    """Knows every picture and its true mask, and compares it with the red that it sees."""

    def __init__(self, samples):
        self._known = [(s.image.pixels(), masks.decode(s.mask), s.expression) for s in samples]

    def __call__(self, asked):
        pixels, truth, _ = min(
            (one for one in self._known if one[2] in asked.text),
            key=lambda one: sum(np.count_nonzero((image != one[0]).any(-1)) for image in asked.images),
        )
        if "from 1 to" not in asked.text:
            return "yes" if truth.any() else "no"
        overlaps = []
        for image in asked.images:
            shown = (image != pixels).any(-1)
            overlaps.append((shown & truth).sum() / max(1, (shown | truth).sum()))
        return str(int(np.argmax(overlaps)) + 1)


@pytest.mark.parametrize(
    ("fidelity", "options", "pairs"),
    [
        (Fidelity.PUBLISHED, {}, 30),
        (Fidelity.CORRECTED, {}, 30),
        (Fidelity.CORRECTED, {"rounds": "groups", "group_size": 5}, 15),
        (Fidelity.CORRECTED, {"rounds": "tournament"}, 10),
    ],
)
def test_on_mini_world_it_picks_what_the_oracle_picks(server, memory, fidelity, options, pairs):
    """What the judge sees is the right picture in the right order, if it picks as well as the truth itself would."""
    items = list(mini_world(pairs))
    server.script.answer = Looker([sample for sample, _, _ in items])
    one = strategy(server, memory, fidelity, temperature=0.0, **options)
    same = 0
    for (sample, _, candidates), selection in zip(items, one.select_many(items), strict=True):
        assert isinstance(selection, Selection)
        oracle = Oracle(NoConfig(), Context(fidelity)).select(sample, Response(""), candidates)
        same += _mask(selection, candidates) == _mask(oracle, candidates)
    assert same >= 0.95 * len(items), f"{same} of {len(items)}"


def _mask(selection, candidates):
    """What was selected; equal masks are one choice."""
    if selection.outcome != "chosen":
        return selection.outcome
    return candidates[selection.candidate].masks[selection.mask]["counts"]
