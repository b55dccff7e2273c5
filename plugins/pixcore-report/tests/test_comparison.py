"""Paired comparisons against closed forms and planted differences."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from pixcore_report.compare import Agreed
from pixcore_report.comparison import (
    Side,
    agreements,
    asked_alike,
    comparable,
    compare,
    counted_as_wrong,
    spreads,
    told,
)

from pixcore import masks
from pixcore.errors import ConfigError, DataError
from pixcore.figures.rows import OWN_MASKS, RowSpec
from pixcore.figures.scores import score_sample
from pixcore.predictions.format import NO_PREDICTION
from pixcore.records import (
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

ROW = RowSpec(OWN_MASKS, own_masks=True)
SIZE = (10, 10)


def runs(right: np.ndarray, cut: np.ndarray, *, skip: int = -1) -> Iterator[SampleResult]:
    """Samples in pairs; `right` says which letters are right, `cut` how many columns of the object are missed."""
    truth = np.ones((10, 10), bool)
    for index in range(len(right)):
        if index == skip:
            continue
        image = Image(lambda: b"", "none", SIZE)
        sample = Sample(str(index), image, "?", ("a", "b"), 0, "it", masks.encode(truth), str(index // 2))
        guess = truth.copy()
        guess[:, : cut[index]] = False
        outcomes = {
            Protocol.LETTER: ProtocolResult(
                Protocol.LETTER, "", Response(""), graded=True, verdict=Verdict(bool(right[index]))
            ),
            Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "", Response("", mask=masks.encode(guess))),
        }
        yield score_sample(sample, outcomes, [ROW])


def side(name: str, right: np.ndarray, cut: np.ndarray, **options: int) -> Side:
    return Side(name, ROW, Fidelity.CORRECTED).take(runs(right, cut, **options))


def test_a_run_differs_from_itself_by_nothing() -> None:
    rng = np.random.default_rng(0)
    right, cut = rng.random(40) < 0.6, rng.integers(0, 10, 40)
    found = compare(side("a", right, cut), side("b", right, cut))
    measured = [one for one in found.differences if one.difference is not None]
    assert {one.name for one in measured} >= {"A", "M", "S", "A per sample"}
    assert all(one.difference == 0 and not one.clear for one in measured)
    by_name = {one.name: one for one in measured}
    assert by_name["M"].low is None  # clusters that all say the same don't say how they differ
    assert by_name["A"].low == pytest.approx(-by_name["A"].high)  # of twenty pairs, some may differ yet
    assert not found.flips
    assert all(test.p == 1.0 for test in found.tests)


def test_planted_differences_are_found() -> None:
    rng = np.random.default_rng(1)
    right, cut = rng.random(200) < 0.5, rng.integers(2, 9, 200)
    better = right | (rng.random(200) < 0.5)
    found = compare(side("a", right, cut), side("b", better, cut - 1))
    by_name = {one.name: one for one in found.differences}
    # one column of ten more in every image: the difference is 10 points without any spread
    assert by_name["M"].difference == pytest.approx(10)
    assert by_name["M"].low is None
    gain = 100 * (better.mean() - right.mean())
    assert by_name["A per sample"].difference == pytest.approx(gain)
    assert by_name["A per sample"].low > 0  # type: ignore[operator]
    pair, sample = found.tests
    assert (sample.unit, pair.unit) == ("sample", "pair")
    assert (sample.only_left, sample.only_right) == (0, int((better & ~right).sum()))
    assert sample.p < 0.001
    answers = {flip.sample_id for flip in found.flips if flip.kind == "answer"}
    assert answers == {str(index) for index in np.flatnonzero(better != right)}
    crossed = {str(index) for index in np.flatnonzero(cut == 5)}  # an IoU of exactly one half is not found
    assert {flip.sample_id for flip in found.flips if flip.kind == "mask"} == crossed


def test_only_shared_samples_count() -> None:
    right, cut = np.ones(10, bool), np.full(10, 3)
    found = compare(side("a", right, cut), side("b", right, cut, skip=9))
    assert found.notes == ("1 sample(s) are on one side alone and left out",)
    assert {one.name: one.clusters for one in found.differences}["A"] == 4


def lacking(results: Iterator[SampleResult], of: range, under: str | None = None) -> Iterator[SampleResult]:
    """Results as a predictions file gives them that has no line for some samples, or none under a probing."""
    for result in results:
        if int(result.sample.id) in of:
            gone = {
                name: ProtocolResult(name, one.prompt, graded=one.graded, error=NO_PREDICTION)
                if under in (None, name)
                else one
                for name, one in result.by_probing.items()
            }
            yield score_sample(result.sample, gone, [ROW])
        else:
            yield result


def test_what_no_side_has_a_prediction_for_shows_nothing_of_either() -> None:
    rng = np.random.default_rng(3)
    right, better, cut = rng.random(60) < 0.5, rng.random(60) < 0.7, rng.integers(2, 9, 60)

    def sides(of: range, count: int) -> tuple[Side, Side]:
        first, second = (Side(name, ROW, Fidelity.CORRECTED) for name in "ab")
        first.take(lacking(runs(right[:count], cut[:count]), of))
        return first, second.take(lacking(runs(better[:count], cut[:count] // 2), of))

    few, all_of_them = compare(*sides(range(0), 24)), compare(*sides(range(24, 60), 60))
    assert all_of_them.differences == few.differences
    assert (all_of_them.tests, all_of_them.agreements) == (few.tests, few.agreements)
    assert "36 sample(s) have a prediction on no side and are left out" in all_of_them.notes
    spread = {one.name: one.clusters for one in spreads(sides(range(24, 60), 60))}
    assert spread == {one.name: one.clusters for one in spreads(sides(range(0), 24))}


def test_what_no_side_has_under_a_probing_shows_nothing_there() -> None:
    rng = np.random.default_rng(4)
    right, better, cut = rng.random(60) < 0.5, rng.random(60) < 0.7, rng.integers(2, 9, 60)

    def sides(of: range, count: int) -> tuple[Side, Side]:
        first, second = (Side(name, ROW, Fidelity.CORRECTED) for name in "ab")
        first.take(lacking(runs(right[:count], cut[:count]), of, Protocol.LETTER))
        return first, second.take(lacking(runs(better[:count], cut[:count] // 2), of, Protocol.LETTER))

    few, whole, part = (
        compare(*sides(of, count)) for of, count in ((range(0), 24), (range(0), 60), (range(24, 60), 60))
    )
    by_name = [{one.name: one for one in found.differences} for found in (few, whole, part)]
    assert by_name[2]["A"] == by_name[0]["A"]
    assert by_name[2]["M"] == by_name[1]["M"]
    assert part.tests == few.tests
    assert "36 sample(s) have none under letter on any side and are left out of its figures" in part.notes
    assert [counted_as_wrong(one, sides(range(24, 60), 60)) for one in sides(range(20, 60), 60)] == [4, 4]


def test_what_one_side_lacks_counts_against_it() -> None:
    right, cut = np.ones(40, bool), np.zeros(40, int)
    less = Side("less", ROW, Fidelity.CORRECTED).take(lacking(runs(right, cut), range(10)))
    by_name = {one.name: one for one in compare(side("all", right, cut), less).differences}
    assert by_name["M"].difference == by_name["A"].difference == -25


def test_sides_without_a_shared_figure_say_so() -> None:
    right, cut = np.ones(40, bool), np.zeros(40, int)

    def one(name: str) -> Side:
        results = runs(right, cut)
        part = (replace(result, by_probing={name: result.by_probing[name]}) for result in results)
        return Side(name, ROW, Fidelity.CORRECTED).take(part)

    found = compare(one(Protocol.LETTER), one(Protocol.SEGMENT))
    assert "the sides share no figure: nothing was asked of both in the same way" in found.notes
    assert "share no figure" not in " ".join(compare(one(Protocol.LETTER), one(Protocol.LETTER)).notes)


@pytest.mark.parametrize("count", [2, 3])
def test_sides_without_a_shared_sample_are_refused(count: int) -> None:
    right, cut = np.ones(2, bool), np.full(2, 3)
    sides = [side("a", right, cut, skip=0), *(side("b", right, cut, skip=1) for _ in range(count - 1))]
    with pytest.raises(DataError, match="the sides share no sample"):
        comparable(sides)


def test_of_several_sides_a_reader_is_told_what_of_two_is_told() -> None:
    """Samples that not all have, rules that differ, and an S of different figures; what is counted is what all have."""
    right, cut = np.arange(24) % 3 > 0, np.full(24, 3)
    whole = side("a", right, cut)
    named = Side("b", ROW, Fidelity.CORRECTED, ("A", "M")).take(runs(right, cut, skip=23))
    other = Side("c", ROW, Fidelity.PUBLISHED).take(runs(right, cut, skip=22))
    agreed = Agreed.of([whole, named, other], 0, ["c: a sample failed"])
    assert agreed.document()["samples"] == 22
    assert agreed.notes == [
        "2 sample(s) are not on every side and left out",
        "the sides have different fidelities: corrected and published",
        "the sides' S are not made of the same figures: here all are of the better of each",
        "c: a sample failed",
    ]
    alone = {one.name: one.values for one in spreads([named, whole])}
    assert alone["S"] == {one.name: one.values for one in spreads([whole, named])}["S"][::-1]


def seen(name: str, right: np.ndarray, cut: np.ndarray, picture: Callable[[int], str]) -> Side:
    """A side whose samples have no pairs, and the files that `picture` names."""
    side = Side(name, ROW, Fidelity.CORRECTED)
    for index, result in enumerate(runs(right, cut)):
        image = Image(picture(index).encode, picture(index), SIZE)
        side.add(replace(result, sample=replace(result.sample, image=image, pair=None)))
    return side


@pytest.mark.parametrize("other", [lambda index: f"{index // 2}.jpg", lambda index: f"{index}.jpg"])
def test_clusters_are_the_left_sides_where_the_right_has_other_files_of_the_pictures(other):
    """Re-encoded pictures, and copies of one picture that differ: each sample is still set beside itself."""
    rng = np.random.default_rng(5)
    right, cut = rng.random(60) < 0.6, rng.integers(1, 9, 60)
    better, less = right | (rng.random(60) < 0.3), cut - rng.integers(0, 2, 60)
    left = seen("png", right, cut, lambda index: f"{index // 2}.png")
    same, recoded = (seen("b", better, less, files) for files in (lambda index: f"{index // 2}.png", other))
    assert compare(left, recoded) == compare(left, same)
    assert {one.name: one.clusters for one in compare(left, recoded).differences}["M"] == 30
    assert list(spreads([left, recoded])) == list(spreads([left, same]))


def changed(side: Side, right: np.ndarray, cut: np.ndarray, **fields: object) -> Side:
    """Take in runs of whose samples the first two are stated otherwise."""
    for index, result in enumerate(runs(right, cut)):
        side.add(replace(result, sample=replace(result.sample, **fields)) if index < 2 else result)
    return side


@pytest.mark.parametrize("fields", [{"question": "!"}, {"options": ("b", "a")}, {"expression": "that"}])
def test_sides_that_were_asked_different_things_are_not_compared(fields):
    right, cut = np.ones(24, bool), np.full(24, 3)
    sides = side("a", right, cut), changed(Side("b", ROW, Fidelity.CORRECTED), right, cut, **fields)
    for together in (lambda: compare(*sides), lambda: asked_alike([sides[0], *sides])):
        with pytest.raises(DataError, match="2 of 24 shared samples are asked something else on each side, first '0'"):
            together()


@pytest.mark.parametrize("fields", [{"answer": 1}, {"mask": masks.encode(np.zeros(SIZE, bool))}])
def test_sides_with_another_truth_are_compared_and_the_reader_is_told(fields):
    right, cut = np.ones(24, bool), np.full(24, 3)
    other = changed(Side("b", ROW, Fidelity.CORRECTED), right, cut, **fields)
    found = compare(side("a", right, cut), other)
    assert found.notes == ("2 shared sample(s) have another truth (answer or mask) on each side",)
    assert found.differences


def test_several_judges_agree_as_far_as_they_do() -> None:
    base, cut = np.array([True, True, False, False]), np.zeros(4, int)
    others = [base, np.array([True, False, False, False]), np.array([True, True, False, True])]
    found = agreements([side("judge", right, cut) for right in others])[Protocol.LETTER]
    assert (found.samples, found.sides) == (4, 3)
    assert (found.gained, found.lost) == ((0, 1), (1, 0))


def test_runs_spread_as_planted() -> None:
    """Every mask of the second run misses one column of ten more: all of the spread over runs."""
    rng = np.random.default_rng(0)
    right, cut = rng.random(60) < 0.5, rng.integers(1, 8, 60)
    found = {one.name: one for one in spreads([side("a", right, cut), side("b", right, cut + 1)])}
    np.testing.assert_allclose(found["M"].values, [100 - 10 * cut.mean(), 90 - 10 * cut.mean()])
    assert found["M"].components is not None
    assert found["M"].components.of_sides == pytest.approx(np.std([0, 10], ddof=1))
    assert found["M"].components.rest == pytest.approx(0, abs=1e-6)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_figure_of_one_cluster_has_no_spread_and_no_warning() -> None:
    one = np.ones(2, bool), np.ones(2, int)
    found = {one.name: one for one in spreads([side("a", *one), side("b", *one)])}
    assert (found["M"].clusters, found["M"].components) == (1, None)


def test_runs_that_are_all_wrong_are_not_sure_of_others() -> None:
    """A standard error of 0 would say so."""
    none, cut = np.zeros(60, bool), np.random.default_rng(0).integers(1, 8, 60)
    found = {one.name: one for one in spreads([side(name, none, cut) for name in "abc"])}
    assert (found["A"].values, found["A"].components) == ((0, 0, 0), None)
    assert found["M"].components is not None


def on_images(right: np.ndarray, images: np.ndarray) -> Iterator[SampleResult]:
    """Samples of a few images, in no pairs."""
    for result, image in zip(runs(right, np.zeros(len(right), int)), images.tolist(), strict=True):
        sample = replace(result.sample, pair=None, image=Image(lambda of=image: b"%d" % of, str(image), SIZE))
        yield replace(result, sample=sample)


def test_the_error_over_runs_is_the_figures_own_where_images_have_unequal_numbers_of_samples() -> None:
    """Forty samples of one image decide the figure, and say no more than it: as the table's interval has it."""
    images = np.concatenate([np.zeros(40, int), np.arange(1, 21)])
    right = np.random.default_rng(0).random(60) < 0.6
    side = Side("a", ROW, Fidelity.CORRECTED).take(on_images(right, images))
    (found,) = (one for one in spreads([side, side]) if one.name == "A")
    assert found.components is not None
    brute = [100 * right[images != image].mean() for image in range(21)]
    assert found.components.error == pytest.approx(np.sqrt(20 * np.var(brute)))


def test_samples_of_fewer_than_ten_images_have_no_test() -> None:
    """Durkalski's statistic is 4 where four images lean one way, p = .046; a coin does so in one case of eight."""
    images = np.arange(12) // 3
    first, second = (Side(name, ROW, Fidelity.CORRECTED) for name in "ab")
    first.take(on_images(np.zeros(12, bool), images))
    second.take(on_images(np.ones(12, bool), images))
    (test,) = compare(first, second).tests
    assert (test.unit, test.only_right, test.p) == ("sample", 12, None)


def test_selections_can_be_told_apart() -> None:
    """The row that is compared is the one that was named."""
    result = next(runs(np.array([True]), np.array([5])))
    outcome = result.by_probing[Protocol.SEGMENT]
    assert outcome.selections == {}
    chosen = ProtocolResult(Protocol.SEGMENT, "", outcome.response, selections={"absent": Selection.absent()})
    scored = score_sample(result.sample, {Protocol.SEGMENT: chosen}, [RowSpec("absent")])
    left = Side("a", ROW, Fidelity.CORRECTED).take([result])
    right = Side("b", RowSpec("absent"), Fidelity.CORRECTED).take([scored])
    difference = {one.name: one for one in compare(left, right).differences}["M"]
    assert (difference.left, difference.right) == (50, 0)


def test_what_is_on_one_side_alone_changes_no_difference() -> None:
    """A pair of which one side has both samples and the other one: identical on what both have."""
    rng = np.random.default_rng(4)
    right, cut = rng.random(24) < 0.7, rng.integers(0, 10, 24)
    found = compare(side("23", right, cut, skip=23), side("24", right, cut))
    assert {one.name for one in found.differences} >= {"A", "A per sample", "M", "M gIoU", "S"}
    assert all(one.difference == 0 for one in found.differences if one.difference is not None)
    assert not found.flips


def test_a_ratio_whose_denominator_is_the_prediction_is_each_sides_own() -> None:
    """Absence precision: what it counts is what was predicted empty, which differs between sides."""

    def results(empty: np.ndarray, absent: np.ndarray) -> Iterator[SampleResult]:
        for index in range(len(absent)):
            image = Image(lambda index=index: str(index).encode(), "none", SIZE)
            truth = np.full(SIZE, not absent[index])
            sample = Sample(str(index), image, expression="it", mask=masks.encode(truth))
            said = Response("", mask=masks.encode(np.full(SIZE, not empty[index])))
            outcomes = {Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "", said)}
            yield score_sample(sample, outcomes, [ROW])

    rng = np.random.default_rng(5)
    absent = rng.random(200) < 0.1
    few, many = absent & (rng.random(200) < 0.9), absent | (rng.random(200) < 0.6)
    sides = [Side("x", ROW, Fidelity.CORRECTED).take(results(empty, absent)) for empty in (few, many)]
    by_name = {one.name: one for one in compare(*sides).differences}
    found = by_name["absence precision"]
    assert found.left == pytest.approx(100)
    assert found.right == pytest.approx(100 * absent[many].mean())
    assert found.clusters == many.sum()


@pytest.mark.long
def test_equal_sides_show_something_as_seldom_as_promised() -> None:
    """Over many comparisons of sides that do not differ, one in twenty may show anything at all; a third once did."""
    shown = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        hard = rng.random(60)
        sides = [
            side(name, rng.random(60) > hard, np.clip(rng.normal(10 * hard, 1.5), 0, 10).astype(int)) for name in "ab"
        ]
        shown += any(one.clear for one in compare(*sides).differences)
    assert shown <= 7  # of 60 at 5 % more than seven are seen once in 120 times


def test_a_primary_figure_needs_no_correction() -> None:
    rng = np.random.default_rng(3)
    right, cut = rng.random(80) < 0.5, rng.integers(2, 9, 80)
    sides = side("a", right, cut), side("b", right, np.clip(cut - (rng.random(80) < 0.2), 0, 10))
    free, named = compare(*sides), compare(*sides, primary="M", delta=50)
    found = {one.name: one for one in named.differences}
    assert found["M"].adjusted == found["M"].p
    assert found["M"].primary
    assert {one.name: one for one in free.differences}["M"].adjusted > found["M"].p
    assert any("no difference larger than 50" in line and "M" in line for line in told(named))
    with pytest.raises(ConfigError, match="no figure 'X'"):
        compare(*sides, primary="X")
