"""Whole runs: a model that points, with and without attention, beside its control, and what could not be read."""

from __future__ import annotations

from typing import Any

import pytest

SAYS = '[{"point_2d": [250, 400], "label": "the box"}, {"point_2d": [1, 2'


def run(workplace: Any, **changes: Any) -> dict[str, Any]:
    workplace.environment["PIXCORE_PLUGINS"] += ",places"
    config = {
        "benchmark": {"name": "toy-boxes", "pairs": 1},
        "model": {"name": "toy", "says": SAYS},
        "protocols": ["question", "point"],
        "grouper": {"name": "written-places", "convention": "qwen3-vl"},
        "selections": ["as-written", "toy-best"],
        "control": {"points": "random-places", "selection": "toy-best"},
        **changes,
    }
    workplace("run", str(workplace.config(**config)))
    summary: dict[str, Any] = workplace.summary()
    return summary


def test_a_model_without_attention_is_segmented_where_it_points(workplace: Any) -> None:
    summary = run(workplace, extractor=None)
    rows = {row["key"]: row for row in summary["rows"]}
    assert [row["control"] for row in rows.values()] == [False, False, True, True]
    assert rows["toy-best"]["figures"]["M point"]["value"] > 0
    assert rows["toy-best"]["candidates"] == 1
    lines = [line for line in workplace.predictions() if line["protocol"] == "point"]
    assert lines[0]["prompt"].startswith("Point to the box, output its coordinates")
    assert lines[0]["candidates"][0]["point"] == [9.5, 9.100000381469727]
    assert lines[0]["control"]["candidates"][0]["point"] != lines[0]["candidates"][0]["point"]
    told = [note for note in summary["notes"] if " state " in note]
    assert told == ["4 answers state 8 places, of which 4 were not read (4: it breaks off)."]


def test_a_place_whose_candidate_was_merged_into_another_was_read(workplace: Any) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",groupers"
    places = [(250, "box"), (250, "lid"), (2000, "box"), (300, "box")]  # the lid's stands among the box's
    says = " ".join(f'{{"point_2d": [{x}, 400], "label": "{label}"}}' for x, label in places)
    summary = run(workplace, model={"name": "toy", "says": says}, protocols=["point"], merge_iou=0.9, extractor=None)
    assert next(row for row in summary["rows"])["candidates"] == 1
    told = [note for note in summary["notes"] if " state " in note]
    assert told == ["2 answers state 8 places, of which 2 were not read (2: outside of the image, or not looked for)."]


@pytest.mark.parametrize("objects", ["together", "united", "all", "each"])
def test_a_place_outside_of_the_image_is_told_though_others_of_its_object_stand_around_it(
    workplace: Any, objects: str
) -> None:
    said = [("box", 100), ("lid", 200), ("box", 2000), ("box", 300), ("lid", 200), ("box", 300), ("lid", 400)]
    says = " ".join(f'{{"point_2d": [{x}, 400], "label": "{label}"}}' for label, x in said)
    grouper = {"name": "written-places", "convention": "qwen3-vl", "objects": objects}
    masks = {"name": "united", "of": "toy-squares"} if objects in ("united", "all") else "toy-squares"
    model = {"name": "toy", "says": says}
    summary = run(
        workplace, model=model, protocols=["point"], grouper=grouper, masks=masks, extractor=None, control=None
    )
    told = [note for note in summary["notes"] if " state " in note]
    assert told == [
        "2 answers state 14 places, 4 of them again, of which 2 were not read "
        "(2: outside of the image, or not looked for)."
    ]


def test_a_place_that_is_said_again_in_another_form_is_said_again(workplace: Any) -> None:
    says = 'At [250, 400]: {"point_2d": [250, 400]}'
    summary = run(workplace, model={"name": "toy", "says": says}, protocols=["point"], extractor=None, control=None)
    assert [note for note in summary["notes"] if " state " in note] == [
        "2 answers state 4 places, 2 of them again, and all were read."
    ]


def test_with_attention_a_stated_place_is_still_the_prompt(workplace: Any) -> None:
    run(workplace)
    lines = [line for line in workplace.predictions() if line["protocol"] == "point"]
    (candidate,) = lines[0]["candidates"]
    assert candidate["point"] == [9.5, 9.100000381469727]
    assert candidate["tokens"]


def test_a_text_for_a_generator_that_takes_none_ends_the_run(workplace: Any) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",places"
    config = workplace.config(model="silent", grouper="asked-expression", extractor=None, control=None)
    failed = workplace("run", str(config), status=None)
    assert failed.returncode
    assert "mask generator 'toy-squares' takes no text prompts" in failed.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"masks": {"name": "united", "of": {}}}, "masks.of: got {} (a component needs a name"),
        ({"masks": {"name": "mask-codes", "of": {"k": 3}}}, "masks.of: got {'k': 3} (a component needs a name"),
        ({"grouper": {"name": "said-phrases", "of": {}}}, "grouper.of: got {} (a component needs a name"),
        ({"grouper": {"name": "said-phrases", "of": {"name": "words", "label": 3}}}, "grouper.of.label: got 3"),
        ({"model": {"name": "enlarged", "of": {}}}, "model.of: got {} (a component needs a name"),
    ],
)
def test_a_component_inside_that_has_no_name_is_one_line(workplace: Any, changes: dict[str, Any], said: str) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",places,groupers"
    failed = workplace("run", str(workplace.config(**changes)), status=None)
    assert failed.returncode == 2
    assert said in failed.stderr
