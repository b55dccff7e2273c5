"""Questions: text that says what the scene shows, pairs whose answers differ, and samples as pixcore takes them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from pixcore_judges.option_letters import read
from pixcore_mini_world import language
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig
from pixcore_mini_world.kinds import CATEGORIES, COLOURS, KINDS
from pixcore_mini_world.pairs import Pair
from pixcore_mini_world.scene import Scene, Thing, make_scene, scene_random

from pixcore.masks import decode


def test_a_pair_asks_the_same_and_has_two_answers(pairs: list[Pair]) -> None:
    for pair in pairs:
        first, second = (side.question for side in pair.sides)
        assert (first.text, first.options) == (second.text, second.options)
        assert first.expression == second.expression
        assert {first.answer, second.answer} == {0, 1}


def test_categories_are_even_and_answers_are_balanced(pairs: list[Pair]) -> None:
    assert Counter(pair.sides[0].question.category for pair in pairs) == dict.fromkeys(CATEGORIES, 10)
    firsts = sum(side.question.answer == 0 for pair in pairs for side in pair.sides)
    assert firsts == len(pairs), "within every pair both letters are right once"


def test_pairs_differ_in_the_asked_attribute_alone(pairs: list[Pair]) -> None:
    """Compared as content: which field of which thing is another one."""
    for pair in pairs:
        category = pair.sides[0].question.category
        first, second = (side.scene for side in pair.sides)
        assert first.background == second.background
        if category == "presence":
            more, fewer = sorted((first.things, second.things), key=len, reverse=True)
            assert len(more) == len(fewer) + 1
            assert [t for t in more if t in fewer] == list(fewer)
            continue
        differing = [(a, b) for a, b in zip(first.things, second.things, strict=True) if a != b]
        assert len(differing) == 1
        fields = {name for name in vars(differing[0][0]) if vars(differing[0][0])[name] != vars(differing[0][1])[name]}
        expected = {"position": [{"x"}, {"y"}], "colour": [{"colours"}], "part": [{"colours"}]}
        assert fields in expected.get(category, [{"values"}])
        a, b = differing[0]
        for one, two in ((a.colours, b.colours), (a.values, b.values)):
            assert sum(x != y for x, y in zip(one, two, strict=True)) <= 1


def test_the_expression_refers_to_one_thing(pairs: list[Pair]) -> None:
    for side in (side for pair in pairs for side in pair.sides):
        question, things = side.question, side.scene.things
        match = re.fullmatch(r"the (?:(\w+) of the )?(?:(\w+) )?(\w+)", question.expression)
        assert match, question.expression
        part, colour, kind = match.groups()
        assert part == question.part
        meant = [i for i, t in enumerate(things) if t.kind == kind and colour in (None, t.colour)]
        assert meant == ([] if question.thing is None else [question.thing])


def test_sentences_name_the_right_option_alone(pairs: list[Pair]) -> None:
    for side in (side for pair in pairs for side in pair.sides):
        question = side.question
        assert read(question.sentence, question.options).option == question.answer, question


def read_description(text: str) -> dict[str, object]:
    """The grammar the other way: what a description says."""
    absent = re.fullmatch(r"There is no (?:(\w+) )?(\w+) in the scene\.", text)
    if absent:
        return {"absent": absent.groups()}
    whole = re.fullmatch(r"The (\w+) (\w+) is (.+?) of the image(?:, (.+) the (\w+) (\w+))?\. It has (.+)\.", text)
    if whole:
        colour, kind, where, relation, by_colour, by_kind, rest = whole.groups()
        coloured = dict(
            reversed(found) for found in re.findall(rf"({'|'.join(COLOURS)}) (\w+)", rest)
        )  # part -> colour
        said = [a.values[i] for a in KINDS[kind].attributes for i in (0, 1)
                if a.clause.format(value=a.values[i]) in rest]  # fmt: skip
        return {"thing": (colour, kind), "place": where, "beside": (relation, by_colour, by_kind),
                "parts": coloured, "values": tuple(said)}  # fmt: skip
    part = re.fullmatch(
        r"The (\w+) of the (\w+) (\w+) (?:is|are) (.+)\. The \w+ is (.+?) of the image(?:, (.+) the (\w+) (\w+))?\.",
        text,
    )
    assert part, text
    name, colour, kind, said_of_part, where, *beside = part.groups()
    return {"part": name, "thing": (colour, kind), "said": said_of_part, "place": where, "beside": tuple(beside)}


def side_of(thing: Thing, other: Thing) -> str:
    dx, dy = thing.x - other.x, thing.y - other.y
    if abs(dx) > abs(dy):
        return "to the left of" if dx < 0 else "to the right of"
    return "above" if dy < 0 else "below"


@pytest.mark.parametrize("seed", range(40))
def test_descriptions_say_what_the_scene_holds(seed: int) -> None:
    """Text is read back by a grammar written for this test and compared with the scene."""
    scene: Scene = make_scene(scene_random("train", seed, "text"), "train")
    for index, thing in enumerate(scene.things):
        others = [t for i, t in enumerate(scene.things) if i != index]
        nearest = min(others, key=lambda t: np.hypot(t.x - thing.x, t.y - thing.y), default=None)
        beside = (side_of(thing, nearest), nearest.colour, nearest.kind) if nearest else (None, None, None)
        said = read_description(language.describe(scene, index))
        assert said == {
            "thing": (thing.colour, thing.kind),
            "place": language.place(thing),
            "beside": beside,
            "parts": dict(zip(thing.spec.parts[1:], thing.colours[1:], strict=True)),
            "values": thing.values,
        }
        for part in thing.spec.all_parts:
            of_part = read_description(language.describe(scene, index, part))
            assert (of_part["part"], of_part["thing"]) == (part, (thing.colour, thing.kind))
            assert of_part["beside"] == beside
            words = str(of_part["said"]).split()
            colour = thing.colour_of(part)
            values = [v for a, v in zip(thing.spec.attributes, thing.values, strict=True) if a.part == part]
            assert ([colour] if colour else []) + values == [w for w in words if w in {colour, *values}]


def test_absent_things_are_said_to_be_absent() -> None:
    assert read_description(language.describe_absent("red fish")) == {"absent": ("red", "fish")}
    assert read_description(language.describe_absent("fish")) == {"absent": (None, "fish")}


def test_samples(world: MiniWorld) -> None:
    samples = list(world.samples())
    assert len(samples) == len(world) == 24
    assert len({sample.id for sample in samples}) == 24
    assert Counter(Counter(sample.pair for sample in samples).values()) == {2: 12}
    for sample in samples:
        assert sample.image.size == (112, 112)
        assert sample.mask is not None
        mask = decode(sample.mask)
        assert mask.shape == (112, 112)
        absent = sample.categories["target"] == "absent"
        assert sample.absent == absent == (not mask.any())
        if absent:
            assert sample.options[sample.answer or 0] == "no"
    assert sum(sample.absent for sample in samples) == 2


def test_samples_are_the_same_every_time_and_other_seeds_are_others(world: MiniWorld) -> None:
    again = MiniWorld(world.config)
    assert [(s.id, s.image.digest) for s in world.samples()] == [(s.id, s.image.digest) for s in again.samples()]
    other = MiniWorld(MiniWorldConfig(pairs=12, seed=1))
    assert not {s.image.digest for s in world.samples()} & {s.image.digest for s in other.samples()}


def test_image_size_is_an_option() -> None:
    sample = next(MiniWorld(MiniWorldConfig(pairs=1, image_size=200)).samples())
    assert sample.image.pixels().shape == (200, 200, 3)
    assert sample.mask is not None
    assert decode(sample.mask).shape == (200, 200)


def test_the_colour_of_a_twin_cannot_be_asked() -> None:
    rng = scene_random("train", 0, "twins")
    scene = make_scene(rng, "train", 2, twins=1.0)
    with pytest.raises(ValueError, match="tells them apart"):
        language.ask_colour(scene, 0, None, rng)
