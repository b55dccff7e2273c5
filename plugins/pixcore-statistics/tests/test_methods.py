"""Intervals and tests against statsmodels, scipy and brute force."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from pixcore_statistics import holm, mcnemar
from pixcore_statistics.controls import less_controls
from pixcore_statistics.intervals import interval_of, intervals
from pixcore_statistics.means import left_out, mean_interval, ratio_interval, standard_error
from pixcore_statistics.paired import paired, paired_less, paired_made
from pixcore_statistics.power import least_mean_difference, least_share_difference, power_of_mcnemar
from pixcore_statistics.proportions import effective_size, share_interval, wilson
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from pixcore.figures.columns import NO_OWN, harmonic_score
from pixcore.figures.intervals import FEW, Sums
from pixcore.figures.rows import RowSpec


@pytest.mark.parametrize(("right", "n"), [(0, 2), (2, 2), (2, 150), (25, 25), (123, 150), (7, 9)])
def test_wilson_is_that_of_statsmodels(right: int, n: int) -> None:
    np.testing.assert_allclose(wilson(right, n), proportion_confint(right, n, method="wilson"), atol=1e-12)


@pytest.mark.parametrize("n", [20, 50, 150])
def test_an_interval_of_pairs_holds_the_truth(n: int) -> None:
    """Exactly, over all counts and truths from 50 to 99 %; a bootstrap holds .18 of those at 99 % of 20 pairs."""
    ends = np.array([share_interval(np.arange(n) < right, np.ones(n)) for right in range(n + 1)])
    held = []
    for truth in np.linspace(0.5, 0.99, 50):
        chances = stats.binom.pmf(np.arange(n + 1), n, truth)
        held.append(float(chances[(ends[:, 0] <= truth) & (truth <= ends[:, 1])].sum()))
    assert np.mean(held) == pytest.approx(0.95, abs=0.008)
    assert min(held) > 0.83


def test_answers_that_repeat_in_a_cluster_are_worth_one() -> None:
    rng = np.random.default_rng(0)
    once = (rng.random(400) < 0.7).astype(float)
    size = effective_size(3 * once, np.full(400, 3.0))
    assert 370 < size <= 400  # of 1,200 answers; a few less, since clusters must tell their own variance
    one_by_one = share_interval(once, np.ones(400))
    together = share_interval(3 * once, np.full(400, 3.0))
    np.testing.assert_allclose(one_by_one, together, atol=3e-3)


def test_independent_answers_are_worth_what_they_are() -> None:
    rng = np.random.default_rng(1)
    right = rng.binomial(2, 0.7, 3000).astype(float)
    assert effective_size(right, np.full(3000, 2.0)) == pytest.approx(6000, rel=0.06)
    assert effective_size(np.full(30, 2.0), np.full(30, 2.0)) == 30  # all right: clusters show no variance


def test_an_interval_holds_the_truth_where_one_image_has_most_of_the_answers() -> None:
    """Forty answers about one image, one about each of twenty others: the linear variance holds it in 65 % of draws."""
    rng = np.random.default_rng(0)
    counts = np.append(np.ones(20), 40)
    held = 0
    for _ in range(500):
        low, high = share_interval(rng.binomial(counts.astype(int), rng.beta(2, 2, 21)).astype(float), counts) or (1, 0)
        held += low <= 0.5 <= high
    assert held >= 0.86 * 500


def test_answers_of_clusters_of_one_size_are_worth_what_korn_and_graubard_say() -> None:
    right = np.array([0, 1, 2, 3, 3, 1, 2, 0, 3, 3, 2, 2], np.float64)
    share, clusters = right.sum() / 36, 12
    variance = clusters / (clusters - 1) * np.sum((right - 3 * share) ** 2) / 36**2
    shrunk = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, clusters - 1)) ** 2
    assert effective_size(right, np.full(12, 3.0)) == pytest.approx(share * (1 - share) / variance * shrunk)


def test_clusters_that_all_say_the_same_are_worth_one_answer_each_whatever_rounding_leaves() -> None:
    """15 of 22 right in each: 22 * (180 / 264) is not 15 by a hair, and no hair is a variance."""
    for right, count in ((1, 2), (15, 22), (29, 100)):
        assert effective_size(np.full(12, float(right)), np.full(12, float(count))) == 12


def test_answers_that_are_right_in_part_are_worth_as_many_whole_ones_as_vary_alike() -> None:
    right = np.array([1, 0.5, 0, 1 / 3, 0, 0, 0.5, 0, 0, 0, 0.25, 0])
    share, shrunk = right.mean(), (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 11)) ** 2
    size = share * (1 - share) / (right.var(ddof=1) / 12) * shrunk
    assert effective_size(right, np.ones(12), in_part=True) == pytest.approx(size)
    theirs = proportion_confint(share * size, size, method="wilson")
    np.testing.assert_allclose(share_interval(right, np.ones(12), in_part=True), theirs, atol=1e-12)


def test_a_rare_share_that_is_parted_has_an_interval_that_holds_it() -> None:
    """Of fifty images one or two have some of it: percentiles of bootstrap draws hold it in 89 of 100 cases."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(500):
        right = (rng.random(50) < 0.04) * rng.choice([1, 0.5], 50)
        low, high = share_interval(right, np.ones(50), in_part=True) or (1, 0)
        held += low <= 0.03 <= high
    assert held >= 0.93 * 500


def test_a_mean_of_single_values_has_students_interval() -> None:
    values = np.random.default_rng(2).beta(2, 3, 40)
    theirs = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    np.testing.assert_allclose(mean_interval(values, np.ones(40), fewest=FEW), theirs, atol=1e-12)


def test_leaving_one_cluster_out_is_brute_force() -> None:
    rng = np.random.default_rng(3)
    top, bottom = rng.random(12), rng.random(12) + 1
    brute = [np.delete(top, k).sum() / np.delete(bottom, k).sum() for k in range(12)]
    np.testing.assert_allclose(left_out(top, bottom), brute, atol=1e-12)
    spread = np.sqrt(11 * np.var(brute))
    assert standard_error(np.array(brute)) == pytest.approx(spread)


def test_a_ratio_never_leaves_its_range() -> None:
    rng = np.random.default_rng(4)
    union = np.exp(rng.normal(0, 2, 15))
    low, high = ratio_interval(0.97 * union, union, fewest=FEW) or (None, None)
    assert low is None  # every cluster says .97: none says how they differ
    low, high = ratio_interval(rng.beta(5, 0.3, 15) * union, union, fewest=FEW) or (None, None)
    assert low is not None
    assert high is not None
    assert 0 < low < high < 1


@pytest.mark.parametrize("kind", ["mean", "ratio"])
def test_where_none_is_honest_there_is_none(kind: str) -> None:
    few = np.linspace(0.1, 0.9, FEW - 1)
    assert interval_of(Sums(kind, few, np.ones(FEW - 1))).low is None  # type: ignore[arg-type]
    assert interval_of(Sums(kind, np.full(50, 0.5), np.ones(50))).low is None  # type: ignore[arg-type]
    assert interval_of(Sums("proportion", np.ones(1), np.ones(1))).low is None
    assert interval_of(Sums("proportion", np.ones(2), np.ones(2))).low == pytest.approx(0.342, abs=1e-3)


def test_s_is_drawn_with_its_maxima() -> None:
    """Against a plain bootstrap, one draw after the other."""
    rng = np.random.default_rng(5)
    terms = {name: rng.random(60) < share for name, share in (("A†", 0.6), ("A", 0.7), ("M†", 0.3), ("M", 0.4))}
    row = {name: Sums("proportion", value.astype(float), np.ones(60)) for name, value in terms.items()}
    found = intervals([row])[0]["S"]
    plain = []
    for _ in range(4000):
        drawn = rng.integers(0, 60, 60)
        plain.append(float(harmonic_score(*(np.array(value[drawn].mean()) for value in terms.values()))))
    np.testing.assert_allclose((found.low, found.high), np.quantile(plain, [0.025, 0.975]), atol=0.012)
    assert found.method == "bootstrap"
    unmeasured = {name: Sums("proportion", np.zeros(60), np.zeros(60)) for name in ("A†", "A")}
    beside, alone = intervals([row | unmeasured, row])
    assert beside["S"].low is None
    assert alone["S"] == found
    assert intervals([row | unmeasured])[0] == beside


def test_s_is_no_surer_than_what_it_is_made_of() -> None:
    rng = np.random.default_rng(11)
    for clusters in (FEW - 1, FEW):
        there = (np.arange(60) < clusters).astype(float)
        row = {
            "A": Sums("proportion", np.arange(60) % 2.0, np.ones(60)),
            "M": Sums("mean", there * rng.random(60), there),
        }
        row |= {name: Sums("proportion", np.zeros(60), np.zeros(60)) for name in ("A†", "M†")}
        found = intervals([row])[0]
        assert (
            (found["M"].low is None) == (found["S"].low is None) == (found["S asked"].low is None) == (clusters < FEW)
        )


@pytest.mark.parametrize("clusters", [10, 20, 150, 300])
def test_s_of_parts_that_are_the_same_in_every_cluster_has_no_interval(clusters: int) -> None:
    """Rounding makes some draws differ by a hair: no hair is an interval."""
    ones = np.ones(clusters)
    for iou in (0.1, 0.35, 0.7, 0.9):
        row = {"A": Sums("proportion", ones, ones), "M": Sums("mean", iou * ones, ones)}
        assert intervals([row])[0]["S asked"].low is None


@pytest.mark.parametrize(("only_left", "only_right"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 18)])
def test_mcnemar_is_the_exact_binomial(only_left: int, only_right: int) -> None:
    n, k = only_left + only_right, min(only_left, only_right)
    tail = sum(comb(n, i) for i in range(k + 1)) / 2**n
    assert mcnemar.exact(only_left, only_right) == pytest.approx(min(1.0, 2 * tail))
    if n:
        theirs = their_mcnemar([[9, only_left], [only_right, 9]], exact=True).pvalue
        assert mcnemar.exact(only_left, only_right) == pytest.approx(theirs)


def test_durkalskis_test_is_mcnemars_where_clusters_have_one_answer() -> None:
    left, right = np.array([1] * 12 + [0] * 5 + [1] * 20), np.array([0] * 12 + [1] * 5 + [1] * 20)
    theirs = their_mcnemar([[20, 12], [5, 0]], exact=False, correction=False).pvalue
    assert mcnemar.clustered(left.astype(float), right.astype(float), np.ones(37)) == pytest.approx(theirs)


def test_durkalskis_test_keeps_its_level_where_samples_share_clusters() -> None:
    """Where McNemar's on the samples does not: both answers of a pair mostly fall together."""
    rng = np.random.default_rng(6)
    naive = clustered = 0
    for _ in range(600):
        common = rng.random((100, 1)) < 0.8
        left, right = (np.where(common, rng.random((100, 1)), rng.random((100, 2))) < 0.6 for _ in "lr")
        naive += mcnemar.exact(int((left & ~right).sum()), int((right & ~left).sum())) <= 0.05
        counts = np.full(100, 2.0)
        clustered += mcnemar.clustered(left.sum(1).astype(float), right.sum(1).astype(float), counts) <= 0.05
    assert naive / 600 > 0.08
    assert clustered / 600 == pytest.approx(0.05, abs=0.025)


def test_the_interval_of_paired_shares_holds_the_truth() -> None:
    """Over all tables of 20 pairs, each as often as it comes: exact coverage, no simulation."""
    left, right = 0.2, 0.1
    held = 0.0
    for only_left, only_right in product(range(21), repeat=2):
        if only_left + only_right > 20:
            continue
        chance = stats.multinomial.pmf([only_left, only_right, 20 - only_left - only_right], 20, [left, right, 0.7])
        low, high = mcnemar.difference_interval(only_left, only_right, 20)
        held += float(chance) * (low <= right - left <= high)
    assert 0.94 < held < 0.98


def test_holm_is_that_of_statsmodels() -> None:
    values = np.random.default_rng(7).random(13) ** 3
    found = holm.adjusted(dict(enumerate(values)))
    theirs = multipletests(values, method="holm")[1]
    np.testing.assert_allclose([found[place] for place in range(13)], theirs, atol=1e-12)


def test_power_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(8)
    critical = [0] * 151
    for n in range(1, 151):
        critical[n] = max((k for k in range(n // 2 + 1) if mcnemar.exact(k, n - k) <= 0.05), default=-1)
    differing = rng.binomial(150, 0.2, 200_000)
    left = rng.binomial(differing, (1 + 0.107 / 0.2) / 2)
    found = np.minimum(left, differing - left) <= np.array(critical)[differing]
    assert power_of_mcnemar(150, 0.2, 0.107) == pytest.approx(float(found[differing > 0].mean()), abs=0.005)


@pytest.mark.parametrize(("discordance", "published"), [(0.1, 7.5), (0.2, 10.7), (0.3, 13.0)])
def test_what_pixmmvps_pairs_can_show(discordance: float, published: float) -> None:
    """The audit's figures are found at least four times in five; the least such difference is a little smaller."""
    assert 0.80 < power_of_mcnemar(150, discordance, published / 100) < 0.83
    least = least_share_difference(150, discordance)
    assert least is not None
    assert published - 0.3 < 100 * least < published
    assert power_of_mcnemar(150, discordance, least) == pytest.approx(0.8, abs=1e-3)


def test_power_of_many_pairs_is_that_of_the_normal_approximation() -> None:
    """One pair more makes no work: a pair of runs may share a hundred thousand."""
    least = least_share_difference(100_000, 0.2)
    reach = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert least == pytest.approx(reach * np.sqrt(0.2 / 100_000), rel=0.01)


def test_a_category_may_show_nothing() -> None:
    assert least_share_difference(25, 0.2) is None
    assert 100 * (least_share_difference(25, 0.3) or 0) == pytest.approx(30, abs=0.3)


@pytest.mark.parametrize("clusters", [3, 5, 10, 150])
def test_the_least_difference_of_means_is_found_four_times_in_five_also_by_few(clusters: int) -> None:
    """With three clusters, quantiles of t added up give one that is found in 77 of 100 cases."""
    least = least_mean_difference(1 / np.sqrt(clusters), clusters)
    assert TTestPower().power(least, clusters, 0.05, alternative="two-sided") == pytest.approx(0.8, abs=1e-4)


def sums(kind: str, values: np.ndarray) -> Sums:
    return Sums(kind, values.astype(float), np.ones(len(values)))  # type: ignore[arg-type]


def test_paired_means_are_students() -> None:
    rng = np.random.default_rng(9)
    left = rng.random(50)
    right = left + rng.normal(0.05, 0.1, 50)
    found = paired(sums("mean", left), sums("mean", right))
    theirs = stats.ttest_rel(right, left)
    assert found.p == pytest.approx(theirs.pvalue)
    np.testing.assert_allclose((found.low, found.high), tuple(theirs.confidence_interval()), atol=1e-12)
    inner = theirs.confidence_interval(0.9)
    assert found.margin == pytest.approx(max(abs(inner.low), abs(inner.high)))


@pytest.mark.parametrize("kind", ["mean", "ratio", "proportion"])
@pytest.mark.parametrize("clusters", [0, 1, 2, FEW - 1])
@pytest.mark.filterwarnings("error")
def test_a_side_that_few_clusters_count_on_shows_no_difference(kind: str, clusters: int) -> None:
    """Two images of which something was chosen, both .9, are no sure .9, whatever the other side has."""
    there = (np.arange(30) < clusters).astype(float)
    many, few = sums(kind, np.linspace(0.2, 0.7, 30)), Sums(kind, 0.9 * 12 * there, 12 * there)  # type: ignore[arg-type]
    for left, right in ((many, few), (few, many)):
        found = paired(left, right)
        assert (found.low, found.p) == (None, None)
        assert paired_less((left, many), (right, many)).low is None


def test_what_is_made_of_a_figure_that_few_clusters_count_on_shows_no_difference() -> None:
    rng = np.random.default_rng(12)
    row = {name: sums("mean", rng.random(40)) for name in ("A†", "A", "M†", "M")}
    there = (np.arange(40) < FEW - 1).astype(float)
    few = row | {"M": Sums("mean", row["M"].numerators * there, there)}
    for sides in ((row, few), (few, row)):
        found = paired_made(*sides)["S asked"]
        assert (found.low, found.p, found.clusters) == (None, None, FEW - 1)
    assert paired_made(few, row)["S†"].clusters == 40


def test_no_difference_is_larger_than_all_there_is() -> None:
    """Twelve images, of which the strategy has all but everything and its control nothing: t reaches to 104 points."""
    near, nothing = sums("mean", np.array([0.6] + [1.0] * 11)), sums("mean", np.zeros(12))
    found = paired(nothing, near)
    assert (found.high, found.margin) == (1.0, 1.0)
    assert paired(near, nothing).low == -1.0
    assert found.low == pytest.approx(stats.ttest_rel(near.numerators, nothing.numerators).confidence_interval().low)
    rows = [{"M": near}, {"M": nothing}]
    (less, _) = less_controls(rows, [RowSpec("a"), RowSpec("b", control_of="a", pool="b")], NO_OWN)
    assert less["M less control"].high == 100


def test_paired_shares_are_mcnemars() -> None:
    left, right = np.array([1] * 15 + [0] * 5 + [1] * 30), np.array([0] * 15 + [1] * 5 + [1] * 30)
    found = paired(sums("proportion", left), sums("proportion", right))
    assert found.p == pytest.approx(mcnemar.exact(15, 5))
    assert found.detectable == pytest.approx(least_share_difference(50, 0.4))


def test_s_of_two_sides_is_drawn_alike() -> None:
    rng = np.random.default_rng(10)
    row = {name: sums("mean", rng.random(40)) for name in ("A†", "A", "M†", "M")}
    assert paired_made(row, row)["S"].low is None  # the same in every draw
    other = row | {name: sums("mean", row[name].numerators * 0.5) for name in ("M†", "M")}
    found = paired_made(row, other)["S"]
    assert found.high is not None
    assert found.high < 0
    assert found.p is not None
    assert found.p < 0.01


def test_no_difference_is_detected_that_is_larger_than_any_there_can_be() -> None:
    left = np.arange(10) % 2.0
    found = paired(Sums("mean", left, np.ones(10)), Sums("mean", 1 - left, np.ones(10)))
    assert found.low is not None
    assert found.detectable is None  # not even 0 beside 100 in truth would be found four times in five
