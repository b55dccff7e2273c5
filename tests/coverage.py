"""How often intervals hold the truth: simulations in which it is known.

`python -m tests.coverage` draws an hour's worth and prints the table of docs/howto/report-numbers.md;
`--draws 100` is a minute's. A test draws fewer, seeded.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pixcore_plots.outcomes import association
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.intervals import intervals
from pixcore_statistics.orderings import Ordered, risk_area, roc_area
from scipy import stats

from pixcore.figures.columns import harmonic_score
from pixcore.figures.intervals import Sums

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Mapping[str, Sums]]

Ends = tuple[float | None, float | None]

SIZES = (20, 50, 150)


@dataclass(frozen=True)
class World:
    """Data whose truth is known.

    Attributes:
        name: What it is like.
        figure: The figure whose interval is looked at.
        truth: What it is in the whole population.
        draw: Draws so many clusters of it.
    """

    name: str
    figure: str
    truth: float
    draw: Draw

    def ends(self, rng: np.random.Generator, clusters: int) -> Ends:
        """Draw data, and give the ends of the figure's interval."""
        one = intervals([self.draw(rng, clusters)])[0][self.figure]
        return one.low, one.high


@dataclass(frozen=True)
class PlotWorld:
    """Data whose truth is known, of which a plot gives a number.

    Attributes:
        name: What it is like.
        truth: What the number is in the whole population.
        measure: Draws so many clusters of it, and gives the number.
    """

    name: str
    truth: float
    measure: Callable[[np.random.Generator, int], Estimate]

    def ends(self, rng: np.random.Generator, clusters: int) -> Ends:
        """Draw data, and give the ends of the number's interval."""
        return self.measure(rng, clusters)[1:]


@dataclass(frozen=True)
class Coverage:
    """How often intervals held the truth.

    Attributes:
        held: Share of the draws that have an interval.
        below: Of them, the share whose interval lies above the truth.
        above: The share whose interval lies below it.
        none: Share of all draws that have no interval, since none would be honest.
    """

    held: float
    below: float
    above: float
    none: float


def clustered(rng: np.random.Generator, clusters: int, each: int, mean: float, alike: float) -> Floats:
    """Draw probabilities of answers, (clusters, each), which share their cluster's; `alike` is their correlation."""
    if alike >= 1:
        return np.repeat((rng.random((clusters, 1)) < mean).astype(np.float64), each, axis=1)
    strength = 1 / alike - 1
    return np.repeat(rng.beta(mean * strength, (1 - mean) * strength, (clusters, 1)), each, axis=1)


def pairs(mean: float) -> World:
    """Accuracy over pairs: one answer a cluster."""

    def draw(rng: np.random.Generator, clusters: int) -> Mapping[str, Sums]:
        return {"A": Sums("proportion", (rng.random(clusters) < mean).astype(np.float64), np.ones(clusters))}

    return World(f"accuracy over pairs, {100 * mean:.0f} %", "A", mean, draw)


def samples(mean: float, alike: float, each: int = 2) -> World:
    """Accuracy over samples that share clusters."""

    def draw(rng: np.random.Generator, clusters: int) -> Mapping[str, Sums]:
        right = (rng.random((clusters, each)) < clustered(rng, clusters, each, mean, alike)).sum(1)
        return {"A per sample": Sums("proportion", right.astype(np.float64), np.full(clusters, float(each)))}

    return World(f"accuracy over samples, {each} a cluster, {100 * mean:.0f} %", "A per sample", mean, draw)


def ious(mean: float = 0.4, each: int = 2, alike: float = 0.6) -> World:
    """Mean IoU: many near 0, many near 1, alike within clusters."""

    def draw(rng: np.random.Generator, clusters: int) -> Mapping[str, Sums]:
        own = rng.random((clusters, each)) < alike
        shared = np.repeat(rng.beta(1.0 * mean, 1.0 * (1 - mean), (clusters, 1)), each, axis=1)
        values = np.where(own, shared, rng.beta(1.0 * mean, 1.0 * (1 - mean), (clusters, each)))
        return {"M": Sums("mean", values.sum(1), np.full(clusters, float(each)))}

    return World(f"mean IoU, {each} images a cluster", "M", mean, draw)


def mostly_alike(share: float) -> World:
    """Mean IoU where most masks are alike: few objects are found, or few are missed."""

    def draw(rng: np.random.Generator, clusters: int) -> Mapping[str, Sums]:
        fits = rng.random((clusters, 2)) < share
        values = np.where(fits, rng.uniform(0.8, 1.0, (clusters, 2)), 0.0)
        return {"M": Sums("mean", values.sum(1), np.full(clusters, 2.0))}

    return World(f"mean IoU, {100 * share:.0f} % of the objects found", "M", 0.9 * share, draw)


def cumulative() -> World:
    """cIoU: unions of very different sizes."""

    def draw(rng: np.random.Generator, clusters: int) -> Mapping[str, Sums]:
        union = np.exp(rng.normal(0, 1.2, clusters))
        return {"M cIoU": Sums("ratio", rng.beta(0.6, 0.8, clusters) * union, union)}

    return World("cIoU, sizes of three orders", "M cIoU", 0.6 / 1.4, draw)


def absence(share: float = 1 / 12, recall: float = 0.7) -> World:
    """Absence recall: a figure of the few samples whose object is absent."""

    def draw(rng: np.random.Generator, clusters: int) -> Mapping[str, Sums]:
        absent = (rng.random((clusters, 2)) < share).astype(np.float64)
        noticed = absent * (rng.random((clusters, 2)) < recall)
        return {"absence recall": Sums("proportion", noticed.sum(1), absent.sum(1))}

    return World("absence recall, one object of twelve", "absence recall", recall, draw)


def harmonic(name: str, accuracies: tuple[float, float], means: tuple[float, float]) -> World:
    """S, from four figures of the same clusters."""
    parts = [np.array(value) for value in (accuracies[0], accuracies[1], means[0], means[1])]

    def draw(rng: np.random.Generator, clusters: int) -> Mapping[str, Sums]:
        ones, found = np.ones(clusters), {}
        hard = rng.random(clusters)
        for figure, mean in zip(("A†", "A"), accuracies, strict=True):
            easy = np.where(rng.random(clusters) < 0.5, hard, rng.random(clusters)) < mean
            found[figure] = Sums("proportion", easy.astype(np.float64), ones)
        for figure, mean in zip(("M†", "M"), means, strict=True):
            found[figure] = Sums("mean", rng.beta(mean, 1 - mean, (clusters, 2)).sum(1), 2 * ones)
        return found

    return World(name, "S", float(harmonic_score(*parts)), draw)


def detection(share: float, distance: float) -> PlotWorld:
    """Area under the ROC curve of absence, over pairs whose scores are alike."""

    def measure(rng: np.random.Generator, clusters: int) -> Estimate:
        absent = rng.random(2 * clusters) < share
        shared = np.repeat(rng.normal(size=clusters), 2)
        scores = np.sqrt(0.5) * (shared + rng.normal(size=2 * clusters)) + distance * absent
        return roc_area(Ordered(scores, np.arange(2 * clusters) // 2), absent) if 0 < absent.mean() < 1 else Estimate(0)

    truth = float(stats.norm.cdf(distance / np.sqrt(2)))
    return PlotWorld(f"ROC area {truth:.2f}, one object of {1 / share:.0f} absent", truth, measure)


def trusted() -> PlotWorld:
    """AURC of a score that knows something, over pairs of which half say the same twice."""

    def measure(rng: np.random.Generator, clusters: int) -> Estimate:
        scores = _doubled(rng, rng.random((clusters, 2)), 0.5)
        mean = 0.8 - 0.6 * scores
        return risk_area(Ordered(scores, np.arange(2 * clusters) // 2), rng.beta(mean, 1 - mean))

    return PlotWorld("AURC, half of the pairs the same twice", 0.35, measure)


def together(ratio: float) -> PlotWorld:
    """Odds ratio of answer and grounding, over pairs of which half say the same twice."""
    odds = 0.25 * ratio

    def measure(rng: np.random.Generator, clusters: int) -> Estimate:
        ways = _doubled(rng, rng.random((clusters, 2)), 0.5)  # one number tells both, so that both are alike in a pair
        right = ways < 0.7
        within = np.where(right, ways / 0.7, (ways - 0.7) / 0.3)
        found = within < np.where(right, odds / (1 + odds), 0.2)
        one = association((np.arange(2 * clusters) // 2).tolist(), right.astype(np.int64), found.astype(np.int64))
        return Estimate(float("nan")) if one is None else one.odds_ratio

    return PlotWorld(f"odds ratio {ratio:.0f}, half of the pairs the same twice", ratio, measure)


def _doubled(rng: np.random.Generator, values: Floats, alike: float) -> Floats:
    """Let the second of a share of the pairs (clusters, 2) say what the first says."""
    same = rng.random(len(values)) < alike
    return np.where(same[:, None], values[:, :1], values).ravel()


WORLDS: tuple[World | PlotWorld, ...] = (
    *(pairs(mean) for mean in (0.5, 0.82, 0.95, 0.99)),
    samples(0.82, 0.6),
    samples(0.95, 0.6),
    samples(0.5, 0.8, each=3),
    ious(),
    ious(each=3, alike=0.9),
    mostly_alike(0.05),
    mostly_alike(0.95),
    cumulative(),
    absence(),
    harmonic("S, probings far apart", (0.5, 0.8), (0.2, 0.4)),
    harmonic("S, both probings alike", (0.6, 0.6), (0.3, 0.3)),
    detection(1 / 3, 0.0),
    detection(1 / 12, 1.2),
    trusted(),
    together(1),
    together(4),
)


def coverage(world: World | PlotWorld, clusters: int, draws: int, seed: int = 0) -> Coverage:
    """Draw data again and again, and count how often the figure's interval holds the truth."""
    rng = np.random.default_rng([seed, clusters])
    ends = [world.ends(rng, clusters) for _ in range(draws)]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    if not known:
        return Coverage(float("nan"), float("nan"), float("nan"), 1.0)
    low, high = np.array(known).T
    below, above = float(np.mean(low > world.truth)), float(np.mean(high < world.truth))
    return Coverage(1 - below - above, below, above, 1 - len(known) / draws)


def table(draws: int) -> Iterator[str]:
    """The table of the documentation, line by line."""
    yield "| figure | " + " | ".join(f"{size} clusters" for size in SIZES) + " |"
    yield "|---|" + "---|" * len(SIZES)
    for world in WORLDS:
        cells = []
        for size in SIZES:
            found = coverage(world, size, draws)
            without = f" ({100 * found.none:.0f} % without)" if found.none >= 0.005 else ""
            cells.append(f"{100 * found.held:.1f}{without}" if found.none < 1 else "none")
        yield f"| {world.name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How often intervals hold the truth.")
    parser.add_argument("--draws", type=int, default=4000, help="of each world and size")
    for line in table(parser.parse_args().draws):
        print(line, flush=True)


if __name__ == "__main__":
    main()
