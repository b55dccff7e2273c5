"""Controls beside the matched one: prompts of other images, of the centre; prompts of the run's own kind."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_points.config import CentreConfig, RandomPointsConfig
from pixcore_points.nulls import Centre, alike, stretched
from pixcore_points.random_points import RandomPoints
from scipy import stats

from pixcore.components import Context
from pixcore.records import Fidelity, PointPrompt

NULLS = ("other-images", "centre")


@pytest.fixture
def several(workplace):
    """A workplace whose run has the matched control and two others."""
    workplace.environment["PIXCORE_PLUGINS"] += ",points"
    points = ("toy-anywhere", *NULLS)
    workplace.control = [{"points": name, "selection": "toy-best"} for name in points]
    workplace("run", str(workplace.config(control=workplace.control)))
    return workplace


def test_each_control_has_its_row_and_its_candidates(several):
    rows = [row for row in several.summary()["rows"] if row["control"]]
    names = [f"{name} points" for name in ("toy-anywhere", *NULLS)]
    own = [f"{name}, toy-best pick" for name in names]
    assert [row["key"] for row in rows if row["pool"] != names[0]] == own[1:]
    assert next(row["key"] for row in rows) == own[0]
    for line in several.predictions():
        if line["protocol"] == "segment":
            assert [control["name"] for control in line["control"]] == names
            assert {len(control["candidates"]) for control in line["control"]} == {len(line["candidates"])}
    scored = several("score", "out", "--json", "-")
    again = {row["key"]: row for row in json.loads(scored.stdout)["rows"]}
    for row in rows:
        assert again[row["key"]]["figures"]["M"] == row["figures"]["M"]


def test_a_further_control_changes_nothing_of_the_others(several):
    before = several.predictions()
    several("run", str(several.config(control=several.control[0], output="alone")))
    for line, alone in zip(before, several.predictions("alone"), strict=True):
        if line["protocol"] == "segment":
            assert line["control"][0] == alone["control"]
            assert line["choices"] == alone["choices"]


def test_other_images_lend_their_prompts_in_turn(several):
    lines = [line for line in several.predictions() if line["protocol"] == "segment"]
    own = {line["sample_id"]: [one["point"] for one in line["candidates"]] for line in lines}
    assert len({str(points) for points in own.values()}) > 1
    for line in lines:
        lent = [one["point"] for one in line["control"][1]["candidates"]]
        others = {name: points for name, points in own.items() if name != line["sample_id"]}
        firsts = [points[0] for points in others.values()]
        assert lent[0] in firsts  # of images of one size a prompt is taken as it is
        assert all(any(point in points for points in others.values()) for point in lent)


def test_where_there_is_no_other_image_the_controls_sample_fails_alone(workplace):
    workplace.environment["PIXCORE_PLUGINS"] += ",points"
    config = workplace.config(control={"points": "other-images", "selection": "toy-best"}, on_error="record")
    done = workplace("run", str(config), "--limit", "1")
    assert "no other image" in done.stderr
    rows = {row["key"]: row for row in workplace.summary()["rows"]}
    assert rows["toy-best"]["figures"]["M"]["value"] is not None


def test_a_sample_that_fails_is_no_zero_in_the_control_of_those_it_lends_to(workplace):
    workplace.environment["PIXCORE_PLUGINS"] += ",points"
    asked = {
        "benchmark": {"name": "toy-boxes", "pairs": 6},
        "control": {"points": "other-images", "selection": "toy-best"},
        "on_error": "record",
    }
    for model in ({"name": "toy", "fails_on": ["s4"]}, {"name": "toy"}):
        workplace("run", str(workplace.config(model=model, **asked)))
        rows = workplace.summary()["rows"]
        counted = {row["key"]: row["figures"]["M"]["n"] for row in rows}
        assert counted["toy-best"] == 12
        assert counted["other-images points, toy-best pick"] == (12 - 8 if "fails_on" in model else 12)
        told = any("8 samples of other-images points, toy-best pick" in note for note in workplace.summary()["notes"])
        assert told == ("fails_on" in model)
        lines = [line for line in workplace.predictions() if line["protocol"] == "segment"]
        whole = {line["sample_id"] for line in lines if line.get("control", {}).get("choices")}
        both = {name for name in whole if f"s{int(name[1:]) ^ 1}" in whole}
        less = next(row for row in rows if row["key"] == "toy-best")["figures"]["M less control"]
        assert less["n"] == len(both)


def test_two_controls_of_one_name_are_refused_and_told_where_a_label_goes(workplace):
    controls = [{"points": "toy-anywhere", "selection": name} for name in ("toy-best", "toy-first")]
    failed = workplace("run", str(workplace.config(control=controls)), status=2)
    assert "control: two of them have the same points (label one: points: {name: …, label: …})" in failed.stderr
    controls[1]["points"] = {"name": "toy-anywhere", "label": "other"}
    workplace("run", str(workplace.config(control=controls)), "--limit", "1")


def test_merging_without_a_plugin_that_does_is_refused_before_anything_is_asked(workplace):
    failed = workplace("run", str(workplace.config(merge_iou=0.9)), status=2)
    assert "merge_iou: no installed plugin merges candidates" in failed.stderr
    assert "answer" not in failed.stderr
    assert not (workplace.folder / "out").exists()


def test_where_own_candidates_are_merged_a_control_draws_as_many_prompts(workplace):
    """Merging changes nothing of attention, so it favours neither side: both draw all prompts, both merge."""
    workplace.environment["PIXCORE_PLUGINS"] += ",points,groupers"
    alike = {"name": "centre", "spread": 0.01}  # all about one place, so that some are merged
    workplace("run", str(workplace.config(points=alike)))
    before = [line for line in workplace.predictions() if line["protocol"] == "segment"]
    workplace("run", str(workplace.config(points=alike, merge_iou=0.1)))
    after = [line for line in workplace.predictions() if line["protocol"] == "segment"]
    assert any(len(line["candidates"]) < len(old["candidates"]) for line, old in zip(after, before, strict=True))
    for line, old in zip(after, before, strict=True):
        drawn = sum(1 + len(one["merged"]) for one in line["control"]["candidates"])
        assert drawn == len(old["control"]["candidates"])


@settings(deadline=None, max_examples=50)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    other=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_prompt_that_is_stretched_stays_in_its_place(
    size: tuple[int, int], other: tuple[int, int], place: tuple[float, float]
) -> None:
    point = np.minimum(np.floor(np.multiply(place, size)), np.subtract(size, 1))
    box = (0.0, 0.0, float(size[0]), float(size[1]))
    prompt = PointPrompt(point[None].astype(np.float32), np.ones(1, np.int8), box)
    moved = stretched(prompt, size, other)
    assert moved.box == pytest.approx((0, 0, *other))
    assert ((moved.points >= 0) & (moved.points < other)).all()
    middle = (point + 0.5) / size * other - 0.5
    assert np.abs(moved.points[0] - np.clip(middle, 0, np.subtract(other, 1))).max() <= 0.51
    assert stretched(prompt, size, size).points.tolist() == prompt.points.tolist()


def test_points_of_the_centre_are_a_gaussian_and_of_the_runs_own_kind() -> None:
    config = CentreConfig(spread=0.1)
    selector = Centre(config, Context(fidelity=Fidelity.CORRECTED, seed=0))
    selector.reseed(1)
    own = [PointPrompt(np.zeros((2, 2), np.float32), np.array([1, 0], np.int8), (0.0, 0.0, 20.0, 10.0))] * 2000
    found = selector.control((200, 100), own, ())
    points = np.concatenate([one.points for one in found]) + 0.5
    assert points.mean(axis=0) == pytest.approx([100, 50], abs=1.5)
    assert points.std(axis=0) == pytest.approx([20, 10], rel=0.05)
    for one in found:
        assert one.labels.tolist() == [1, 0]
        assert one.box is not None
        assert np.subtract(one.box[2:], one.box[:2]).tolist() == pytest.approx([20, 10])


def test_random_prompts_are_anywhere_and_of_the_runs_own_kind() -> None:
    selector = RandomPoints(RandomPointsConfig(), Context(fidelity=Fidelity.CORRECTED, seed=0))
    selector.reseed(1)
    points = np.zeros((3, 2), np.float32), np.array([1, 0, 0], np.int8)
    found = selector.control((200, 100), [PointPrompt(*points, (0.0, 0.0, 20.0, 10.0))] * 1000, ())
    places = np.concatenate([one.points for one in found]).T
    for values, side in zip(places, (200, 100), strict=True):
        counts = np.bincount((values * 10 // side).astype(int), minlength=10)
        assert stats.chisquare(counts).pvalue > 0.001, "each tenth of the image as often"
    for one in found:
        assert one.labels.tolist() == [1, 0, 0]
        assert np.subtract(one.box[2:], one.box[:2]).tolist() == pytest.approx([20, 10])
        assert 0 <= one.box[0] <= 180
        assert 0 <= one.box[1] <= 90
    single = PointPrompt.at((5, 5))
    assert [len(one.points) for one in selector.control((200, 100), [single] * 3, ())] == [1, 1, 1]


def test_choices_are_made_anew_where_other_images_lend(workplace):
    """Which images lend depends on the part of the benchmark that is run, and with it what is chosen from."""
    workplace.environment["PIXCORE_PLUGINS"] += ",points"
    control = {"points": "other-images", "selection": "toy-best"}
    workplace("run", str(workplace.config(control=control)), "--limit", "4")
    workplace("run", str(workplace.config(control=control)))
    workplace("run", str(workplace.config(control=control, output="fresh", store="fresh-store")))
    before, fresh = workplace.predictions(), workplace.predictions("fresh")
    assert [line.get("control") for line in before] == [line.get("control") for line in fresh]


def test_a_control_is_drawn_while_the_generator_has_the_image_and_is_the_same_as_later(workplace):
    together = workplace("run", str(workplace.config()))
    assert "control: toy-anywhere points: 12 of 12 there already" in together.stderr
    alone = workplace.config(control=None, output="later", store="other")
    workplace("run", str(alone))
    later = workplace("run", str(workplace.config(output="later", store="other")))
    assert "control: toy-anywhere points: 0 of 12 there already" in later.stderr
    assert workplace.predictions() == workplace.predictions("later")


def test_a_box_lies_about_the_middle_of_the_pixel_that_is_drawn():
    """One as large as a pixel is that pixel: 5 to 6 across, 2 to 3 down."""
    prompt = PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), box=(1.0, 1.0, 2.0, 2.0))
    drawn = alike(prompt, (9, 7), lambda count: np.tile(np.float32((5, 2)), (count, 1)))
    assert drawn.box == (5.0, 2.0, 6.0, 3.0)
