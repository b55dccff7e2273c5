"""Whole runs: a model that points, with and without attention, beside its control, and what could not be read."""

from __future__ import annotations

from typing import Any

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
    assert "ToySquares takes no text prompts" in failed.stderr
