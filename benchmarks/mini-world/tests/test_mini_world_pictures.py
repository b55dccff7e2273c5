"""Pictures: the same bytes from a seed, and masks that say exactly what is where."""

from __future__ import annotations

import hashlib

import numpy as np
import PIL
import pytest
from pixcore_mini_world.kinds import KINDS
from pixcore_mini_world.pairs import Pair
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import Scene, Thing, make_scene, scene_random

KNOWN_PILLOW = 13
KNOWN_PICTURES = ["fbdbfcc905edbd9d", "f225abbf59bfa92c", "8120bc0363447373", "f285d0804327f01e"]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_parts_are_disjoint_and_inside_their_thing(count: int) -> None:
    for seed in range(25):
        scene = make_scene(scene_random("train", seed, "masks"), "train", count)
        picture = render(scene)
        seen = np.zeros(picture.labels.shape, int)
        for index, thing in enumerate(scene.things):
            whole = picture.mask(index)
            parts = np.zeros(whole.shape, int)
            for part in thing.spec.all_parts:
                mask = picture.mask(index, part)
                assert mask.any(), f"no pixel of the {part} of {thing}"
                parts += mask
            assert parts.max() == 1, "two parts share a pixel"
            assert not (parts.astype(bool) & ~whole).any(), "a part reaches beyond its thing"
            left, top, right, bottom = (round(edge * 112) for edge in thing.box)
            outside = whole.copy()
            outside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = False
            assert not outside.any(), f"{thing} leaves its box"
            seen += whole
        assert seen.max() == 1, "two things share a pixel"
        assert np.array_equal(seen > 0, picture.labels > 0)


def test_a_mask_covers_the_pixels_that_its_part_colours() -> None:
    """Painting one part in another colour changes its own pixels, and none far from it."""
    for kind, spec in KINDS.items():
        values = tuple(attribute.values[0] for attribute in spec.attributes)
        colours = ("red", "green", "blue")[: len(spec.parts)]
        thing = Thing(kind, 0.5, 0.5, 0.6, colours, values, tuple((0, 0, 0) for _ in colours))
        before = render(Scene((thing,), 7))
        for part in spec.parts:
            after = render(Scene((thing.with_colour(part, "white"),), 7))
            changed = (before.image != after.image).any(axis=-1)
            mask = before.mask(0, part)
            assert np.array_equal(before.labels, after.labels)
            # Glass in a cabin and the dark behind an open door belong to their part and keep their colour.
            assert (changed & mask).sum() >= 0.45 * mask.sum(), f"{kind} {part}: the mask holds pixels of another part"
            # Light is the same for both, so only the edges' blending reaches beyond the mask.
            assert not (changed & ~_grown(mask)).any(), f"{kind} {part}: pixels outside its mask changed"


def _grown(mask: np.ndarray) -> np.ndarray:
    """The mask and the ring of pixels that its edge is blended into."""
    padded = np.pad(mask, 1)
    shifts = [padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx] for dy in (-1, 0, 1)
              for dx in (-1, 0, 1)]  # fmt: skip
    return np.any(shifts, axis=0)


@pytest.mark.parametrize("size", [64, 112, 224, 300])
def test_masks_keep_their_share_at_any_size(size: int) -> None:
    scene = make_scene(scene_random("train", 1, "sizes"), "train", 3)
    picture, reference = render(scene, size), render(scene, 448)
    assert picture.image.shape == (size, size, 3)
    for index in range(3):
        share, wanted = picture.mask(index).mean(), reference.mask(index).mean()
        assert share == pytest.approx(wanted, rel=0.12)


def test_pairs_differ_around_the_asked_thing_alone(pairs: list[Pair]) -> None:
    for pair in pairs:
        first, second = (render(side.scene) for side in pair.sides)
        changed = (first.image != second.image).any(axis=-1)
        assert changed.any()
        allowed = np.zeros_like(changed)
        for side in pair.sides:
            if side.question.thing is not None:
                thing = side.scene.things[side.question.thing]
                left, top, right, bottom = thing.box
                # Shadow, glow and rounded edges reach a little beyond the thing.
                reach = 0.06 + (0.16 * thing.size if thing.kind == "lamp" else 0)
                low = [max(0, int((edge - reach) * 112)) for edge in (left, top)]
                high = [int((edge + reach) * 112) + 1 for edge in (right, bottom)]
                allowed[low[1] : high[1], low[0] : high[0]] = True
        assert not (changed & ~allowed).any(), pair.sides[0].question.text


def test_known_pictures() -> None:
    """The bytes themselves. Pillow draws them, so another Pillow may draw them a little differently."""
    if int(PIL.__version__.split(".")[0]) != KNOWN_PILLOW:
        pytest.skip(f"the hashes are of Pillow {KNOWN_PILLOW}, this is {PIL.__version__}")
    digests = []
    for seed in range(4):
        picture = render(make_scene(scene_random("test", seed, "bytes"), "test", seed + 1))
        digests.append(hashlib.sha256(picture.image.tobytes() + picture.labels.tobytes()).hexdigest()[:16])
    assert digests == KNOWN_PICTURES
