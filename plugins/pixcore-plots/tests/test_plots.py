"""Plots: what they count by hand, associations against statsmodels, drawing that keeps to a strict page."""

import json
import re
from dataclasses import replace
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_plots.drawing import Bar, along, bars, curves, svg_of
from pixcore_plots.every import every_plot, looked_at
from pixcore_plots.kept import Kept
from pixcore_plots.outcomes import OutcomeTally, association
from pixcore_plots.panels import estimate, key, small, whole
from pixcore_plots.plots import HEADER, OWN, Plot, Plots, Series, table
from pixcore_plots.strata import groups
from pixcore_plots.svg import compact, dark_rules, legible
from pixcore_statistics.estimates import Estimate
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import proportion_confint

from pixcore import masks
from pixcore.figures.intervals import Cluster
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import score_sample
from pixcore.records import (
    Candidate,
    Fidelity,
    Image,
    Protocol,
    ProtocolResult,
    Response,
    Sample,
    SampleResult,
    Selection,
    Verdict,
)

ROWS = (
    RowSpec("oracle", uses_ground_truth=True),
    RowSpec("scored", "<scored> & told"),
    RowSpec("random points, scored pick", control_of="scored", pool="random points", uses_ground_truth=False),
)
WIDE, HIGH = 20, 10


def columns(count: int) -> masks.RLE:
    mask = np.zeros((HIGH, WIDE), bool)
    mask[:, :count] = True
    return masks.encode(mask)


def sample_of(number: int, size: int, fit: int, score: float | None, right: bool, choice: str = "") -> SampleResult:
    """One sample: an object of so many columns, a mask of others, and a control's mask of one column."""
    sample = Sample(
        str(number),
        Image(lambda: b"", f"{number}.png", (WIDE, HIGH)),
        "?",
        ("a", "b"),
        0,
        expression="the box",
        mask=columns(size),
        pair=str(number // 2),
    )
    own = tuple(Candidate(None, None, (columns(fit),), (0.5,)) for _ in range(1 + number % 3))
    made = {"absent": Selection.absent(score=score), "nothing": Selection.nothing()}
    chosen = made.get(choice) or Selection.chosen(0, 0, score=score)
    selections = {
        "oracle": Selection.chosen(0, 0),
        "scored": chosen,
        "random points, scored pick": Selection.chosen(0, 0, score=0.5),
    }
    control = {"random points": tuple(Candidate(None, None, (columns(1),), (0.5,)) for _ in own)}
    outcomes = {
        Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "", Response("x"), own, control, selections),
        Protocol.LETTER: ProtocolResult(Protocol.LETTER, "", Response("A"), graded=True, verdict=Verdict(right)),
    }
    return score_sample(sample, outcomes, ROWS)


def plots_of(*results: SampleResult, rows: tuple[RowSpec, ...] = ROWS) -> dict[str, Plot]:
    return {plot.name: plot for plot in made(*results, rows=rows).plots}


def made(*results: SampleResult, rows: tuple[RowSpec, ...] = ROWS) -> Plots:
    kept = Kept(rows, Fidelity.CORRECTED, Protocol.SEGMENT)
    for result in results:
        kept.add(result)
    return every_plot(kept)


def some(count: int = 40) -> list[SampleResult]:
    rng = np.random.default_rng(0)
    return [
        sample_of(
            number,
            0 if number % 4 == 0 else int(rng.integers(2, 12)),
            int(rng.integers(1, 12)),
            float(np.round(rng.random(), 1)),
            bool(rng.random() < 0.6),
        )
        for number in range(count)
    ]


def own(plot: Plot, row: str = "scored") -> Series:
    (panel,) = [panel for panel in plot.panels if panel.row == row]
    return panel.series[0]


def test_success_is_the_share_above_each_threshold_with_wilsons_interval() -> None:
    results = [sample_of(2 * number, 10, fit, 0.5, True) for number, fit in enumerate((10, 9, 7, 5, 4, 1))]
    series = own(plots_of(*results)["success"])
    ious = np.array([1, 0.9, 0.7, 0.5, 0.4, 0.1])
    for at, point in zip(series.x, series.points, strict=True):
        assert point.value == pytest.approx(100 * np.mean(ious > at))
    assert series.numbers["Pr@.5"].value == pytest.approx(50)  # .5 itself is not above
    low, high = proportion_confint(3, 6, method="wilson")
    assert series.numbers["Pr@.6"][1:] == pytest.approx((100 * low, 100 * high))
    assert np.mean([point.value for point in series.points]) == pytest.approx(100 * ious.mean(), abs=2)


def test_every_series_says_what_it_counts_and_leaves_out() -> None:
    results = some()
    for plot in plots_of(*results).values():
        for panel in plot.panels:
            for series in panel.series:
                assert series.samples + sum(series.left_out.values()) == len(results), plot.name
                assert len(series.x) == len(series.points) == len(series.counts)
            if panel.row == "scored":
                assert [series.name for series in panel.series] == [OWN, "random points"], plot.name
    assert own(plots_of(*results)["success"]).left_out == {"absent": 10}


def test_iou_by_size_and_by_candidates_is_the_mean_of_each_group() -> None:
    results = some(160)
    plots = plots_of(*results)
    there = [result for result in results if not result.sample.absent]
    iou = np.array([result.by_probing["segment"].scores["scored"].iou for result in there])
    sizes = np.array([masks.area(result.sample.mask) for result in there if result.sample.mask is not None])
    series = own(plots["size"])
    group = groups(sizes / (WIDE * HIGH))
    assert [point.value for point in series.points] == pytest.approx(
        [100 * iou[group == place].mean() for place in range(len(series.x))]
    )
    assert sum(series.counts) == len(there)
    number = np.array([len(result.by_probing["segment"].candidates) for result in there])
    assert plots["candidates"].categories == ("1", "2", "3")
    assert [point.value for point in own(plots["candidates"]).points] == pytest.approx(
        [100 * iou[number == one].mean() for one in (1, 2, 3)]
    )


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=80))
def test_groups_keep_equals_together_and_the_order(values: list[int]) -> None:
    found = groups(np.array(values, float))
    assert sorted(set(found)) == list(range(max(found) + 1))
    for one, other, near, far in zip(values, values[1:], found, found[1:], strict=False):
        assert (one == other) <= (near == far)
        assert (one < other) <= (near <= far)


@pytest.mark.parametrize(
    ("values", "sizes"), [([*range(50)], [10] * 5), ([1] * 5 + [2] * 45, [50]), ([2] * 45 + [3] * 5, [50])]
)
def test_groups_have_at_least_as_many_as_an_interval_needs(values: list[int], sizes: list[int]) -> None:
    assert np.bincount(groups(np.array(values, float))).tolist() == sizes


def test_an_object_that_covers_the_image_covers_a_hundred_percent() -> None:
    results = [sample_of(number, WIDE if number < 12 else 3, 3, 0.5, right=True) for number in range(24)]
    assert plots_of(*results)["size"].categories == ("15–15", "100–100")


def test_an_answer_that_nobody_graded_is_told_as_left_out() -> None:
    """The series' samples and those left out add up to all."""
    results = [
        replace(one, by_probing={name: outcome for name, outcome in one.by_probing.items() if keep or name != "letter"})
        for number, one in enumerate(some(40))
        for keep in [number >= 14]
    ]
    for name in ("odds", "both"):
        series = own(plots_of(*results)[name])
        assert series.samples == 26
        assert series.left_out == {"without a graded answer": 14}


def test_a_sample_that_failed_is_left_out_where_candidates_are_counted_for_having_none() -> None:
    results = some(40)
    for number in (1, 2):
        outcome = replace(results[number].by_probing["segment"], response=None, candidates=(), error="broke", scores={})
        results[number] = score_sample(results[number].sample, {"segment": replace(outcome, selections={})}, ROWS)
    plots = plots_of(*results)
    assert own(plots["success"]).samples == 30  # it counts there, as 0
    assert own(plots["candidates"]).left_out == {"absent": 10, "without candidates": 2}


def test_a_control_is_drawn_as_the_legend_has_it_whichever_others_a_row_has() -> None:
    """Two strategies of a predictions file with a control each, by names of their own."""
    rows = (
        RowSpec("one"),
        RowSpec("two"),
        RowSpec("one's control", control_of="one", pool="a"),
        RowSpec("two's control", control_of="two", pool="b"),
    )
    results = []
    for number, result in enumerate(some(40)):
        outcome = result.by_probing["segment"]
        chosen = Selection.chosen(0, 0, score=0.1 * (number % 9))
        controls = dict.fromkeys("ab", outcome.controls["random points"])
        asked = replace(outcome, controls=controls, selections={row.key: chosen for row in rows}, scores={})
        results.append(score_sample(result.sample, {"segment": asked}, rows))
    plot = plots_of(*results, rows=rows)["success"]
    assert dict(key(plot)) == {OWN: 0, "a": 1, "b": 2}
    drawn = [re.findall(r'stroke-dasharray="([^"]+)"', small(plot, panel)) for panel in plot.panels]
    assert all(drawn)
    assert drawn[0] != drawn[1]


def test_at_a_coverage_as_many_are_counted_as_are_kept() -> None:
    results = [sample_of(number, 3, 1 + number % 5, 0.01 * number, right=True) for number in range(100)]
    series = own(plots_of(*results)["risk"])
    assert series.counts == tuple(range(2, 101, 2))


def test_numbers_that_round_to_nothing_have_no_sign() -> None:
    assert estimate(Estimate(-0.004, -0.5, 0.3)) == "0.00 (-0.50 to 0.30)"
    assert estimate(Estimate(-0.004, -3.0, 2.0)) == "0.0 (-3.0 to 2.0)"


def test_absence_is_what_scikit_learn_says_of_the_score() -> None:
    results = some(80)
    plot = plots_of(*results)["absence"]
    absent = np.array([result.sample.absent for result in results])
    scores = np.array([result.by_probing["segment"].selections["scored"].score for result in results])
    series = own(plot)
    assert series.numbers["area"].value == pytest.approx(roc_auc_score(absent, -scores))
    assert (series.samples, series.clusters) == (80, 40)
    assert plot.missing == {"oracle": "it picks with the ground truth in hand"}


def test_what_was_called_absent_looks_most_absent_and_nothing_least() -> None:
    told = [
        sample_of(0, 0, 1, None, True, "absent"),
        sample_of(1, 5, 5, 0.4, True),
        sample_of(2, 5, 5, None, True, "nothing"),
    ]
    series = own(plots_of(*told)["absence"])
    assert series.numbers["area"].value == 1.0
    assert [tuple(mark) for mark in series.marks] == [("as decided", 0.0, 100.0)]


def test_risk_at_full_coverage_is_what_mean_iou_lacks() -> None:
    results = some(80)
    iou = [result.by_probing["segment"].scores["scored"].iou for result in results if not result.sample.absent]
    series = own(plots_of(*results)["risk"])
    assert series.points[-1].value == pytest.approx(100 - 100 * np.mean(np.array(iou, float)))
    assert series.numbers["of no order"].value == pytest.approx(series.points[-1].value)
    assert series.numbers["of the best order"].value <= series.numbers["AURC"].value


def test_where_there_is_nothing_to_show_a_plot_says_why() -> None:
    present = [sample_of(number, 5, 5, 0.5, True) for number in range(4)]
    assert plots_of(*present)["absence"].why_empty == "no object is absent: there is nothing to detect"
    assert plots_of(*present)["candidates"].panels
    alone = plots_of(*present, rows=(RowSpec("oracle", uses_ground_truth=True),))
    assert alone["risk"].why_empty == "no strategy has a score"
    assert [len(panel.series) for panel in alone["success"].panels] == [1]
    for plot in plots_of().values():
        assert plot.why_empty
        assert not plot.panels


def test_all_that_is_shown_is_json_and_lines_of_a_table() -> None:
    plots = made(*some())
    json.dumps(plots.document(), allow_nan=False)
    for plot in plots.plots:
        lines = list(table(plot))
        assert all(len(line) == len(HEADER) for line in lines)
        assert {line[0] for line in lines} == {panel.row for panel in plot.panels}


@pytest.mark.parametrize("count", [1, 3, 40])
def test_pictures_keep_to_a_strict_page_and_are_told_in_words(count: int) -> None:
    plots = made(*some(count))
    for plot in plots.plots:
        for panel in plot.panels:
            picture = small(plot, panel)
            root = ElementTree.fromstring(picture)
            assert root.get("role") == "img"
            assert root.get("aria-label") == f"{plot.title}: {panel.label}"
            assert (root[0].tag, root[1].tag) == ("title", "desc")
            assert f"n = {panel.series[0].samples}" in (root[1].text or "")
            assert not re.search(r"<style|<script|style=|\shttp|nan", picture)
            assert len(picture) < 9000
        if plot.panels and count == 40:
            file = ElementTree.fromstring(whole(plots, plot))
            assert "prefers-color-scheme: dark" in (file.find("{http://www.w3.org/2000/svg}style").text or "")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name", ["a $x$ and $\\frac$", "中文 🙂", "\x07bell \ud83d half", "_hidden", '"</desc><script>']
)
def test_names_of_others_are_shown_as_they_are(name: str, recwarn: pytest.WarningsRecorder) -> None:
    rows = (RowSpec("scored", name), RowSpec("random points, scored pick", control_of="scored", pool=name))
    results = [
        replace(
            result,
            by_probing={
                key: replace(one, controls={name: one.controls["random points"]} if one.controls else {})
                for key, one in result.by_probing.items()
            },
        )
        for result in some(12)
    ]
    plots = made(*results, rows=rows)
    plot = plots.plots[0]
    for picture in (small(plot, plot.panels[0]), whole(plots, plot)):
        root = ElementTree.fromstring(picture)
        assert legible(name) in " ".join(root.itertext())
        assert "<script" not in picture
    assert f"{legible(name)} (control)" in " ".join(root.itertext())
    assert not [one for one in recwarn if "Glyph" in str(one.message)]


def test_long_names_without_spaces_are_cut_and_not_lost() -> None:
    """Under a panel's title, and beside the rows of answers and masks."""
    results = [
        replace(one, by_probing={"segment": one.by_probing["segment"], "describe_the_scene": one.by_probing["letter"]})
        for one in some()
    ]
    plots = made(*results, rows=(RowSpec("scored", "one_strategy_" * 5),))
    (odds,) = [plot for plot in plots.plots if plot.name == "odds"]
    assert odds.categories == ("describe_the_scene",)
    for picture in (small(odds, odds.panels[0]), whole(plots, odds)):
        assert ">describe_th…<" in picture
    assert f">{('one_strategy_' * 5)[:39]}…<" in whole(plots, odds)


@pytest.mark.parametrize("name", ["_hidden", "\x07bell \ud83d half"])
@pytest.mark.parametrize("kind", ["bars", "curves", "along"])
def test_every_name_stands_in_the_legend(name: str, kind: str) -> None:
    values = [Estimate(1.0), Estimate(2.0)]
    line = NamedLine(name, (1, 2), values)
    figure = {
        "bars": lambda: bars("", ["a", "b"], {name: Bar(values), "other": Bar(values)}, x="x", y="y"),
        "curves": lambda: curves("", {"model": [line]}, x="x", y="y"),
        "along": lambda: along("", [line], x="x", y="y"),
    }[kind]()
    root = ElementTree.fromstring(compact(svg_of(figure), "title", "description"))
    assert legible(name) in list(root.itertext())


def test_outer_names_without_a_bar_stand_under_their_axis() -> None:
    nothing = Estimate(float("nan"))
    figure = bars("", list("abcd"), {"model": Bar([nothing, Estimate(1.0), Estimate(2.0), nothing])}, x="x", y="y")
    low, high = figure.axes[0].get_xlim()
    assert low < 0
    assert high > 3


class NamedLine(NamedTuple):
    name: str
    n: tuple[int, ...]
    points: list[Estimate]


def test_a_series_without_points_takes_no_room_from_the_panels() -> None:
    plots = made(*some())
    (odds,) = [plot for plot in plots.plots if plot.name == "odds"]
    assert [one.x for panel in odds.panels for one in panel.series] == [(0.0,), (0.0,), ()]
    picture = whole(plots, odds)
    ends = [
        [float(x) for x in re.findall(rf' x="([-0-9.]+)" [^>]*>{tick}</text>', picture)] for tick in (r"0\.1", "10")
    ]
    decades = [right - left for left, right in zip(*ends, strict=True)]
    assert len(decades) == len(odds.panels)
    assert min(decades) > 100, "from 0.1 to 10, of a picture of 475 pixels"


def test_every_colour_of_a_picture_has_one_for_the_dark() -> None:
    (plot,) = [plot for plot in made(*some()).plots if plot.name == "risk"]
    used = set(re.findall(r"\bk\d+[fs]\b", small(plot, plot.panels[0])))
    assert used
    assert used <= set(re.findall(r"\.(k\d+[fs])", dark_rules()))
    coloured = re.findall(r'<\w+ [^>]*(?:stroke|fill)="#[^>]*>', small(plot, plot.panels[0]))
    assert all("class=" in element for element in coloured)


def test_masks_under_the_probing_that_asks_for_the_object() -> None:
    assert looked_at(["letter", "question", "segment"]) == "segment"
    assert looked_at(["letter", "question"]) == "question"
    assert looked_at(["describe"]) == "describe"
    assert looked_at([]) == "segment"


def test_half_a_pair_is_no_outcome_of_a_pair() -> None:
    tally = OutcomeTally()
    for name, paired in (("a", True), ("a", True), ("b", True), ("c", False)):
        tally.add(Cluster(name, pair=paired), {"question": True}, True)
    found = tally.finish(None)
    assert found is not None
    assert found.units == (2, 0, 0, 0)
    assert sum(found.of_samples.samples) == 4


def test_outcomes_are_of_one_probing() -> None:
    tally = OutcomeTally()
    pair = Cluster("a", pair=True)
    tally.add(pair, {"question": True, "letter": False}, True)
    tally.add(pair, {"question": False, "letter": True}, True)
    for answers in ("question", "letter"):  # each has one of two right, so neither has the pair
        found = tally.finish(answers)
        assert found is not None
        assert (found.units, found.of_samples.samples) == ((0, 0, 1, 0), (1, 0, 1, 0))
        assert found.of_samples.independent == 0.5
        assert np.isnan(found.of_samples.odds_ratio.value)  # all objects were found
    first = tally.finish(None)
    assert first is not None
    assert first.answers == "question"


def answered(counts: list[int], each: int = 1) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Samples that came out each way so often, each of them `each` times in a cluster of its own."""
    ways = np.repeat(np.array([(1, 1), (1, 0), (0, 1), (0, 0)]), counts, axis=0)
    clusters = np.repeat(np.arange(len(ways)), each)
    return clusters.tolist(), np.repeat(ways[:, 0], each), np.repeat(ways[:, 1], each)


@settings(deadline=None, max_examples=30)
@given(counts=st.lists(st.integers(5, 40), min_size=4, max_size=4))
def test_the_odds_ratio_is_that_of_statsmodels(counts: list[int]) -> None:
    found = association(*answered(counts))
    assert found is not None
    square = np.array(counts, dtype=float).reshape(2, 2)
    known = Table2x2(square + 0.5)
    assert found.odds_ratio.value == pytest.approx(known.oddsratio)
    assert found.independent * sum(counts) == pytest.approx(Table2x2(square).fittedvalues[0, 0])
    assert found.both[1:] == pytest.approx(proportion_confint(counts[0], sum(counts), method="wilson"))
    low, high = known.oddsratio_confint()
    assert found.odds_ratio.low is not None
    assert found.odds_ratio.high is not None
    assert found.odds_ratio.low <= low + 1e-9  # t, and what leaving out says, are a little wider than Woolf's
    assert found.odds_ratio.high >= high - 1e-9
    assert np.log(found.odds_ratio.high / found.odds_ratio.low) == pytest.approx(np.log(high / low), rel=0.2)


def test_clusters_that_say_the_same_count_once() -> None:
    counts = [30, 12, 11, 15]
    once, trebled = association(*answered(counts)), association(*answered(counts, each=3))
    assert once is not None
    assert trebled is not None
    assert trebled.excess[1:] == pytest.approx(once.excess[1:])
    assert trebled.odds_ratio[1:] == pytest.approx(once.odds_ratio[1:], rel=0.1)


@pytest.mark.parametrize(
    ("counts", "interval"), [([30, 9, 0, 0], False), ([90, 5, 4, 0], False), ([20, 0, 10, 10], True)]
)
def test_no_interval_of_odds_where_none_is_honest(counts: list[int], interval: bool) -> None:
    found = association(*answered(counts))
    assert found is not None
    assert (found.odds_ratio.low is not None) is interval
    assert found.excess.low is None  # one way never came out
