"""Paired comparisons against closed forms and planted differences."""

from collections.abc import Iterator
from math import comb

import numpy as np
import pytest
from pixcore_report.comparison import Side, compare, flip_rates, mcnemar

from pixcore import masks
from pixcore.figures.rows import OWN_MASKS, RowSpec
from pixcore.figures.scores import score_sample
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
            Protocol.LETTER: ProtocolResult(Protocol.LETTER, "", Response(""), verdict=Verdict(bool(right[index]))),
            Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "", Response("", mask=masks.encode(guess))),
        }
        yield score_sample(sample, outcomes, [ROW])


def side(name: str, right: np.ndarray, cut: np.ndarray, **options: int) -> Side:
    return Side(name, ROW, Fidelity.CORRECTED).take(runs(right, cut, **options))


@pytest.mark.parametrize(("only_left", "only_right"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 18)])
def test_mcnemar_is_the_exact_binomial(only_left: int, only_right: int) -> None:
    n, k = only_left + only_right, min(only_left, only_right)
    tail = sum(comb(n, i) for i in range(k + 1)) / 2**n
    assert mcnemar(only_left, only_right) == pytest.approx(min(1.0, 2 * tail))


def test_a_run_differs_from_itself_by_nothing() -> None:
    rng = np.random.default_rng(0)
    right, cut = rng.random(40) < 0.6, rng.integers(0, 10, 40)
    found = compare(side("a", right, cut), side("b", right, cut))
    measured = [one for one in found.differences if one.difference is not None]
    assert {one.name for one in measured} >= {"A", "M", "S", "A per sample"}
    assert all((one.difference, one.low, one.high) == (0, 0, 0) for one in measured)
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
    assert (by_name["M"].low, by_name["M"].high) == pytest.approx((10, 10))
    gain = 100 * (better.mean() - right.mean())
    assert by_name["A per sample"].difference == pytest.approx(gain)
    assert by_name["A per sample"].low > 0  # type: ignore[operator]
    sample, pair = found.tests
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


def test_flip_rate_of_several_judges() -> None:
    base, cut = np.array([True, True, False, False]), np.zeros(4, int)
    others = [base, np.array([True, False, False, False]), np.array([True, True, False, True])]
    rate, n = flip_rates([side("judge", right, cut) for right in others])[Protocol.LETTER]
    assert (rate, n) == (0.5, 4)


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
