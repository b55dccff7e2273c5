"""Answers and masks together, sample by sample: odds ratios, and how many are right in both."""

from __future__ import annotations

import numpy as np
from pixcore_statistics.estimates import Estimate

from pixcore.protocols import in_order
from pixcore_plots.kept import UNKNOWN, Kept, Line
from pixcore_plots.outcomes import Association, association
from pixcore_plots.plots import Mark, Panel, Plot, Series

INDEPENDENT, GUESSED = "if independent", "if answers were guessed"

_NOTHING = "no sample has both an answer that was graded and a mask that was measured"

_NOT_CAUSE = (
    "An association is no cause: samples may be easy in both ways. It is of samples, not pairs, and of one row's masks."
)


def together(kept: Kept) -> tuple[Plot, Plot]:
    """Plot for each row the odds ratios of answers and masks, and how many are right in both."""
    answers = kept.answers()
    graded = in_order(answers)
    clusters = kept.clusters
    odds, both, missing = [], [], {}
    for row, lines in kept.panels():
        of = {
            name: {
                number: one
                for number, probing in enumerate(graded)
                if (one := association(clusters, answers[probing], line.found)) is not None
            }
            for name, line in lines.items()
        }
        shown = {name: ones for name, ones in of.items() if ones}
        if not shown:
            missing[row.label] = _NOTHING
            continue
        about = (row.key, row.label, row.uses_ground_truth)
        odds.append(
            Panel(*about, tuple(_odds(kept, name, lines[name], ones, graded) for name, ones in shown.items()), 1.0)
        )
        both.append(Panel(*about, tuple(_both(kept, name, lines[name], ones, graded) for name, ones in shown.items())))
    why = "" if odds else _NOTHING
    return (
        Plot(
            "odds",
            "Answer and grounding: does one go with the other?",
            "How much better the odds of a found object are where the answer is right, by whose answers. 1 (the dotted "
            "line): the two have nothing to do with each other. A mask is right above an IoU of one half, or where it "
            "says that an absent object is absent. Intervals: t over clusters, on the logarithm.",
            f"{_NOT_CAUSE} Where fewer than ten answers, or masks, are wrong (or right) there is no interval; where "
            "all are alike, no odds ratio.",
            "forest",
            "answers",
            "odds ratio",
            tuple(odds),
            tuple(graded),
            missing,
            why,
        ),
        Plot(
            "both",
            "Answer and grounding: both right",
            "The share of samples with a right answer and a found object. | what it would be if the two had nothing to "
            "do with each other, × what it would be if answers were guesses among the options. Intervals: Wilson's "
            "over clusters.",
            f"{_NOT_CAUSE} Beyond | is not beyond the control: a control whose masks are bad lies left of it by that "
            "alone.",
            "forest",
            "answers",
            "samples with both right, %",
            tuple(both),
            tuple(graded),
            missing,
            why,
        ),
    )


def _odds(kept: Kept, name: str, line: Line, ones: dict[int, Association], graded: list[str]) -> Series:
    there = {number: one for number, one in ones.items() if not np.isnan(one.odds_ratio.value)}
    return _series(kept, name, line, ones, graded, {number: one.odds_ratio for number, one in there.items()})


def _both(kept: Kept, name: str, line: Line, ones: dict[int, Association], graded: list[str]) -> Series:
    answers, guesses = kept.answers(), kept.guesses
    marks = []
    for number, one in ones.items():
        marks.append(Mark(INDEPENDENT, 100 * one.independent, number))
        used = (answers[graded[number]] != UNKNOWN) & (line.found != UNKNOWN)
        guessed = float(np.mean(guesses[used] * line.found[used]))
        if not np.isnan(guessed):
            marks.append(Mark(GUESSED, 100 * guessed, number))
    numbers = {f"more than {INDEPENDENT}, {graded[number]}": one.excess.times(100) for number, one in ones.items()}
    points = {number: one.both.times(100) for number, one in ones.items()}
    return _series(kept, name, line, ones, graded, points, numbers, marks)


def _series(
    kept: Kept,
    name: str,
    line: Line,
    ones: dict[int, Association],
    graded: list[str],
    points: dict[int, Estimate],
    numbers: dict[str, Estimate] | None = None,
    marks: list[Mark] | None = None,
) -> Series:
    most = max(ones, key=lambda number: sum(ones[number].samples))
    used = line.found != UNKNOWN
    unanswered = int((used & (kept.answers()[graded[most]] == UNKNOWN)).sum())
    return Series(
        name=name,
        x=tuple(map(float, points)),
        points=tuple(points.values()),
        counts=tuple(sum(ones[number].samples) for number in points),
        samples=sum(ones[most].samples),
        clusters=ones[most].clusters,
        left_out=kept.left_out(line, used) | ({"without a graded answer": unanswered} if unanswered else {}),
        numbers=numbers or {},
        marks=tuple(marks or ()),
    )
