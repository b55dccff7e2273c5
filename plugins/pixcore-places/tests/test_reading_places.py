"""Texts as models write them, whole and broken, with what is right: written down before the rules that read them."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pixcore_places.conventions import CONVENTIONS, convention_of
from pixcore_places.reading import Resizing, read
from pixcore_places.scanning import scan

SIZE = 200, 100


class Case(NamedTuple):
    """A text of a family's, and what it says of an image of 200 x 100 pixels.

    `places` are points (x, y) between pixels' edges, in the image, or boxes; a point is named half a pixel less.
    """

    convention: str
    text: str
    places: list[tuple[float, ...]]
    unread: int = 0
    repeated: int = 0


WHOLE = [
    Case("qwen3-vl", '```json\n[{"point_2d": [500, 250], "label": "dog"}]\n```', [(100, 25)]),
    Case("qwen3-vl", '```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "dog"}]\n```', [(20, 20, 60, 40)]),
    Case("qwen3-vl", '[{"bbox_2d": [0, 0, 1000, 1000]}]', [(0, 0, 200, 100)]),
    Case("qwen3-vl", '{"point_2d": [1000, 1000], "label": "corner"}', [(199.5, 99.5)]),
    Case("qwen3-vl", '{"point_2d": [0, 0], "label": "corner"}', [(0.5, 0.5)]),
    Case(
        "qwen3-vl",
        '[{"label": "a", "point_2d": [100, 100]}, {"label": "b", "point_2d": [200, 200]}]',
        [(20, 10), (40, 20)],
    ),
    Case("qwen3-vl", "[{'point_2d': [100, 100], 'label': 'a'}]", [(20, 10)]),
    Case(
        "qwen3-vl", '{"bbox_2d": [[100, 200, 300, 400], [500, 600, 700, 800]]}', [(20, 20, 60, 40), (100, 60, 140, 80)]
    ),
    Case("qwen3-vl", 'The dog is here: {"point_2d": [500, 500], "label": "dog"}. It sits.', [(100, 50)]),
    Case("qwen3-vl", "The dog is at [100, 200, 300, 400].", [(20, 20, 60, 40)]),
    Case("qwen3-vl", '{"point_2d":[512.5,250.0]}', [(102.5, 25)]),
    Case("qwen2.5-vl", '[{"point_2d": [98, 56], "label": "dog"}]', [(100, 50)]),  # seen as 196 x 112
    Case("qwen2.5-vl", '[{"bbox_2d": [0, 28, 98, 112], "label": "dog"}]', [(0, 25, 100, 100)]),
    Case(
        "qwen2.5-vl",
        '[\n\t{"bbox_2d": [49, 28, 98, 56], "label": "dog"},\n\t{"bbox_2d": [98, 56, 196, 112], "label": "dog"}\n]',
        [(50, 25, 100, 50), (100, 50, 200, 100)],
    ),
    Case(
        "qwen2-vl",
        "<|object_ref_start|>the dog<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>",
        [(20, 20, 60, 40)],
    ),
    Case("qwen2-vl", "the dog(100,200),(300,400)", [(20, 20, 60, 40)]),
    Case("kimi-vl", '{"bbox_2d": [0.280, 0.500, 0.520, 0.700]}', [(56, 50, 104, 70)]),
    Case("molmo", '<point x="50.0" y="25.5" alt="the dog">the dog</point>', [(100, 25.5)]),
    Case(
        "molmo",
        ' <points x1="10" y1="10" x2="20" y2="20" x3="30" y3="30" alt="dogs">dogs</points>',
        [(20, 10), (40, 20), (60, 30)],
    ),
    Case("molmo", '<point x="50" y="25" alt="dog"/>', [(100, 25)]),
    Case("molmo", "There are none.", []),
    Case("molmo", "<point x='50' y='25' alt='dog'>dog</point>", [(100, 25)]),
    Case("molmo2", '<points coords="1 1 500 250">dog</points>', [(100, 25)]),
    Case("molmo2", '<points alt="dogs" coords="1 1 100 100 2 200 200">dogs</points>', [(20, 10), (40, 20)]),
    Case("molmo2", '<points coords="1 1 100 100\t2 1 200 200"/>', [(20, 10), (40, 20)]),
    Case("molmo2", '<point x="50.0" y="25.5" alt="dog">dog</point>', [(100, 25.5)]),  # as the first Molmo does
    Case("paligemma", "<loc0093><loc0341><loc0465><loc0682> dog", [(200 / 3, 100 / 11, 400 / 3, 500 / 11)]),
    Case(
        "paligemma",
        "<loc0000><loc0000><loc0341><loc0465> cat ; <loc0341><loc0465><loc1023><loc1023> dog",
        [(0, 0, 1000 / 11, 100 / 3), (1000 / 11, 100 / 3, 200, 100)],
    ),
    Case(
        "paligemma",
        "<loc0093><loc0341><loc0465><loc0682><seg001><seg002> dog",
        [(200 / 3, 100 / 11, 400 / 3, 500 / 11)],
    ),
    Case("gemma", '```json\n[{"box_2d": [200, 100, 400, 300], "label": "dog"}]\n```', [(20, 20, 60, 40)]),
    Case("gemma", '[{"point": [250, 500], "label": "dog"}]', [(100, 25)]),
    Case("gemma", "[200, 100, 400, 300]", [(20, 20, 60, 40)]),
    Case("internvl", "<ref>the dog</ref><box>[[100, 200, 300, 400]]</box>", [(20, 20, 60, 40)]),
    Case(
        "internvl",
        "<ref>dogs</ref><box>[[100, 200, 300, 400], [500, 600, 700, 800]]</box>",
        [(20, 20, 60, 40), (100, 60, 140, 80)],
    ),
    Case("internvl", "the dog[[100, 200, 300, 400]]", [(20, 20, 60, 40)]),
    Case("llava-1.5", "[0.1, 0.5, 0.5, 0.6]", [(20, 50, 100, 70)]),  # of the square of 200, 50 above and below
    Case("cambrian", "[0.1, 0.5, 0.5, 0.6]", [(20, 50, 100, 60)]),
    Case(
        "kosmos-2", "<phrase>a dog</phrase><object><patch_index_0000><patch_index_0000></object>", [(0, 0, 6.25, 3.125)]
    ),
    Case(
        "kosmos-2",
        "<phrase>a dog</phrase><object><patch_index_0000><patch_index_0528></object>",
        [(3.125, 1.5625, 103.125, 51.5625)],
    ),
    Case(
        "kosmos-2",
        "<object><patch_index_0000><patch_index_0003></delimiter_of_multi_objects/><patch_index_0001><patch_index_0002></object>",
        [(0, 0, 25, 3.125), (6.25, 0, 18.75, 3.125)],
    ),
    Case("florence-2", "the dog<loc_100><loc_200><loc_300><loc_400>", [(20.1, 20.05, 60.1, 40.05)]),
    Case(
        "florence-2",
        "dog<loc_0><loc_0><loc_499><loc_499>cat<loc_500><loc_500><loc_999><loc_999>",
        [(0.1, 0.05, 99.9, 49.95), (100.1, 50.05, 199.9, 99.95)],
    ),
    Case("pixels", '{"point_2d": [100, 50]}', [(100, 50)]),
    # forms that families share: what numbers mean is the family's to say
    Case("qwen2.5-vl", '[{"point": [98, 28], "label": "dog"}]', [(100, 25)]),
    Case("molmo2", '{"point": [500, 250]}', [(100, 25)]),
    Case("qwen2.5-vl", "<|box_start|>(49,28),(98,56)<|box_end|>", [(50, 25, 100, 50)]),
    Case("pixels", "<box>50 25 100 50</box>", [(50, 25, 100, 50)]),
    Case("qwen2.5-vl", '<points x1="98" y1="28" alt="dog">dog</points>', [(100, 25)]),  # as its cookbook asks for
    Case("qwen3-vl", '<point x="500" y="250">dog</point>', [(100, 25)]),
    Case("cambrian", "(0.1, 0.5), (0.5, 0.6)", [(20, 50, 100, 60)]),
    Case("gemma", "(200, 100), (400, 300)", [(20, 20, 60, 40)]),
    Case("qwen2-vl", "dogs(100,200),(300,400)(500,600),(700,800)", [(20, 20, 60, 40), (100, 60, 140, 80)]),
    Case("pixels", "[(20, 10), (40, 20), (60, 30)]", [(20, 10), (40, 20), (60, 30)]),  # RoboPoint's list of tuples
    Case("pixels", "[(20, 10), (40, 20)]", [(20, 10), (40, 20)]),
    Case("pixels", "at (20, 10), (40, 20), (60, 30), (80, 40)", [(20, 10), (40, 20), (60, 30), (80, 40)]),
    Case("pixels", "at (20, 10), (40, 20), (on the left)", [(20, 10, 40, 20)]),
    Case("pixels", "at (20, 10), (40, 20), (60, 3", [(20, 10), (40, 20)]),  # a list that was cut off
    Case("pixels", "", []),
    Case("qwen3-vl", "[]", []),
    Case("qwen3-vl", '[{"point_2d": [], "label": "dog"}]', []),  # as null: it is nowhere
    Case("qwen3-vl", '[{"bbox_2d": [[]], "label": "a"}, {"point_2d": [100, 100], "label": "b"}]', [(20, 10)]),
    Case("qwen3-vl", "There is no dog in the image.", []),
    Case("qwen3-vl", "It has 3 legs, [sic], and (perhaps) a tail; see [1] and [2, 3, 4].", []),
]

BROKEN = [
    Case("qwen3-vl", '[{"point_2d": [100, 100], "label": "a"}, {"point_2d": [200, 2', [(20, 10)], 1),  # cut off
    Case(
        "qwen3-vl", '[{"point_2d": [100, 100], "label": "a"}, {"point_2d": ', [(20, 10)], 1
    ),  # before it said anything
    Case("qwen3-vl", '[{"bbox_2d": [100, 200, 300], "label": "dog"}]', [], 1),
    Case("qwen3-vl", '[{"bbox_2d": [100, 200, 300, 400, 500], "label": "dog"}]', [], 1),
    Case("qwen3-vl", '[{"point_2d": [-, -], "label": "dog"}]', [], 1),
    Case(
        "qwen3-vl", '[{"point_2d": [100, 100] "label": "a"} {"point_2d": [200, 200]}', [(20, 10), (40, 20)]
    ),  # no commas
    Case("qwen3-vl", '{"point_2d": [1e999, 3], "label": "dog"}', [], 1),
    Case("qwen3-vl", '{"point_2d": [1500, 500], "label": "dog"}', [], 1),
    Case("qwen3-vl", '{"point_2d": [-1, 500], "label": "dog"}', [], 1),
    Case("qwen3-vl", '{"bbox_2d": [900, 900, 1100, 1100]}', [(180, 90, 200, 100)]),
    Case("qwen3-vl", '{"bbox_2d": [1100, 1100, 1200, 1200]}', [], 1),
    Case("qwen3-vl", '{"bbox_2d": [300, 400, 100, 200]}', [(20, 20, 60, 40)]),  # swapped
    Case("qwen3-vl", '{"bbox_2d": [300, 200, 100, 400]}', [(20, 20, 60, 40)]),
    Case("qwen3-vl", '{"bbox_2d": [100, 200, 100, 400]}', [], 1),  # no width
    Case("qwen3-vl", '{"point_2d": [100, 100], "label": "a"}' * 5, [(20, 10)], 0, 4),
    Case(
        "qwen3-vl",
        '[{"point_2d": [100, 100], "label": "a"}, {"point_2d": [100, 100], "label": "b"}]',
        [(20, 10), (20, 10)],
    ),
    Case("qwen3-vl", "at [100, 200, 300, ", [], 1),
    Case("qwen2.5-vl", '{"point_2d": [300, 56]}', [], 1),
    Case("molmo", '<point x="50.0" y="25', [(100, 25)]),  # the number may be cut, and nobody can tell
    Case("molmo", '<point x="50.0" ', [], 1),
    Case("molmo", '<points x1="10" y1="10" x2="20" alt="dogs">dogs</points>', [(20, 10)], 1),
    Case("molmo", '<point x="150" y="25" alt="dog">dog</point>', [], 1),
    Case("molmo", "<point>dog</point>", [], 1),
    Case("molmo", '<points x1="10" y1="10" x2="10" y2="10" alt="dogs">dogs</points>', [(20, 10)], 0, 1),
    Case("molmo2", '<points coords="1 1 500 250 2 600">dogs</points>', [(100, 25)], 1),
    Case("molmo2", '<points coords="">dogs</points>', [], 1),
    Case("paligemma", "<loc0256><loc0512><loc0512> dog", [], 1),
    Case("paligemma", "<loc0093><loc0341><loc0465><loc0682><loc0001> dog", [(200 / 3, 100 / 11, 400 / 3, 500 / 11)], 1),
    Case("paligemma", "<loc0465><loc0682><loc0093><loc0341> dog", [(200 / 3, 100 / 11, 400 / 3, 500 / 11)]),
    Case("gemma", '[{"box_2d": [200, 100, 400', [], 1),
    Case("internvl", "<ref>the dog</ref><box>[[100, 200, 300", [], 1),
    Case("internvl", "<ref>the dog</ref><box>the left</box>", [], 1),
    Case("internvl", "<box>[[100, 200, 300]]</box>", [], 1),
    Case("llava-1.5", "[0.1, 0.0, 0.5, 0.1]", [], 1),  # all of it in the padding
    Case("llava-1.5", "[12, 13, 14, 15]", [], 1),
    Case("kosmos-2", "<object><patch_index_0000></object>", [], 1),
    Case("kosmos-2", "<object><patch_index_0000><patch_index_9999></object>", [], 1),
    Case("kosmos-2", "<object><patch_index_0000><patch_index_0528>", [], 1),
    Case("florence-2", "dog<loc_1><loc_2><loc_3>", [], 1),
    Case("qwen3-vl", "[" * 5000, []),
    Case("qwen3-vl", "{" * 3000 + '"point_2d": [500, 250]', [(100, 25)]),
    Case("molmo", "<point " * 2000, [], 2000),
    # other forms of a place in JSON: read where nothing is left to guess, counted where something is
    Case(
        "qwen3-vl", '{"bbox_2d": ["100", "200", "300", "400"], "point_2d": [500, 250]}', [(20, 20, 60, 40), (100, 25)]
    ),
    Case("qwen3-vl", '{"point_2d": "500, 250", "label": "dog"}', [(100, 25)]),
    Case("gemma", '{"box_2d": "[200, 100, 400, 300]", "label": "dog"}', [(20, 20, 60, 40)]),
    Case("qwen3-vl", '{"bbox_2d": (100, 200, 300, 400)}', [(20, 20, 60, 40)]),
    Case("qwen3-vl", "It is at (100, 200, 300, 400).", [(20, 20, 60, 40)]),
    Case("qwen3-vl", '{"bbox_2d": {"x1": 100, "y1": 200, "x2": 300, "y2": 400}, "label": "dog"}', [], 1),
    Case("qwen3-vl", '{"point_2d": {"x": 100, "y": 2', [], 1),
    Case("qwen3-vl", '{"point_2d": (500, 2', [], 1),
    Case("qwen3-vl", '{"box": {"bbox_2d": [100, 200, 300, 400]}}', [(20, 20, 60, 40)]),
    Case("qwen3-vl", '[{"bbox_2d": null, "label": "dog"}, {"box": "none"}, {"point": {"label": "none"}}]', []),
    Case("qwen3-vl", '{"bbox_2d": "100, 200, 300", "label": "dog"}', [], 1),
    Case("qwen3-vl", '{"point_2d": "500, 2', [], 1),  # cut off
    Case("qwen3-vl", '{"bbox_2d": "[100, 200, 300, 400]', [(20, 20, 60, 40)]),
    Case("qwen3-vl", '{"point": "5 dogs', []),
    Case("qwen3-vl", '{"point": "' + "1 " * 5000, [], 1),
    Case("qwen3-vl", '{"point": "' + "1" * 40_000, [], 1),
    Case("qwen3-vl", '{"point": "' + "1 " * 20_000 + "dogs", []),
    Case("qwen3-vl", '{"point": {' + "1" * 40_000 + "[", []),  # in no time, as all of these
    Case("qwen3-vl", '{"point": {' + "1 " * 20_000 + "{", []),
    # what is said of a place is no place
    Case("molmo", '<point x="50" y="25" alt="the door at x=3 y=4">the door</point>', [(100, 25)]),
    # a draft in a thought is no answer, and a thought without an end has none
    Case("qwen3-vl", '<think>at [10, 10, 20, 20]?</think>\n{"bbox_2d": [100, 200, 300, 400]}', [(20, 20, 60, 40)]),
    Case("qwen3-vl", "at [10, 10, 20, 20]?</think>There is none.", []),
    Case("qwen3-vl", "<think>at [10, 10, 20, 20]?</think><answer>[100, 200, 300, 400]</answer>", [(20, 20, 60, 40)]),
    Case("kimi-vl", '◁think▷at [0.1, 0.1, 0.2, 0.2]?◁/think▷{"bbox_2d": [0.28, 0.5, 0.52, 0.7]}', [(56, 50, 104, 70)]),
    Case("qwen3-vl", "<think>It may be at [10, 10, 20, 20], or", [], 1),
    Case("qwen3-vl", "<reasoning>[10, 10, 20, 20]?</reasoning>[100, 200, 300, 400]", [(20, 20, 60, 40)]),
    Case("qwen3-vl", "[THINK][10, 10, 20, 20]?[/THINK][100, 200, 300, 400]", [(20, 20, 60, 40)]),
    Case("qwen3-vl", "<|channel>thought\n[10, 10, 20, 20]?<channel|>[100, 200, 300, 400]", [(20, 20, 60, 40)]),
    Case("qwen3-vl", "<|channel|>analysis<|message|>[10, 10, 20, 20], or", [], 1),
    Case("qwen3-vl", "<think><think></think> [10, 10, 20, 20]?</think>[100, 200, 300, 400]", [(20, 20, 60, 40)]),
    Case("qwen3-vl", "[Analysis] It is here: [100, 200, 300, 400]", [(20, 20, 60, 40)]),
]


@pytest.mark.parametrize("case", [*WHOLE, *BROKEN], ids=lambda case: f"{case.convention}: {case.text[:40]!r}")
def test_a_text_is_read_as_it_should_be(case: Case) -> None:
    convention = CONVENTIONS[case.convention]
    resized = Resizing().resized(SIZE) if convention.unit == "resized" else None
    reading = read(case.text, SIZE, convention, resized)
    named = [place.box or tuple(value + 0.5 for value in place.point or ()) for place in reading.places]
    assert [pytest.approx(one) for one in case.places] == named
    assert len(reading.unread) == case.unread
    assert reading.repeated == case.repeated


def test_a_label_may_have_an_apostrophe() -> None:
    stated = scan("""<point x="10" y="10" alt="dog's bowl"/> <point x="20" y="20" alt='the "dog"'/>""")
    assert [one.label for one in stated] == ["dog's bowl", 'the "dog"']
    (escaped,) = scan(r'{"point_2d": [1, 2], "label": "5\" disk"}')
    assert escaped.label == r"5\" disk"


def test_the_table_is_long_enough() -> None:
    assert len({case.text for case in (*WHOLE, *BROKEN)}) >= 60
    assert {case.convention for case in WHOLE} == set(CONVENTIONS) - {"thousandths"}


SCRAPS = """{"bbox_2d":[ "point_2d":[ "label":" <loc0012> <loc_12> <seg001> <point <points </points> <box> </box>
<object>
</object> <patch_index_0031> <phrase> </phrase> <ref> </ref> x=" x1=' y=" y1=' coords="1 [ ] ( ) , < > { } : " ' inf nan
dog 0.5 500 -1 1e308 1e999 \u0660 \u00b2"""
PIECES = some.sampled_from([" ", "\n", "\0", *SCRAPS.split()])


@given(
    some.lists(some.one_of(PIECES, some.text(max_size=8)), max_size=40).map("".join),
    some.sampled_from(sorted(CONVENTIONS)),
)
def test_reading_never_fails_and_ends_inside_the_image(text: str, name: str) -> None:
    for whole_pixels in (False, True):
        reading = read(text, (31, 17), CONVENTIONS[name], (28, 28), whole_pixels=whole_pixels)
        for place in reading.places:
            x0, y0, x1, y1 = place.box or (*(place.point or ()), 30, 16)
            assert 0 <= x0 <= x1 <= 31
            assert 0 <= y0 <= y1 <= 17
            assert 0 <= place.stated.start < place.stated.end <= len(text)
        assert len(reading.places) + len(reading.unread) + reading.repeated == len(scan(text))


def written(name: str, x: int, y: int, box: tuple[int, int, int, int]) -> str:
    """A point and a box in thousandths, in a family's own words."""
    x0, y0, x1, y1 = box
    return {
        "qwen3-vl": f'[{{"point_2d": [{x}, {y}]}}, {{"bbox_2d": [{x0}, {y0}, {x1}, {y1}]}}]',
        "gemma": f'[{{"point": [{y}, {x}]}}, {{"box_2d": [{y0}, {x0}, {y1}, {x1}]}}]',
        "molmo": f'<point x="{x / 10}" y="{y / 10}">dog</point>[[{x0 / 10}, {y0 / 10}, {x1 / 10}, {y1 / 10}]]',
        "molmo2": f'<points coords="1 1 {x} {y}">dog</points> [{x0}, {y0}, {x1}, {y1}]',
        "internvl": f"[{x}, {y}]<box>[[{x0}, {y0}, {x1}, {y1}]]</box>",
        "cambrian": f"[{x / 1000}, {y / 1000}] [{x0 / 1000}, {y0 / 1000}, {x1 / 1000}, {y1 / 1000}]",
    }[name]


thousandth = some.integers(0, 999)


@given(
    some.sampled_from(["qwen3-vl", "gemma", "molmo", "molmo2", "internvl", "cambrian"]),
    *(thousandth,) * 4,
    some.tuples(some.integers(2, 3000), some.integers(2, 3000)),
)
def test_what_is_written_is_read_again(name: str, x: int, y: int, left: int, top: int, size: tuple[int, int]) -> None:
    box = (left, top, min(left + 57, 1000), min(top + 23, 1000))
    point, boxed = read(written(name, x, y, box), size, CONVENTIONS[name]).places
    assert point.point == pytest.approx(
        [min(max(value / 1000 * side - 0.5, 0), side - 1) for value, side in zip((x, y), size, strict=True)]
    )
    assert boxed.box == pytest.approx([value / 1000 * side for value, side in zip(box, size * 2, strict=True)])


@pytest.mark.parametrize(
    ("family", "name"),
    [
        *[("qwen2_5_vl", "qwen2.5-vl"), ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"), ("qwen2_vl", "qwen2-vl")],
        *[("qwen3_vl", "qwen3-vl"), ("qwen3_vl_moe", "qwen3-vl"), ("qwen3_5", "qwen3-vl"), ("glm4v", "qwen3-vl")],
        *[("glm46v", "qwen3-vl"), ("glm4v_moe", "qwen3-vl"), ("zai-org/GLM-4.6V-Flash", "qwen3-vl")],
        *[("allenai/Molmo2-8B", "molmo2"), ("molmo2", "molmo2"), ("molmo", "molmo"), ("paligemma", "paligemma")],
        *[("gemma3", "gemma"), ("gemini-2.5-pro", "gemma"), ("internvl", "internvl"), ("llava", "llava-1.5")],
        *[("moonshotai/Kimi-VL-A3B-Instruct", "kimi-vl"), ("kimi_k25", "kimi-vl")],
        *[("kosmos-2", "kosmos-2"), ("florence2", "florence-2"), ("google/paligemma2-3b-mix-448", "paligemma")],
    ],
)
def test_a_models_name_says_its_convention(family: str, name: str) -> None:
    found = convention_of(family)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((640, 480), (644, 476)),
        ((2000, 30), (1988, 28)),
        ((5000, 5000), (980, 980)),
        ((28, 28), (56, 56)),
        ((4, 780), (28, 784)),
        ((10, 1900), (28, 784)),
    ],
)
def test_the_resized_image_is_as_transformers_has_it(size: tuple[int, int], resized: tuple[int, int]) -> None:
    """As its `smart_resize` gives them for bounds of 56 * 56 and 1,000,000 pixels."""
    assert Resizing(most=1_000_000).resized(size) == resized
