"""Success curves: the share of samples whose mask fits better than a threshold, over all thresholds."""

from __future__ import annotations

import numpy as np
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.proportions import share_interval

from pixcore_plots.kept import Floats, Kept, Line
from pixcore_plots.plots import Panel, Plot, Series

THRESHOLDS = np.arange(51) / 50
NAMED = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Thresholds at which a curve is told as a number: Pr@.5 and so on."""


def success(kept: Kept) -> Plot:
    """Plot for each row which share of samples has an IoU above each threshold."""
    panels, missing = [], {}
    for row, lines in kept.panels():
        series = tuple(_series(kept, name, line) for name, line in lines.items() if line.counted.any())
        if series:
            panels.append(Panel(row.key, row.label, row.uses_ground_truth, series))
        else:
            missing[row.label] = "no mask was measured"
    return Plot(
        "success",
        "Success: how many masks fit better than a threshold",
        "The share of samples whose IoU is above t, for every t; the area under a curve is its row's mean IoU. A curve "
        "that is high on the left and falls early finds objects and draws them badly. Bands: Wilson's 95 % intervals "
        "over clusters, point by point.",
        "Bands hold for one threshold each, not for a whole curve. Where own and control overlap says little of their "
        "difference: both are of the same samples, and a paired interval (pixcore compare) is narrower.",
        "curve",
        "IoU threshold t",
        "share of samples above t, %",
        tuple(panels),
        missing=missing,
        why_empty="" if panels else "no masks were measured",
    )


def _series(kept: Kept, name: str, line: Line) -> Series:
    used = line.counted
    counts = kept.sums(used, lambda some: np.ones((len(some), 1)))[:, 0]

    def above(thresholds: Floats) -> Floats:
        return kept.sums(used, lambda some: (line.iou[some, None] > thresholds).astype(np.float64))

    # a few thresholds at once: each is as many numbers as there are clusters
    points = tuple(_share(right, counts) for some in np.array_split(THRESHOLDS, 10) for right in above(some).T)
    return Series(
        name=name,
        x=tuple(THRESHOLDS.tolist()),
        points=points,
        counts=(int(used.sum()),) * len(points),
        samples=int(used.sum()),
        clusters=len(counts),
        left_out=kept.left_out(line, used),
        numbers={f"Pr@{f'{at:g}'[1:]}": points[int(np.searchsorted(THRESHOLDS, at))] for at in NAMED},
    )


def _share(right: Floats, counts: Floats) -> Estimate:
    ends = share_interval(right, counts) or (None, None)
    return Estimate(float(right.sum() / counts.sum()), *ends).times(100)
