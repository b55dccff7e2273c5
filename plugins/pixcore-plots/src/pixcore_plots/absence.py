"""Absence as a detection problem: does a strategy's score tell images without the object from those that have it?"""

from __future__ import annotations

import numpy as np
from pixcore_statistics.orderings import Ordered, roc_area, roc_band

from pixcore_plots.kept import Bools, Floats, Kept, Line
from pixcore_plots.plots import SEES, UNSCORED, Mark, Panel, Plot, Series

GRID = np.arange(51) / 50


def absence(kept: Kept) -> Plot:
    """Plot for each row with a score which absent objects its threshold would find, over false alarms."""
    sizes = kept.sizes
    asked = kept.named & ~np.isnan(sizes)
    truth = asked & (sizes == 0)
    panels, missing = [], {}
    for row, lines in kept.panels():
        scored = {name: line for name, line in lines.items() if (asked & ~np.isnan(line.score)).any()}
        if row.uses_ground_truth or not scored:
            missing[row.label] = SEES if row.uses_ground_truth else UNSCORED
        elif truth.any() and not truth[asked].all():
            series = tuple(_series(kept, name, line, asked, truth) for name, line in scored.items())
            panels.append(Panel(row.key, row.label, row.uses_ground_truth, series))
    why = ""
    if not panels:
        why = "no strategy has a score" if truth.any() else "no object is absent: there is nothing to detect"
        why = "every object is absent: nothing else to tell it from" if truth.any() and truth[asked].all() else why
    return Plot(
        "absence",
        "Absence: what a threshold on the score would find",
        "Call an object absent where the score of what was chosen is below a threshold, and move the threshold: the "
        "share of absent objects found, over the share of objects that are there and would be called absent. Area: how "
        "often an absent object scores lower than one that is there; .5 (the dotted line) is chance. The cross is what "
        "the run itself decided. A choice of nothing, without a score, is never called absent. Band: 1,000 draws of "
        "clusters; the area's interval: t on the logit over clusters, by those of the rarer kind.",
        "Which threshold is right is not to be read from the samples on which it is used. With fewer than ten "
        "clusters of absent objects, or of others, there is no interval.",
        "curve",
        "objects that are there called absent, %",
        "absent objects found, %",
        tuple(panels),
        missing=missing,
        why_empty=why,
    )


def suspicion(line: Line) -> Floats:
    """Say how absent each object looks: the lower the score, the more; what was called absent without a score, most."""
    return np.where(np.isnan(line.score), np.where(line.absent, np.inf, -np.inf), -line.score)


def _series(kept: Kept, name: str, line: Line, asked: Bools, truth: Bools) -> Series:
    used = asked & ~np.isnan(line.iou)
    positive = truth[used]
    ordered = Ordered(suspicion(line)[used], kept.clusters[used])
    both = 0 < positive.sum() < len(positive)
    points = tuple(one.times(100) for one in roc_band(ordered, positive, GRID, seed=kept.seed)) if both else ()
    said = line.absent[used]
    decided = Mark("as decided", *(100 * float(said[kind].mean()) for kind in (~positive, positive))) if both else None
    return Series(
        name=name,
        x=tuple((100 * GRID).tolist()) if both else (),
        points=points,
        counts=(len(positive),) * len(points),
        samples=len(positive),
        clusters=len(np.unique(ordered.clusters)),
        left_out=kept.left_out(line, used),
        numbers={"area": roc_area(ordered, positive)} if both else {},
        marks=(decided,) if decided is not None and said.any() else (),
    )
