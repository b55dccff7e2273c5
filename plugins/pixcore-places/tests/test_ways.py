"""Several runs on one page: what is listed, what is left out, and that names stay text."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

SAYS = '{"point_2d": [250, 400], "label": "the box"}'

WAYS = {
    "attention": {"protocols": ["segment"], "control": {"points": "toy-anywhere", "selection": "toy-best"}},
    "points": {
        "protocols": ["point"],
        "grouper": {"name": "written-places", "convention": "qwen3-vl"},
        "control": None,
    },
    "guessed": {"protocols": ["point"], "grouper": "written-places", "control": None},
}


def test_every_row_of_every_way_stands_on_one_page(workplace: Any) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",places"
    one = {"benchmark": {"name": "toy-boxes", "pairs": 1}, "model": {"name": "toy", "says": SAYS}}
    config = workplace.config(**one, selections=["toy-best", {"name": "toy-first", "label": "<b>first"}])
    ways = workplace.folder / "ways.yaml"
    ways.write_text(yaml.safe_dump(WAYS))
    done = workplace("ways", str(config), "--ways", str(ways), "--out", "page", "--json", "ways.json")
    found = json.loads((workplace.folder / "page" / "ways.json").read_text())
    assert [(row["way"], row["probing"], row["control"]) for row in found["rows"]] == [
        *[("attention", "M", False)] * 2,
        *[("attention", "M", True)] * 2,
        *[("points", "M point", False)] * 2,
    ]
    (left_out,) = found["left_out"]
    assert left_out == "run, guessed: nobody knows how this model writes places"
    summary = workplace.summary("page/run/points")
    assert found["rows"][-2]["value"] == summary["rows"][0]["figures"]["M point"]["value"]
    page = (workplace.folder / "page" / "ways.html").read_text()
    assert "&lt;b&gt;first" in page
    assert "<b>first" not in page
    assert left_out in page
    assert json.loads((workplace.folder / "ways.json").read_text()) == found
    assert "toy-best (upper bound)" in done.stdout
    (workplace.folder / "other").mkdir()
    namesake = workplace.folder / "other" / config.name
    namesake.write_text(config.read_text())
    twice = workplace("ways", str(config), str(namesake), "--ways", str(ways), "--out", "page", status=None)
    assert twice.returncode
    assert "two configs are called run" in twice.stderr
    wrong = workplace("ways", str(config), "--ways", str(config), "--out", "page", status=None)
    assert wrong.returncode
    assert "is no part of a config" in wrong.stderr


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [({"damaged": True}, 2, "can't load toy.bin"), ({"fails_on": ["s0"]}, 1, "toy failure on s0")],
)
def test_a_model_that_fails_costs_no_other_its_rows(
    workplace: Any, fault: dict[str, Any], status: int, said: str
) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",places"
    config = workplace.config(
        benchmark={"name": "toy-boxes", "pairs": 1}, model="toy", selections=["toy-best"], on_error="stop"
    )
    failing = workplace.folder / "failing.yaml"
    failing.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"model": {"name": "toy", **fault}}))
    ways = workplace.folder / "ways.yaml"
    ways.write_text(yaml.safe_dump({"attention": {"control": None}}))
    done = workplace("ways", str(failing), str(config), "--ways", str(ways), "--out", "page", status=status)
    found = json.loads((workplace.folder / "page" / "ways.json").read_text())
    assert {row["model"] for row in found["rows"]} == {config.stem}
    (left_out,) = found["left_out"]
    assert left_out.startswith("failing, attention: ")
    assert said in left_out
    assert said in done.stderr


def test_of_several_exit_statuses_the_greatest_is_told(workplace: Any) -> None:
    """3, which 1 and 2 would make together, means nothing."""
    workplace.environment["PIXCORE_PLUGINS"] += ",places"
    benchmark = {"name": "toy-boxes", "pairs": 1}
    config = workplace.config(benchmark=benchmark, model={"name": "toy", "fails_on": ["s0"]}, on_error="record")
    failing = workplace.folder / "failing.yaml"
    failing.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"model": {"name": "toy", "damaged": True}}))
    ways = workplace.folder / "ways.yaml"
    ways.write_text(yaml.safe_dump({"attention": {"control": None}}))
    workplace("ways", str(config), str(failing), "--ways", str(ways), "--out", "page", status=2)


def test_what_is_wrong_with_a_file_is_told_before_anything_runs(workplace: Any) -> None:
    config = workplace.config(benchmark={"name": "toy-boxes", "pairs": 1}, model="toy", selections=["toy-best"])
    workplace.environment["PIXCORE_PLUGINS"] += ",places"
    ways = workplace.folder / "ways.yaml"
    ways.write_text(yaml.safe_dump({"attention": {"control": None}}))
    absent = workplace("ways", str(config), "absent.yaml", "--ways", str(ways), "--out", "page", status=2)
    assert "absent.yaml" in absent.stderr
    ways.write_text(yaml.safe_dump({"attention": {"control": None}, "points": "point"}, sort_keys=False))
    odd = workplace("ways", str(config), "--ways", str(ways), "--out", "page", status=2)
    assert "points is no part of a config" in odd.stderr
    assert not (workplace.folder / "page").exists()
