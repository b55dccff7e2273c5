"""Emergence: best-of-N against enumeration, places and ties by hand, concepts by rule and by a judge's letters."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage
from pixcore_datasets.tables import read_table
from pixcore_emergence.command import _judged, _layers, _print
from pixcore_emergence.command import emergence as command
from pixcore_emergence.concepts import Concept, agreement, agreement_told, judge_prompt, read_letters
from pixcore_emergence.curves import Curves
from pixcore_emergence.drawings import Drawing, drawings
from pixcore_emergence.emergence import Emergence, EmergenceTally
from pixcore_emergence.layers import _of_control
from pixcore_emergence.looks import CONCEPTS, Look, Looks, Phrase, shares_word
from pixcore_emergence.page import _write_csv, document
from pixcore_emergence.regression import effects, regress
from pixcore_emergence.rules import classify
from pixcore_statistics.best_of import expected_best
from pixcore_statistics.estimates import means
from pixcore_statistics.proportions import wilson
from pixcore_statistics.rows_in_file import RowsInFile, summed_blocks
from scipy import stats

from pixcore import masks
from pixcore.errors import DataError
from pixcore.figures.intervals import Cluster
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import score_sample
from pixcore.files import json_text
from pixcore.records import (
    Candidate,
    Image,
    Protocol,
    ProtocolResult,
    Response,
    Sample,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)
from pixcore.terminal import Console

ORACLE = RowSpec("oracle", uses_ground_truth=True)
SIZE = (10, 10)


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=7), size=st.integers(1, 8))
def test_best_of_n_is_the_mean_over_all_draws(values: list[float], size: int) -> None:
    (found,) = expected_best(np.array(values), [size])
    if size > len(values):
        assert np.isnan(found)
        return
    assert found == pytest.approx(np.mean([max(drawn) for drawn in combinations(values, size)]))


def columns(count: int) -> masks.RLE:
    mask = np.zeros((10, 10), bool)
    mask[:, :count] = True
    return masks.encode(mask)


def candidate(phrase: str, start: int, *fits: int, tokens: tuple[int, ...] = ()) -> Candidate:
    group = TokenGroup(tokens, phrase, start, start + len(phrase))
    return Candidate(group, None, tuple(columns(fit) for fit in fits), (0.5,) * len(fits))


TEXT = "The red roof of a house stands on the left side of it."
TOKENS = tuple(Token(i, TEXT[i : i + 1], i, i + 1) for i in range(len(TEXT)))


def emergence(*candidates: Candidate, control: tuple[Candidate, ...] = (), **sample: Any) -> Emergence:
    facts = {"expression": "the roof", **sample}
    one = Sample("1", Image(lambda: b"", "none", SIZE), "?", ("a", "b"), 0, **facts)
    chosen = {"oracle": Selection.chosen(0, 0)} if candidates else {"oracle": Selection.nothing()}
    drawn = {"random points": control} if control else {}
    outcomes = {
        Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "", Response(TEXT, TOKENS), candidates, drawn, chosen),
        Protocol.LETTER: ProtocolResult(Protocol.LETTER, "", Response("A"), graded=True, verdict=Verdict(True)),
    }
    tally = EmergenceTally("m", row=ORACLE)
    tally.add(score_sample(one, outcomes, [ORACLE]))
    return tally.finish()


def test_the_best_phrase_its_place_and_its_concept() -> None:
    found = emergence(
        candidate("The red roof", 0, 3, 4, tokens=(0, 1, 2)),
        candidate("the left side", 34, 9, 10, tokens=(34, 35)),
        mask=columns(10),
    )
    (best,) = found.best
    phrase = best.phrase
    assert (phrase.text, phrase.concept, phrase.iou, best.masks) == ("the left side", Concept.LOCATION, 1.0, 4)
    assert phrase.place == pytest.approx(100 * 34 / len(TEXT))
    assert phrase.token == pytest.approx(100 * 34 / len(TEXT))
    assert not best.names_object
    assert shares(found, "own candidates") == [0, 0, 0, 0, 0, 0, 100, 0, 0, 0]
    assert found.concepts()[0].values[CONCEPTS.index(Concept.LOCATION)].value == 100
    assert found.published_places().tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert found.outcomes is not None
    assert (found.outcomes.answers, found.outcomes.units) == ("letter", (0, 1, 0, 0))


@pytest.mark.parametrize("unnamed", [0, 1])
def test_outcomes_of_pairs_are_of_those_that_count_in_full(unnamed: int) -> None:
    """Three samples that count together, as in A: where one names no object, nobody can say whether it is found."""
    tally = EmergenceTally("m", row=ORACLE)
    for number in range(3):
        image = Image(lambda: b"", "none", SIZE)
        name = "the roof" if number >= unnamed else None
        one = Sample(str(number), image, "?", ("a", "b"), 0, name, columns(10), pair="pair")
        found, chosen = (candidate("The red roof", 0, 10),), {"oracle": Selection.chosen(0, 0)}
        outcomes = {
            Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "", Response(TEXT, TOKENS), found, {}, chosen),
            Protocol.LETTER: ProtocolResult(Protocol.LETTER, "", Response("A"), graded=True, verdict=Verdict(True)),
        }
        tally.add(score_sample(one, outcomes, [ORACLE]))
    outcomes_found = tally.finish().outcomes
    assert outcomes_found is not None
    assert outcomes_found.units == (1 - unnamed, 0, 0, 0)
    assert outcomes_found.of_samples.samples == (3 - unnamed, 0, 0, 0)


def test_phrases_as_good_as_the_best_share_the_sample() -> None:
    found = emergence(candidate("The red roof", 0, 10), candidate("it", len(TEXT) - 3, 10), mask=columns(10))
    assert found.published_places().tolist() == [1] + [0] * 9
    assert shares(found, "own candidates") == [50] + [0] * 8 + [50]
    assert sum(share.value for share in found.concepts()[0].values) == pytest.approx(100)


def test_places_stand_beside_the_control_and_all_phrases() -> None:
    roof, side = "The red roof", "the left side"
    found = emergence(
        candidate(roof, 0, 10),
        candidate(side, 34, 1),
        control=(candidate(side, 34, 8), candidate(roof, 0, 2)),
        mask=columns(10),
    )
    assert shares(found, "own candidates") == [100] + [0] * 9
    assert shares(found, "matched control") == [0] * 6 + [100, 0, 0, 0]
    assert shares(found, "all phrases, own candidates") == [50] + [0] * 5 + [50, 0, 0, 0]
    assert [spread.samples for spread in found.places()] == [1, 1, 1]


def test_a_phrase_that_stands_nowhere_in_the_text_is_not_at_its_beginning() -> None:
    unsaid = Candidate(TokenGroup((), "the roof", 0, 0), None, (columns(10),), (0.5,))
    found = emergence(unsaid, candidate("the left side", 34, 8), mask=columns(10))
    (best,) = found.best
    assert best.phrase.text == "the left side"
    assert shares(found, "own candidates") == [0] * 6 + [100, 0, 0, 0]
    assert emergence(unsaid, mask=columns(10)).left_out == 1


def test_a_phrase_that_fits_nothing_counts_only_as_published() -> None:
    found = emergence(candidate("The red roof", 0, 4), mask=columns(10))
    assert found.found() == 0
    assert found.places() == []
    assert found.published_places().sum() == 1
    assert found.iou_by_place()[0].values[0].value == pytest.approx(40)


def test_a_tenth_that_one_find_of_twelve_stands_in_has_wilsons_interval_and_an_empty_one_too() -> None:
    tally = EmergenceTally("m", row=ORACLE)
    for number in range(12):
        one = Sample(
            str(number),
            Image(lambda: b"", str(number), SIZE),
            None,
            (),
            None,
            "the roof",
            columns(10),
            pair=f"{number}",
        )
        found = (candidate("the left side", 34, 10) if number == 0 else candidate("The red roof", 0, 6 + number % 4),)
        outcome = ProtocolResult(
            Protocol.SEGMENT, "", Response(TEXT, TOKENS), found, {}, {"oracle": Selection.nothing()}
        )
        tally.add(score_sample(one, {Protocol.SEGMENT: outcome}, [ORACLE]))
    found = tally.finish()
    places = found.places()[0].values
    assert places[0][1:] == pytest.approx([100 - end for end in places[6][:0:-1]])
    size = 11 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 11)) ** 2
    assert places[6] == pytest.approx((100 / 12, *(100 * end for end in wilson(size / 12, size))))
    assert places[1] == pytest.approx((0, 0, 100 * wilson(0, 12)[1]))
    own = np.array([0.1 * (6 + number % 4) for number in range(1, 12)])
    fits = found.iou_by_place()[0].values[0]
    theirs = stats.t.interval(0.95, 10, own.mean(), stats.sem(own))
    assert fits == pytest.approx((100 * own.mean(), *(100 * end for end in theirs)))


def shares(found: Emergence, name: str) -> list[float]:
    (one,) = (spread for spread in found.places() if spread.name == name)
    return [share.value for share in one.values]


def test_the_curve_stands_beside_its_control() -> None:
    found = emergence(
        candidate("The red roof", 0, 10, 5), control=(candidate("The red roof", 0, 2, 4),), mask=columns(10)
    )
    own, control = found.curves
    assert (own.n, control.n) == ((1, 2), (1, 2))
    assert [point.value for point in own.points] == pytest.approx([75, 100])
    assert [point.value for point in control.points] == pytest.approx([30, 40])


def test_masks_that_are_the_same_count_once_where_distinct_ones_are_drawn() -> None:
    found = emergence(candidate("The red roof", 0, 10, 5, 5), candidate("it", 51, 5), mask=columns(10))
    (nominal,), (distinct,) = found.curves, found.distinct
    assert nominal.n == (1, 2, 3)
    assert nominal.points[0].value == pytest.approx(100 * (1 + 0.5 * 3) / 4)
    assert distinct.n == (1, 2)
    assert [point.value for point in distinct.points] == pytest.approx([75, 100])


def test_every_point_of_a_curve_is_over_the_same_samples() -> None:
    curves = Curves(seed=0)
    for index, count in enumerate([3, 3, 3, 1]):
        values = np.full(count, 0.2 if count == 3 else 1.0)  # the sample with one mask is the best
        curves.add(Cluster(str(index), pair=False), {"own": values, "control": values / 2})
    own, control = curves.finish()
    assert (own.n, own.samples, own.left_out) == ((1, 2, 3), 3, 1)
    assert [point.value for point in own.points] == pytest.approx([20, 20, 20])
    assert [point.value for point in control.points] == pytest.approx([10, 10, 10])


def test_intervals_are_over_clusters_and_none_is_given_for_few() -> None:
    values = np.repeat(np.arange(20.0), 3)[:, None]  # three samples of a pair say the same
    trebled = [Cluster(str(index // 3), pair=True) for index in range(60)]
    (over_clusters,) = means(trebled, values, seed=0)
    (over_one,) = means([Cluster(str(index), pair=False) for index in range(20)], values[::3], seed=0)
    assert over_clusters == pytest.approx(over_one)
    assert means(trebled[:27], values[:27], seed=0)[0][1:] == (None, None)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_regression_is_that_of_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 12, 60)
    terms = rng.normal(size=(60, 3)) + groups[:, None] / 5
    outcome = terms @ [1.0, -2.0, 0.0] + rng.normal(size=60) + groups
    found = regress(outcome, terms, [Cluster(str(group), pair=True) for group in groups])
    model = sm.OLS(outcome, sm.add_constant(terms)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True, "df_correction": True}, use_t=True
    )
    for estimate, value, (low, high) in zip(found, model.params[1:], model.conf_int()[1:], strict=True):
        assert estimate == pytest.approx((value, low, high))


def test_a_term_that_says_nothing_new_gets_no_coefficient() -> None:
    one = np.arange(20.0)
    terms = np.column_stack([one, np.ones(20), 2 * one])
    found = regress(3 * one, terms, [Cluster(str(index), pair=False) for index in range(20)])
    assert found[0] is not None
    assert found[0].value == pytest.approx(3)
    assert found[0][1:] == (None, None)  # what fits exactly leaves nothing to be sure by
    assert found[1:] == [None, None]


@pytest.mark.parametrize(("few", "told"), [(1, False), (9, False), (10, True), (20, True), (21, False), (29, False)])
def test_a_term_that_few_clusters_have_has_no_interval(few: int, told: bool) -> None:
    """Of one cluster in thirty, the interval holds the truth in three cases of ten."""
    groups = np.repeat(np.arange(30), 2)
    outcome = np.random.default_rng(0).normal(size=60)
    (found,) = regress(outcome, (groups < few)[:, None].astype(float), groups.tolist())
    assert found is not None
    assert (found.low is not None, found.high is not None) == (told, told)


def test_no_effects_are_told_of_a_handful_of_clusters() -> None:
    def looks(samples: int) -> Looks:
        found = Looks()
        for index in range(samples):
            shares = np.eye(10)[index % 10]
            phrase = Phrase("", 0.0, None, Concept.OBJECT, 0.5)
            concepts = np.eye(len(CONCEPTS))[index % 3]
            found.add(index, Look(phrase, 0.1 * (index % 9), 7.0 * index, shares, concepts, shares, concepts, 9, index))
        return found

    assert effects(looks(9), Looks()) == []
    assert effects(looks(10), Looks())


def test_a_sample_without_its_control_is_not_set_beside_another() -> None:
    """What lends to `other images` failed for one sample: its random points are no others' images."""
    tally = EmergenceTally("m", row=ORACLE, control="other images")
    for number in range(3):
        own, near, far = (candidate("The red roof", 0, fit) for fit in (10, 8, 2))
        controls = {"other images": (near,), "random points": (far,)}
        if number == 0:
            del controls["other images"]
        sample = Sample(str(number), Image(lambda: b"", str(number), SIZE), expression="it", mask=columns(10))
        asked = ProtocolResult(Protocol.SEGMENT, "", Response(TEXT, TOKENS), (own,), controls)
        tally.add(score_sample(sample, {Protocol.SEGMENT: asked}, []))
    found = tally.finish()
    assert (len(found.own), len(found.control)) == (3, 2)
    assert found.iou_by_place()[1].values[0].value == pytest.approx(80)
    assert [(curve.samples, curve.points[0].value) for curve in found.curves] == [
        (2, pytest.approx(100)),
        (2, pytest.approx(80)),
    ]


def test_a_layer_is_set_beside_the_matched_control_alone() -> None:
    near, far = ((np.array([fit]),) for fit in (0.8, 0.2))
    both = ProtocolResult(Protocol.SEGMENT, "", control_ious={"other images": near, "random points": far})
    lacking = ProtocolResult(Protocol.SEGMENT, "", control_ious={"random points": far})
    assert _of_control(both, "other images") == 0.8
    assert np.isnan(_of_control(lacking, "other images"))
    assert np.isnan(_of_control(lacking, None))


def test_what_nobody_can_say_is_null_in_json() -> None:
    found = emergence(candidate("The red roof", 0, 10), mask=columns(10))
    found.judged_by({"another": frozenset({Concept.PART})})
    assert found.agreement == {}
    text = json_text(document([found]))
    (model,) = json.loads(text, parse_constant=pytest.fail)["models"]
    assert model["outcomes"]["odds_ratio"] == [None, None, None]


def drawn(found: list[Emergence], layers: list[int] | None = None) -> dict[str, Drawing]:
    return {drawing.heading.name: drawing for drawing in drawings(found, layers)}


def test_a_judges_concepts_are_drawn_beside_the_rules() -> None:
    found = emergence(candidate("The red roof", 0, 10), mask=columns(10))
    assert found.judged_concepts() == []
    assert "concepts-judged" not in drawn([found])
    said = frozenset({Concept.APPEARANCE, Concept.OBJECT})
    found.judged_by({"1": said, "another": frozenset({Concept.STATE})})
    judge, rules = found.judged_concepts()
    assert {concept for concept, share in zip(CONCEPTS, judge.values, strict=True) if share.value == 50} == said
    assert rules.values[CONCEPTS.index(found.best[0].phrase.concept)].value == 100
    assert (judge.samples, rules.samples) == (1, 1)
    rows = drawn([found])["concepts-judged"].rows
    assert [candidates for _, candidates, *_ in rows] == [judge.name] * len(CONCEPTS) + [rules.name] * len(CONCEPTS)
    (model,) = document([found])["models"]
    assert model["judged_concepts"][0]["values"]["color and appearance"].value == 50


def test_a_judges_concepts_are_of_phrases_that_found_the_object() -> None:
    found = emergence(candidate("The red roof", 0, 3), mask=columns(10))
    found.judged_by({"1": frozenset({Concept.APPEARANCE, Concept.OBJECT})})
    assert found.judged_concepts() == []
    assert "concepts-judged" not in drawn([found])
    found.released = True  # whose script counts every sample, and each letter
    assert found.published_concepts().tolist() == [1, 0, 0, 0, 1, 0, 0]


def test_a_judges_letters_are_of_one_run(tmp_path: Path) -> None:
    """phrases.csv of two runs has other phrases of the same sample."""
    path = tmp_path / "letters.csv"
    path.write_text("model,sample_id,letters\none,1,a\ntwo,1,c\n")
    assert _judged(path, ["one", "two"]) == {
        "one": {"1": frozenset({Concept.APPEARANCE})},
        "two": {"1": frozenset({Concept.PART})},
    }
    with pytest.raises(DataError, match="twice"):
        _judged(path, ["one"])
    with pytest.raises(DataError, match="'two'"):
        _judged(path, ["one", "three"])
    path.write_text("sample_id,letters\n1,a\n")
    with pytest.raises(DataError, match="model"):
        _judged(path, ["one", "two"])
    assert _judged(path, ["one"]) == {"one": {"1": frozenset({Concept.APPEARANCE})}}


def test_curves_are_told_by_what_they_are_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Where all masks differ both curves are alike."""
    _print(Console(width=200), [emergence(candidate("The red roof", 0, 10, 5), mask=columns(10))])
    told = [line.split(",")[0].strip() for line in capsys.readouterr().out.splitlines() if "best of N" in line]
    assert told == ["best of N masks", "best of N distinct masks"]


def test_absent_and_unnamed_objects_are_not_looked_at() -> None:
    assert not emergence(candidate("x", 0, 1), mask=columns(0)).best
    assert not emergence(candidate("x", 0, 1), mask=columns(5), expression=None).best
    assert emergence(mask=columns(5)).left_out == 1


@pytest.mark.parametrize(
    ("phrase", "expression", "concept"),
    [
        ("the butterfly's wings", "the butterfly's wings", Concept.PART),
        ("A dog", "the dog", Concept.OBJECT),
        ("the dog's face", "the dog", Concept.PART),
        ("the left side", "the dog", Concept.LOCATION),
        ("the background", "the dog", Concept.CONTEXT),
        ("a red color", "the dog", Concept.APPEARANCE),
        ("the image", "the dog", Concept.CONTEXT),
        ("the grass", "the dog", Concept.CONTEXT),
        ("a sitting position", "the dog", Concept.STATE),
        ("the open one", "the door", Concept.STATE),
        ("the green one", "the door", Concept.APPEARANCE),
        ("a motion", "the dog", Concept.STATE),
        ("two people", "the dog", Concept.OBJECT),
        ("", "the dog", Concept.UNSURE),
    ],
)
def test_concepts_by_rule(phrase: str, expression: str, concept: Concept) -> None:
    assert classify(phrase, expression=expression) is concept


@pytest.mark.parametrize(
    ("answer", "letters"),
    [("(a), (c)", "ac"), ("e", "e"), ("B, F", "bf"), ("(d) Context or setting", "d"), ("none", ""), ("", "")],
)
def test_a_judges_letters(answer: str, letters: str) -> None:
    assert {concept.letter for concept in read_letters(answer)} == set(letters)


def test_agreement_of_rules_and_judge() -> None:
    part, place, thing = Concept.PART, Concept.LOCATION, Concept.OBJECT
    judged = [frozenset({part}), frozenset({thing, place}), frozenset({thing}), frozenset()]
    found = agreement([part, place, part, thing], judged)
    assert (found["share"], found["n"]) == (pytest.approx(2 / 3), 3)
    # by chance: a rule says part (2/3), location (1/3); a judgement holds part 1/3, location 1/3, object 2/3
    assert found["kappa"] == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))


def test_where_rules_and_judge_say_one_thing_alone_their_kappa_is_none() -> None:
    """They can't but agree, which says nothing; it was told as 1.00."""
    found = agreement([Concept.PART] * 3, [frozenset({Concept.PART})] * 3)
    assert found == {"share": 1, "kappa": None, "n": 3}
    assert agreement_told(found) == "100 %"


@pytest.mark.parametrize("named", [1, 2])
def test_rules_and_judge_that_know_nothing_agree_by_chance_alone(named: int) -> None:
    rng = np.random.default_rng(0)
    rules = [CONCEPTS[index] for index in rng.integers(0, 6, 20_000)]
    judged = [frozenset(CONCEPTS[index] for index in rng.choice(6, named, replace=False)) for _ in rules]
    assert agreement(rules, judged)["kappa"] == pytest.approx(0, abs=0.02)


def test_the_judges_prompt_is_the_papers() -> None:
    prompt = judge_prompt("the dog", "A text.")
    assert prompt.startswith(
        "Can you classify the following noun phrase belongs to which of these 6 concepts: (a) Color"
    )
    assert prompt.endswith("correponding full context.: 'the dog', 'A text.'. ")


def test_whether_a_phrase_names_the_object() -> None:
    assert shares_word("The butterfly's open wings", "the butterfly's wings")
    assert shares_word("Wings.", "the wings")
    assert not shares_word("the left side", "the wings")
    assert not shares_word("the car", "the cat")


def test_looks_and_curves_of_many_samples_add_up_as_arrays_do() -> None:
    rng = np.random.default_rng(0)
    clusters, values = rng.integers(0, 700, 5000), rng.random((5000, 3))
    rows = RowsInFile(3)
    for cluster, row in zip(clusters.tolist(), values.tolist(), strict=True):
        rows.add(cluster, *row)
    firsts = list(dict.fromkeys(clusters.tolist()))
    summed = summed_blocks(rows.blocks(), 700)
    assert summed == pytest.approx(np.array([values[clusters == one].sum(axis=0) for one in firsts]))
    curves = Curves(seed=0)
    for index, row in enumerate(values):
        ious = {"own": row} | ({"late": row[:2]} if index > 4000 else {})
        curves.add(Cluster(str(clusters[index]), pair=True), ious)
    assert curves.finish() == ()  # most samples have nothing under one of the names
    curves = Curves(seed=0)
    for index, row in enumerate(values):
        curves.add(Cluster(str(clusters[index]), pair=True), {"own": row})
    (own,) = curves.finish()
    assert [point.value for point in own.points][::2] == pytest.approx(
        [100 * values.mean(), 100 * values.max(1).mean()]
    )


def test_a_layer_of_which_nothing_was_measured_leaves_a_gap() -> None:
    found = [emergence(candidate("The red roof", 0, 10), mask=columns(10)), emergence(mask=columns(10))]
    found[1].model = "another"
    assert drawn(found, [3, 7])["layers"].rows == [["3", 100.0], ["7", None]]


@pytest.mark.parametrize("damaged", ["mean", {"layers": ["last"]}, {"layers": 3}, [1]])
def test_a_damaged_extractor_has_no_layer(damaged: Any, tmp_path: Path) -> None:
    for name, extractor in (("one", {"layers": [3]}), ("two", damaged)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"config": {"extractor": extractor}}))
    assert _layers([tmp_path / "one", tmp_path / "two"]) is None


def test_a_phrase_that_holds_a_carriage_return_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "phrases.csv"
    _write_csv(path, ["sample_id", "phrase"], [["1", "a\rroof"], ["2", "a\r\nwall"]])
    assert [row["phrase"] for row in read_table(path, ("sample_id", "phrase"))] == ["a\rroof", "a\r\nwall"]


def test_runs_of_different_benchmarks_are_refused(tmp_path: Path) -> None:
    """The page and its figures name one benchmark."""
    for package in ("pixcore_mini_world", "pixcore_folder"):
        pytest.importorskip(package)
    (tmp_path / "mine" / "images").mkdir(parents=True)
    PILImage.new("RGB", (8, 8)).save(tmp_path / "mine" / "images" / "a.png")
    (tmp_path / "mine" / "samples.csv").write_text("id,image,expression\na,a.png,the roof\n")
    mine, world = {"name": "folder", "root": str(tmp_path / "mine")}, {"name": "mini-world"}
    for name, benchmark, sample in (("one", world, "test-0-0000a"), ("other", mine, "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"config": {"benchmark": benchmark}}))
        line = {"sample_id": sample, "protocol": "segment", "text": "", "mask": None}
        (tmp_path / name / "predictions.jsonl").write_text(json.dumps(line))
    with pytest.raises(DataError, match=r"different benchmarks \(one: mini-world, other: folder\)"):
        command.main([str(tmp_path / "one"), str(tmp_path / "other")], standalone_mode=False)


def test_one_find_of_twelve_is_drawn_and_written_without_an_interval_of_what_goes_with_it(tmp_path: Path) -> None:
    pytest.importorskip("pixcore_folder")
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    lines, rows = [], ["image,expression"]
    for number in range(12):
        PILImage.new("RGB", (10, 10), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
        PILImage.fromarray(np.repeat([[255] * 5 + [0] * 5], 10, axis=0).astype(np.uint8)).save(
            tmp_path / "masks" / f"{number}.png"
        )
        rows.append(f"{number}.png,the roof")
        fits = {"phrase": TEXT[number : number + 4], "start": number, "end": number + 4}
        own, lent = ({**fits, "masks": [dict(columns(fit))]} for fit in (5 if number == 0 else 1, 1))
        control = {"name": "random", "candidates": [lent]}
        line = {"sample_id": str(number), "protocol": "segment", "text": TEXT}
        lines.append(json.dumps({**line, "candidates": [own], "control": control}) + "\n")
    (tmp_path / "samples.csv").write_text("\n".join(rows))
    (tmp_path / "p.jsonl").write_text("".join(lines))
    where = ["--benchmark", "folder", "--root", str(tmp_path), "--output", str(tmp_path / "out")]
    command.main([str(tmp_path / "p.jsonl"), *where], standalone_mode=False)
    terms = read_table(tmp_path / "out" / "regression.csv", ("term",))
    success = next(row for row in terms if (row["outcome"], row["term"]) == ("place", "success"))
    assert (success["coefficient"] != "", success["low"], success["high"]) == (True, "", "")
    shares = read_table(tmp_path / "out" / "iou-by-place.csv", ("candidates",))
    assert [row["value"] for row in shares[8:10]] == ["", ""]  # nothing stands there: no number, and not "nan"
    assert '<section id="regression">' in (tmp_path / "out" / "emergence.html").read_text()


def test_a_file_has_its_first_control_beside_it_also_where_the_first_sample_lacks_that(tmp_path: Path) -> None:
    """The matched control is the table's: what the first sample happens to have is another one."""
    pytest.importorskip("pixcore_folder")
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        PILImage.new("RGB", (10, 10)).save(tmp_path / "images" / f"{name}.png")
        PILImage.new("L", (10, 10), 255).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "samples.csv").write_text("image,expression\na.png,the roof\nb.png,the roof\n")

    def line(sample: str, **controls: int) -> str:
        def found(fit: int) -> list[dict[str, Any]]:
            return [{"phrase": "The red roof", "start": 0, "end": 12, "masks": [dict(columns(fit))]}]

        chosen = {"candidate": 0, "mask": 0}
        lent = [
            {
                "name": name,
                "candidates": found(fit),
                "choices": {f"{name} pick": chosen},
                "of": {f"{name} pick": "mine"},
            }
            for name, fit in controls.items()
        ]
        return json.dumps(
            {"sample_id": sample, "protocol": "segment", "text": TEXT, "candidates": found(10), "control": lent}
            | {"choices": {"mine": chosen}}
        )

    (tmp_path / "p.jsonl").write_text("\n".join([line("b", lent=9, random=2), line("a", random=3)]))
    where = ["--benchmark", "folder", "--root", str(tmp_path), "--json", str(tmp_path / "found.json")]
    command.main([str(tmp_path / "p.jsonl"), *where, "--output", str(tmp_path / "out")], standalone_mode=False)
    (found,) = json.loads((tmp_path / "found.json").read_text())["models"]
    control = next(one for one in found["curves"] if one["candidates"] == "matched control")
    assert (control["samples"], control["points"][0][0]) == (1, pytest.approx(90))
