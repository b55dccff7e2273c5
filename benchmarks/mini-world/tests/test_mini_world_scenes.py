"""Scenes: the same from a seed, inside the image, apart from each other, and no thing on two sides."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_mini_world.kinds import COLOURS, KINDS
from pixcore_mini_world.pairs import Pair, make_pair
from pixcore_mini_world.scene import _TINT, Split, Thing, _tints, fits, make_scene, scene_random, split_of

KNOWN_SCENE = [
    ("fish", 0.788297779, 0.592489933, 0.354639216, ("brown", "black", "orange"), ("right",)),
    ("cup", 0.387816726, 0.661978051, 0.376400146, ("yellow", "black"), ("left",)),
]
KNOWN_BACKGROUND = 1189090826

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

splits = st.sampled_from(SPLITS)
seeds = st.integers(0, 2**32)


@given(splits, seeds, st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_scene_follows_from_its_seed_and_fits(split: Split, seed: int, count: int) -> None:
    scene = make_scene(scene_random(split, seed, "x"), split, count)
    assert scene == make_scene(scene_random(split, seed, "x"), split, count)
    assert len(scene.things) == count
    assert fits(scene.things)
    for thing in scene.things:
        assert split_of(thing) == split
        assert len(set(thing.colours)) == len(thing.spec.parts)
        twins = scene.of_kind(thing.kind)
        assert len({twin.colour for twin in twins}) == len(twins), "the colour has to tell twins apart"


def test_a_known_scene() -> None:
    """Held to the letter: these numbers are what "deterministic on every platform" means."""
    scene = make_scene(scene_random("test", 0, "known"), "test", 2)
    told = [(t.kind, round(t.x, 9), round(t.y, 9), round(t.size, 9), t.colours, t.values) for t in scene.things]
    assert told == KNOWN_SCENE
    assert scene.background == KNOWN_BACKGROUND


def test_no_content_belongs_to_two_sides() -> None:
    """Every (kind, colours) belongs to one side, by a rule that looks at nothing else; all sides have all kinds."""
    contents: dict[Split, set[tuple[str, ...]]] = {split: set() for split in SPLITS}
    for kind, spec in KINDS.items():
        for colours in itertools.permutations(COLOURS, len(spec.parts)):
            tints = tuple((0, 0, 0) for _ in colours)
            values = tuple(attribute.values[0] for attribute in spec.attributes)
            thing = Thing(kind, 0.5, 0.5, 0.3, colours, values, tints)
            contents[split_of(thing)].add((kind, *colours))
            other = Thing(kind, 0.1, 0.9, 0.4, colours, values[::-1], tints)
            assert split_of(other) == split_of(thing)
    for split in SPLITS:
        assert {content[0] for content in contents[split]} == set(KINDS)
    everything = sum(len(content) for content in contents.values())
    shares = [len(contents[split]) / everything for split in SPLITS]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.03)


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_stay_on_their_side(split: Split) -> None:
    """Varied colours too: what one side asks about was never drawn on another one."""
    for index in range(60):
        pair: Pair = make_pair(split, 3, index)
        assert {split_of(t) for side in pair.sides for t in side.scene.things} == {split}


def test_random_streams_of_the_sides_differ() -> None:
    streams = {scene_random(split, seed, "pair", 0).random() for split in SPLITS for seed in range(3)}
    assert len(streams) == 9


@given(seed=st.integers(0, 2**32))
def test_tints_are_randints_numbers(seed: int):
    """Worlds that were drawn with the standard library's own method stay what they are."""
    quick, plain = Random(seed), Random(seed)
    expected = tuple(tuple(plain.randint(-_TINT, _TINT) for _ in range(3)) for _ in range(50))
    assert _tints(quick, 50) == expected
    assert quick.getstate() == plain.getstate()
