"""A strategy beside its control, against scipy's paired test, leaving out by hand, and all draws of equal masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pytest
from pixcore_report.comparison import Side, compare
from pixcore_scoring.evaluation import evaluate
from pixcore_statistics.best_of import expected_best
from pixcore_table.reading import is_bound
from scipy import stats

from pixcore import masks
from pixcore.figures.columns import with_own
from pixcore.figures.rows import Row, RowSpec, Summary, control_spec
from pixcore.figures.scores import score_sample
from pixcore.records import Candidate, Fidelity, Image, Protocol, ProtocolResult, Sample, SampleResult, Selection

SIZE = 6
ORACLE, FIRST = RowSpec("oracle", uses_ground_truth=True), RowSpec("first")
LENT, RANDOM = "other-images points", "random points"
ROWS = (ORACLE, FIRST, *(control_spec(row, RANDOM) for row in (ORACLE, FIRST)), control_spec(ORACLE, LENT))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def drawn(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Masks of which some are equal: of a few rectangles."""
    return [np.outer(np.arange(SIZE) < rng.integers(1, 4), np.arange(SIZE) < rng.integers(1, 4)) for _ in range(count)]


class World:
    """Samples, one or two an image, with the IoUs of all masks worked out from pixels."""

    def __init__(self, *, pairs: bool, failed: Sequence[int] = (), skipped: Mapping[int, RowSpec] = {}) -> None:
        rng = np.random.default_rng(4)
        self.results: list[SampleResult] = []
        self.ious: list[dict[str | None, list[float]]] = []
        self.distinct: list[dict[str | None, list[float]]] = []
        for number in range(24):
            truth = np.outer(np.arange(SIZE) < 2 + number % 3, np.arange(SIZE) < 3)
            pools = {None: drawn(rng, 5), RANDOM: drawn(rng, 5), LENT: drawn(rng, 5)}
            made = {
                of: tuple(Candidate(None, None, (masks.encode(one),), (1.0,)) for one in pool)
                for of, pool in pools.items()
            }
            known = {of: [iou(one, truth) for one in pool] for of, pool in pools.items()}
            picks = {
                row.key: Selection.chosen(int(np.argmax(known[row.pool])) if row.uses_ground_truth else 0, 0)
                for row in ROWS
            }
            if number in skipped:
                picks[skipped[number].key] = Selection.nothing()
            image = Image.from_pixels(np.full((SIZE, SIZE, 3), number // 2 if pairs else number, np.uint8))
            sample = Sample(str(number), image, expression="it", mask=masks.encode(truth))
            controls = {RANDOM: made[RANDOM], LENT: made[LENT]}
            outcome = ProtocolResult(Protocol.SEGMENT, "", None, made[None], controls, picks)
            if number in failed:
                outcome = ProtocolResult(Protocol.SEGMENT, "", error="broke")
                known = {of: [0.0] for of in known}
            self.results.append(score_sample(sample, {Protocol.SEGMENT: outcome}, ROWS))
            self.ious.append(known)
            same = {
                of: {one.tobytes(): value for one, value in zip(pools[of], known[of], strict=False)} for of in pools
            }
            self.distinct.append({of: list(values.values()) for of, values in same.items()})

    def summary(self) -> Summary:
        return evaluate(self.results, ROWS, benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary

    def best(self, of: str | None) -> np.ndarray:
        return np.array([max(one[of]) for one in self.ious])

    def first(self, of: str | None) -> np.ndarray:
        return np.array([one[of][0] for one in self.ious])


def row(summary: Summary, key: str) -> Row:
    return next(one for one in summary.rows if one.key == key)


@pytest.mark.parametrize("failed", [(), (3, 10)])
def test_a_strategy_less_its_control_is_scipys_paired_test(failed: tuple[int, ...]) -> None:
    world = World(pairs=False, failed=failed)
    found = world.summary()
    for key, own, control in (
        ("oracle", world.best(None), world.best(RANDOM)),
        ("first", world.first(None), world.first(RANDOM)),
        (f"{RANDOM}, oracle pick", world.best(None), world.best(RANDOM)),
        (f"{LENT}, oracle pick", world.best(None), world.best(LENT)),
    ):
        figure = row(found, key).figures["M less control"]
        expected = stats.ttest_rel(own, control).confidence_interval(0.95)
        assert figure.value == pytest.approx(100 * float(np.mean(own - control)))
        assert (figure.low, figure.high) == pytest.approx((100 * expected.low, 100 * expected.high))
        assert (figure.n, figure.method) == (24, "paired t")


def test_samples_of_one_image_are_left_out_together() -> None:
    world = World(pairs=True)
    figure = row(world.summary(), "oracle").figures["M less control"]
    apart = world.best(None) - world.best(RANDOM)
    without = np.array([np.delete(apart, [2 * image, 2 * image + 1]).mean() for image in range(12)])
    error = np.sqrt(11 / 12 * np.sum((without - without.mean()) ** 2))
    assert (figure.high - figure.low) / 2 == pytest.approx(100 * stats.t.ppf(0.975, 11) * error)


def test_the_table_says_what_a_comparison_of_both_rows_says() -> None:
    world = World(pairs=True)
    sides = [Side(one.key, one, Fidelity.CORRECTED).take(world.results) for one in (ROWS[2], ORACLE)]
    (compared,) = [one for one in compare(*sides).differences if one.name == "M"]
    figure = row(world.summary(), "oracle").figures["M less control"]
    assert (figure.value, figure.low, figure.high) == pytest.approx((compared.difference, compared.low, compared.high))


def test_what_two_runs_differ_by_beyond_their_controls_is_scipys_test() -> None:
    """The second run fails at three of the images."""
    world = World(pairs=False)
    worlds = [world, World(pairs=False, failed=(5, 6, 7))]
    sides = [
        Side(f"{n}", ORACLE, Fidelity.CORRECTED, control=ROWS[2]).take(one.results) for n, one in enumerate(worlds)
    ]
    found = {one.name: one for one in compare(*sides).differences}
    less = [one.best(None) - one.best(RANDOM) for one in worlds]
    expected = stats.ttest_rel(less[1], less[0])
    one = found["M less control"]
    assert (one.left, one.right) == pytest.approx((100 * less[0].mean(), 100 * less[1].mean()))
    assert one.difference == pytest.approx(100 * float(np.mean(less[1] - less[0])))
    assert (one.low, one.high) == pytest.approx(tuple(100 * end for end in expected.confidence_interval(0.95)))
    assert one.p == pytest.approx(expected.pvalue)
    bare = [Side(one.name, ORACLE, Fidelity.CORRECTED).take(world.results) for one in sides]
    assert "M less control" not in {one.name for one in compare(*bare).differences}


def test_two_runs_are_compared_beyond_their_controls_where_each_counts_in_both_rows() -> None:
    """As published, what chose nothing is skipped: of one image the strategy's first sample, the control's second."""
    worlds = [World(pairs=True), World(pairs=True, failed=(9, 14, 17), skipped={4: ORACLE, 5: ROWS[2]})]
    sides = [Side(f"{n}", ORACLE, Fidelity.PAPER, control=ROWS[2]).take(one.results) for n, one in enumerate(worlds)]
    one = next(each for each in compare(*sides).differences if each.name == "M less control")
    less = [(each.best(None) - each.best(RANDOM)).reshape(12, 2)[np.arange(12) != 2].mean(axis=1) for each in worlds]
    expected = stats.ttest_rel(less[1], less[0])
    assert (one.left, one.right) == pytest.approx((100 * less[0].mean(), 100 * less[1].mean()))
    assert (one.low, one.high) == pytest.approx(tuple(100 * end for end in expected.confidence_interval(0.95)))
    assert one.p == pytest.approx(expected.pvalue)


def test_without_a_control_nothing_is_set_beside() -> None:
    alone = evaluate(
        World(pairs=False).results, [ORACLE], benchmark="b", model="m", fidelity=Fidelity.CORRECTED
    ).summary
    assert not any("less control" in name for name in alone.rows[0].figures)


def test_an_upper_bound_is_one_of_figures_that_iou_makes_and_no_others() -> None:
    world = World(pairs=False)
    found = world.summary()
    bounds = {name for name in with_own() if is_bound(row(found, "oracle"), name)}
    assert bounds == {"M†", "M", "S", "S†", "S asked"} | {
        f"{name} {of}" for name in ("M†", "M") for of in ("with none", "there", "gIoU")
    }
    for name in bounds & row(found, "first").figures.keys():
        assert (row(found, "first").figures[name].value or 0) <= (row(found, "oracle").figures[name].value or 0)
    assert not any(is_bound(row(found, "first"), name) for name in with_own())


def test_equal_masks_are_those_of_all_draws_by_hand() -> None:
    world = World(pairs=False)
    found = world.summary()
    at = found.accounts["M"]["at_equal_masks"]
    for of in (RANDOM, LENT):
        sizes = [min(len(one[None]), len(one[of])) for one in world.distinct]

        def best(side: str | None, sizes: list[int] = sizes) -> np.ndarray:
            draws = [combinations(one[side], size) for one, size in zip(world.distinct, sizes, strict=True)]
            return np.array([np.mean([max(each) for each in every]) for every in draws])

        own, control = best(None), best(of)
        ends = stats.ttest_rel(own, control).confidence_interval(0.95)
        assert at[of]["masks"] == pytest.approx(np.mean(sizes))
        assert (at[of]["own"], at[of]["control"]) == pytest.approx((100 * own.mean(), 100 * control.mean()))
        assert (at[of]["low"], at[of]["high"]) == pytest.approx((100 * ends.low, 100 * ends.high))
        assert (at[of]["n"], at[of]["left_out"]) == (24, 0)
    assert any(note.startswith("M, best of as many distinct masks") and RANDOM in note for note in found.notes)
    assert row(found, "oracle").distinct == pytest.approx(np.mean([len(one[None]) for one in world.distinct]))
    assert row(found, f"{LENT}, oracle pick").distinct == pytest.approx(
        np.mean([len(one[LENT]) for one in world.distinct])
    )


def test_the_best_of_n_is_that_of_all_draws() -> None:
    values = np.random.default_rng(0).random(7)
    every = [np.mean([max(each) for each in combinations(values, size)]) for size in range(1, 8)]
    np.testing.assert_allclose(expected_best(values, range(1, 8)), every, atol=1e-12)
