"""Mean IoU by what makes a sample hard or easy: how large its object is, and how many candidates there were."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.means import mean_interval

from pixcore.figures.intervals import FEW
from pixcore.figures.rows import RowSpec
from pixcore_plots.kept import Floats, Ints, Kept, Line
from pixcore_plots.plots import Panel, Plot, Series

BINS = 5
"""At most so many groups, of about as many samples each, and of at least `FEW`."""

_SAYS = (
    "Samples fall into groups of about one size, the same for every row. Intervals: t over clusters; none below ten."
)


def by_size(kept: Kept) -> Plot:
    """Plot mean IoU over the share of the image that the object covers."""
    return _plot(
        kept,
        "size",
        "IoU by the size of the object",
        f"Mean IoU of objects that cover so much of their image. {_SAYS}",
        "Small objects also score lower because one pixel of border weighs more. Objects of one size may differ from "
        "others in what they are: this is no effect of size alone.",
        "share of the image that the object covers, %",
        lambda line: kept.sizes,
        lambda low, high: f"{_two_digits(100 * low)}–{_two_digits(100 * high)}",
    )


def by_candidates(kept: Kept) -> Plot:
    """Plot mean IoU over the number of candidates; a control's samples lie where the row's own do."""
    return _plot(
        kept,
        "candidates",
        "IoU by the number of candidates",
        f"Mean IoU of samples with so many candidates; a control has as many. {_SAYS}",
        "An upper bound rises with the number of candidates by that alone, as its control does: what attention adds is "
        "the distance. Longer answers have more candidates, and are not about the same samples.",
        "candidates to choose from",
        lambda line: np.where(line.candidates > 0, line.candidates, np.nan),
        lambda low, high: f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}",
    )


def _two_digits(share: float) -> str:
    return f"{share:.0f}" if share >= 10 else f"{share:.2g}"  # the whole image is 100, and not 1e+02


def groups(values: Floats) -> Ints:
    """Put values into groups of about as many each, and of at least `FEW` where there are as many; equals share one.

    Args:
        values: (n,).

    Returns:
        (n,) numbers from 0, in the order of the values.

    >>> groups(np.array([1.0] * 30 + [2.0] * 20 + [3.0] * 20)).tolist() == [0] * 30 + [1] * 20 + [2] * 20
    True
    """
    if not len(values):
        return np.zeros(0, np.int64)
    count = int(np.clip(len(values) // FEW, 1, BINS))
    alike, sizes = np.unique(values, return_counts=True)
    begins = np.cumsum(sizes) - sizes  # how many values are lower
    edges: list[float] = []
    done = 0
    for wanted in np.arange(1, count) * len(values) / count:
        place = int(np.searchsorted(begins, max(wanted, done + FEW) - 0.5))
        if place < len(alike) and len(values) - begins[place] >= FEW:
            edges.append(float(alike[place]))
            done = int(begins[place])
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def _plot(
    kept: Kept,
    name: str,
    title: str,
    says: str,
    cannot: str,
    x: str,
    values_of: Callable[[Line], Floats],
    label: Callable[[float, float], str],
) -> Plot:
    def rows() -> Iterator[tuple[RowSpec, dict[str, Line], Floats]]:
        return ((row, lines, values_of(next(iter(lines.values())))) for row, lines in kept.panels())

    known = np.full(len(kept), np.nan)
    for _, lines, values in rows():
        counted = np.any([line.counted for line in lines.values()], axis=0)
        known = np.where(np.isnan(known) & counted, values, known)
    there = ~np.isnan(known)
    group = np.full(len(kept), -1, np.int64)
    group[there] = groups(known[there])
    spans = [known[group == number] for number in range(group.max(initial=-1) + 1)]
    panels, missing = [], {}
    for row, lines, values in rows():
        series = tuple(
            _series(kept, series, line, np.where(np.isnan(values), -1, group), len(spans))
            for series, line in lines.items()
            if (line.counted & ~np.isnan(values)).any()
        )
        if series:
            panels.append(Panel(row.key, row.label, row.uses_ground_truth, series))
        else:
            missing[row.label] = "no mask was measured, or there was nothing to choose from"
    return Plot(
        name,
        title,
        says,
        cannot,
        "bins",
        x,
        "mean IoU, %",
        tuple(panels),
        tuple(label(float(span.min()), float(span.max())) for span in spans),
        missing,
        "" if panels else "no masks were measured, or there was nothing to choose from",
    )


def _series(kept: Kept, name: str, line: Line, group: Ints, count: int) -> Series:
    used = line.counted & (group >= 0)
    places = [number for number in range(count) if (used & (group == number)).any()]

    def terms(some: Ints) -> Floats:
        weights = (group[some, None] == places).astype(np.float64)
        return np.concatenate([weights * line.iou[some, None], weights], axis=1)

    sums = kept.sums(used, terms)
    above, below = np.split(sums, 2, axis=1)
    points = tuple(
        Estimate(
            float(total.sum() / counted.sum()), *(mean_interval(total, counted, fewest=FEW) or (None, None))
        ).times(100)
        for total, counted in zip(above.T, below.T, strict=True)
    )
    return Series(
        name=name,
        x=tuple(map(float, places)),
        points=points,
        counts=tuple(int(number) for number in below.sum(0)),
        samples=int(used.sum()),
        clusters=len(sums),
        left_out=kept.left_out(line, used),
    )
