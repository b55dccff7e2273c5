from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_regions.config import RegionsConfig
from pixcore_regions.generator import Regions
from pixcore_regions.superpixels import superpixels
from pixcore_regions.tree import grow
from skimage.metrics import variation_of_information

from pixcore.masks import decode, encode_many, size_of
from pixcore.records import Image, PointPrompt

RED, BLUE, GREEN = (200, 40, 40), (40, 60, 200), (40, 170, 70)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def scene(height: int = 96, width: int = 128, noise: float = 4.0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A red house with a blue door, and a green ball, on noisy grey ground that gets lighter to the right."""
    ys, xs = np.mgrid[:height, :width]
    ys, xs = ys / height, xs / width
    masks = {
        "house": (xs > 0.15) & (xs < 0.5) & (ys > 0.25) & (ys < 0.8),
        "door": (xs > 0.25) & (xs < 0.37) & (ys > 0.5) & (ys < 0.8),
        "ball": np.hypot(xs - 0.75, (ys - 0.5) * height / width) < 0.1,
    }
    ground = 150 + 50 * xs + np.random.default_rng(0).normal(0, noise, (height, width))
    pixels = np.repeat(ground[..., None], 3, axis=2)
    pixels[masks["house"]] = RED
    pixels[masks["door"]] = BLUE
    pixels[masks["ball"]] = GREEN
    return np.clip(pixels, 0, 255).astype(np.uint8), masks


@pytest.fixture(scope="module")
def generator() -> Regions:
    return Regions(RegionsConfig())


@pytest.fixture(scope="module")
def drawn() -> tuple[Image, dict[str, np.ndarray]]:
    pixels, masks = scene()
    return Image.from_pixels(pixels), masks


def test_a_point_on_a_part_gives_the_part_and_the_thing(generator, drawn):
    image, truth = drawn
    proposal = generator.segment(image, [PointPrompt.at((40, 62))])[0]
    assert max(overlap(mask, truth["door"]) for mask in proposal.masks) > 0.98
    assert overlap(proposal.masks[-1], truth["house"]) > 0.98


def test_the_even_thing_is_found_and_scores_above_the_ground(generator, drawn):
    image, truth = drawn
    ball, ground = generator.segment(image, [PointPrompt.at((96, 48)), PointPrompt.at((2, 2))])
    assert overlap(ball.masks[int(np.argmax(ball.scores))], truth["ball"]) > 0.98
    assert ball.scores.max() > ground.scores.max()


def test_things_that_the_border_cuts_are_figures_too():
    pixels, _ = scene()
    pixels[70:, 100:] = BLUE
    wanted = np.zeros(pixels.shape[:2], bool)
    wanted[70:, 100:] = True
    proposal = Regions(RegionsConfig()).segment(Image.from_pixels(pixels), [PointPrompt.at((120, 90))])[0]
    assert max(overlap(mask, wanted) for mask in proposal.masks) > 0.98


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (3, 50), (1, 20000)])
@pytest.mark.parametrize("content", ["flat", "noise"])
def test_any_size_and_content_gives_three_nested_masks_with_scores(shape, content):
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.from_pixels(noise if content == "noise" else np.full_like(noise, 90))
    height, width = shape
    for proposal in Regions(RegionsConfig()).segment(image, [PointPrompt.at((0, 0), (width - 1, height - 1))]):
        assert [size_of(rle) for rle in encode_many(proposal.masks, proposal.size)] == [(width, height)] * 3
        assert np.isfinite(proposal.scores).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    colours=st.integers(1, 5),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_masks_are_nested_and_hold_the_point(seed, size, colours, place):
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (colours, 3), dtype=np.uint8)
    pixels = palette[rng.integers(0, colours, size)].repeat(2, axis=0)
    height, width = pixels.shape[:2]
    x, y = round(place[0] * (width - 1)), round(place[1] * (height - 1))
    (proposal,) = Regions(RegionsConfig()).segment(Image.from_pixels(pixels), [PointPrompt.at((x, y))])
    small, middle, large = proposal.masks
    assert small[y, x]
    assert not (small & ~middle).any()
    assert not (middle & ~large).any()
    assert ((proposal.scores >= 0) & (proposal.scores <= 1)).all()


def test_the_same_content_is_segmented_once(generator):
    pixels, _ = scene()
    first = generator.segmented(Image.from_pixels(pixels, name="one"))
    assert generator.segmented(Image.from_pixels(pixels.copy(), name="other")) is first
    pixels[0, 0] = 0
    assert generator.segmented(Image.from_pixels(pixels)) is not first


def test_several_points_ask_for_a_region_that_holds_them_all(generator, drawn):
    image, truth = drawn
    wall_and_door = PointPrompt.at((25, 40), (40, 62))
    (proposal,) = generator.segment(image, [wall_and_door])
    assert overlap(proposal.masks[0], truth["house"]) > 0.98


def test_points_on_different_things_unite_them(generator, drawn):
    image, truth = drawn
    (proposal,) = generator.segment(image, [PointPrompt.at((96, 48), (25, 40))])
    assert overlap(proposal.masks[-1], truth["ball"] | truth["house"]) > 0.98


def test_a_negative_point_shuts_regions_out(generator, drawn):
    image, truth = drawn
    prompt = PointPrompt(np.array([[40, 62], [25, 40]], np.float32), np.array([1, 0], np.int8))
    (proposal,) = generator.segment(image, [prompt])
    assert overlap(proposal.masks[-1], truth["door"]) > 0.98


@pytest.mark.parametrize("name", ["house", "door", "ball"])
def test_a_box_finds_what_fills_it(generator, drawn, name):
    image, truth = drawn
    rows, columns = np.nonzero(truth[name])
    box = (columns.min() - 1.0, rows.min() - 1.0, columns.max() + 2.0, rows.max() + 2.0)
    prompt = PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), box)
    (proposal,) = generator.segment(image, [prompt])
    assert max(overlap(mask, truth[name]) for mask in proposal.masks) > 0.98


def test_a_prompt_without_anything_positive_is_refused(generator, drawn):
    prompt = PointPrompt(np.array([[3, 3]], np.float32), np.array([0], np.int8))
    with pytest.raises(ValueError, match="positive point or a box"):
        generator.segment(drawn[0], [prompt])


def test_a_large_image_is_segmented_at_working_size():
    pixels, truth = scene(480, 640)
    generator = Regions(RegionsConfig(working_side=160))
    image = Image.from_pixels(pixels)
    (proposal,) = generator.segment(image, [PointPrompt.at((480, 240))])
    assert generator.segmented(image).tree.order.shape == (120, 160)
    assert (proposal.masks.shape, proposal.size) == ((3, 120, 160), (640, 480))
    found = [decode(rle) for rle in encode_many(proposal.masks, proposal.size)]
    assert max(overlap(mask, truth["ball"]) for mask in found) > 0.95


def test_every_node_is_the_disjoint_union_of_its_children():
    tree = grow(scene(48, 64)[0], 1.5)
    for node in range(len(tree.parent)):
        children = np.flatnonzero(tree.parent == node)
        if len(children):
            assert np.array_equal(tree.mask(node), tree.mask(children[0]) | tree.mask(children[1]))
            assert tree.area[node] == sum(tree.area[children])
            assert (tree.limit[children] == tree.height[node]).all()
        mask = tree.mask(node)
        rows, columns = np.nonzero(mask)
        assert tree.area[node] == mask.sum()
        assert tree.box[node].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert tree.height[node] <= tree.limit[node] + 1e-9


def test_patches_of_a_clean_drawing_are_its_colours():
    pixels, truth = scene(noise=0)
    wanted = truth["house"].astype(int) + truth["door"] + 3 * truth["ball"]
    pixels[wanted == 0] = 150
    patches, _ = superpixels(pixels)
    assert variation_of_information(patches.labels, wanted) == pytest.approx((0, 0))


def test_a_box_with_points_in_two_things_is_answered_by_the_one_that_it_is_most_like() -> None:
    pixels = np.full((100, 100, 3), 255, np.uint8)
    pixels[10:50, 10:50], pixels[70:80, 70:80] = (255, 0, 0), (0, 0, 255)
    for points in ([[30, 30], [75, 75]], [[75, 75], [30, 30]]):
        prompt = PointPrompt(np.array(points, np.float32), np.ones(2, np.int8), box=(8, 8, 60, 60))
        (found,) = Regions(RegionsConfig()).segment(Image.from_pixels(pixels), [prompt])
        rows, columns = np.nonzero(found.masks[-1])
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (10, 10, 50, 50)
