"""Risk and coverage: is a strategy's score worth trusting? Keep what scores high, and see what is wrong among it."""

from __future__ import annotations

import numpy as np
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.orderings import Ordered, best_risk_area, risk_area, risk_band

from pixcore_plots.kept import Kept, Line
from pixcore_plots.plots import SEES, UNSCORED, Panel, Plot, Series

GRID = np.arange(1, 51) / 50


def trust(kept: Kept) -> Plot:
    """Plot for each row with a score the mean loss of IoU among the samples that score highest."""
    panels, missing = [], {}
    for row, lines in kept.panels():
        scored = {name: line for name, line in lines.items() if (line.counted & ~np.isnan(line.score)).any()}
        if row.uses_ground_truth or not scored:
            missing[row.label] = SEES if row.uses_ground_truth else UNSCORED
            continue
        series = tuple(_series(kept, name, line) for name, line in scored.items())
        panels.append(Panel(row.key, row.label, row.uses_ground_truth, series, level=series[0].points[-1].value))
    return Plot(
        "risk",
        "Risk and coverage: whether a score knows when it is right",
        "Keep only the share of samples whose score is highest (coverage), and read what is lost among them: 100 - "
        "mean IoU (risk). A score that knows when it is right falls to the left; the dotted line is the risk of no "
        "order. AURC is the mean risk over all coverages, beside it the least that any order could "
        "have, and that of no order. What has no score comes last. Band: 1,000 draws of clusters; AURC's interval: t "
        "over clusters.",
        "AURC is low for good masks in any order: compare it with that of no order, not across rows. A score that is "
        "informative here need not be calibrated.",
        "curve",
        "coverage: samples kept, %",
        "risk: 100 - mean IoU, %",
        tuple(panels),
        missing=missing,
        why_empty="" if panels else "no strategy has a score",
    )


def _series(kept: Kept, name: str, line: Line) -> Series:
    used = line.counted
    losses = 1 - line.iou[used]
    scores = line.score[used]
    ordered = Ordered(np.where(np.isnan(scores), -np.inf, scores), kept.clusters[used])
    points = tuple(one.times(100) for one in risk_band(ordered, losses, GRID, seed=kept.seed))
    return Series(
        name=name,
        x=tuple((100 * GRID).tolist()),
        points=points,
        counts=tuple(int(np.ceil(round(share * len(losses), 6))) for share in GRID),  # .14 of 100 is 14
        samples=len(losses),
        clusters=len(np.unique(ordered.clusters)),
        left_out=kept.left_out(line, used),
        numbers={
            "AURC": risk_area(ordered, losses).times(100),
            "of the best order": Estimate(100 * best_risk_area(losses)),
            "of no order": Estimate(100 * float(losses.mean())),
        },
    )
