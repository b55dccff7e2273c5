"""The table of figures: what each is called and means, and how a sample feeds it.

What shows figures reads this table: the tables of `run` and `score` on a terminal, the report, `compare`,
`summary.json` and `--json` (their order), and `docs/metrics.md`, which a test holds to it. A new figure is one entry
here. `pixcore.protocols` says which probing feeds which accuracy and mean IoU; a config's own feed what stands last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from pixcore.figures.intervals import FigureKind, Floats, ratios
from pixcore.protocols import LOOKED_AT, PROBINGS, own_accuracy, own_mean_iou

PERCENT = "percent"

Terms = tuple[float, float]
"""What one sample adds to a figure's numerator and denominator."""


@dataclass(frozen=True, slots=True)
class ScoredMask:
    """What figures read of one sample's mask under one probing, in one row: numbers alone.

    Attributes:
        iou: With the ground truth, from 0 to 1.
        best: The best among all candidates; None where that is not known.
        predicted: Area of the prediction in pixels.
        truth: Area of the ground truth in pixels; 0 where the object is absent.
        candidates: How many candidates there were to choose from.
        masks: How many masks they had.
        distinct: How many of these differ.
        headline: Whether it counts in the mean IoU (`pixcore.figures.scores.grounded`).
        named: Whether the sample names an object.
        says_absent: Whether the prediction is an empty mask.
        published: Whether it counts in the figures of the fidelity `published` alone.
    """

    iou: float
    best: float | None
    predicted: int
    truth: int
    candidates: int
    masks: int
    distinct: int
    headline: bool
    named: bool
    says_absent: bool
    published: bool

    @property
    def overlap(self) -> Terms:
        """Intersection and union in pixels, from IoU and the two areas."""
        total = self.predicted + self.truth
        union = total / (1.0 + self.iou)
        return total - union, union


@dataclass(frozen=True)
class FigureColumn:
    """One figure: a ratio of sums over samples, fed by answers or by masks, or made of other figures.

    Exactly one of `answer`, `mask`, `made_of` and `less_control` is given.

    Attributes:
        name: What it is called everywhere.
        meaning: What it says, in one line.
        probing: The probing that feeds it; None where it is made of other figures.
        answer: Takes whether a sample's answer is right.
        mask: Takes a sample's mask; gives nothing where the sample does not count. (0, 0) counts and adds nothing.
        made_of: The names of the figures that it is made of, and the function of their values (0 to 1; NaN: unknown).
        less_control: The figure of which it is a strategy's less its control's; in a control's row, its strategy's.
        pairs: Where the samples come in pairs, a pair counts, and only if both of its samples are right.
        paired: Exists only where samples come in pairs.
        main: Stands in the main table, as in the paper's Table 1, with its interval. The others are further figures: a
            terminal has them below, values alone, and in one line where all rows say the same; a report likewise.
        unit: What it is told in: "percent" of what its terms give, or, by any other name, as they give it.
        higher_is_better: Which way is better.
        kind: What its terms make, from which the method of its interval follows.
        bounded: Whether a choice by IoU, the ground truth in hand, makes it as large as can be.
    """

    name: str
    meaning: str
    probing: str | None = None
    answer: Callable[[bool], Terms] | None = None
    mask: Callable[[ScoredMask], Terms | None] | None = None
    made_of: tuple[tuple[str, ...], Callable[..., Floats]] | None = None
    less_control: str | None = None
    pairs: bool = False
    paired: bool = False
    main: bool = False
    unit: str = PERCENT
    higher_is_better: bool = True
    kind: FigureKind = "mean"
    bounded: bool = False

    def __post_init__(self) -> None:
        made = self.made_of or self.less_control
        if sum(given is not None for given in (self.answer, self.mask, made)) != 1:
            raise ValueError(f"figure {self.name!r}: give one of answer, mask, made_of and less_control")
        if not (self.probing is None) == (self.kind == "made") == (made is not None):
            raise ValueError(f"figure {self.name!r}: name the probing that feeds it, or the kind 'made'")

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the figures that it is made of."""
        return self.made_of[0] if self.made_of else (self.less_control,) if self.less_control else ()


def harmonic_mean(accuracy: Floats, grounding: Floats) -> Floats:
    """Work out the harmonic mean of an accuracy and a mean IoU."""
    return ratios(np.asarray(2 * accuracy * grounding), np.where(accuracy * grounding == 0, 1, accuracy + grounding))


def harmonic_score(free: Floats, letter: Floats, unasked: Floats, asked: Floats) -> Floats:
    """Work out S, the harmonic mean of max(A, A†) and max(M, M†) (paper, section 3)."""
    return harmonic_mean(np.fmax(free, letter), np.fmax(unasked, asked))


def _right(right: bool) -> Terms:
    return float(right), 1.0


def _accuracy(name: str, probing: str) -> FigureColumn:
    meaning = _MEANINGS.get(name, f"accuracy under {probing}")
    return FigureColumn(name, meaning, probing, answer=_right, pairs=True, main=True, kind="proportion")


def _per_sample(name: str, probing: str) -> FigureColumn:
    meaning = f"{name} where every sample counts for itself"
    return FigureColumn(f"{name} per sample", meaning, probing, answer=_right, paired=True, kind="proportion")


def _iou_over(
    name: str, meaning: str, probing: str, counts: Callable[[ScoredMask], object], *, main: bool = False
) -> FigureColumn:
    """A mean of the IoUs that count."""
    return FigureColumn(
        name, meaning, probing, mask=lambda one: (one.iou, 1.0) if counts(one) else None, main=main, bounded=True
    )


def _mean_iou(name: str, probing: str) -> FigureColumn:
    return _iou_over(name, _MEANINGS.get(name, f"mIoU under {probing}"), probing, lambda one: one.headline, main=True)


def _unchosen(name: str, accuracy: str, grounding: str) -> FigureColumn:
    meaning, parts = f"harmonic mean of {accuracy} and {grounding}, S unchosen", (accuracy, grounding)
    return FigureColumn(name, meaning, made_of=(parts, harmonic_mean), kind="made", bounded=True)


def _beside(name: str, probing: str) -> tuple[FigureColumn, ...]:
    """What stands beside a mean IoU."""
    less = f"{name} less that of the same strategy on its control's candidates (of a control: its strategy's less it)"
    none = "published alone: mean IoU, images without a named object among them"
    there = "published alone: mean IoU of the objects that are there"
    every = "mean IoU, absent objects among them, two empty masks as 1 (LISA, gRefCOCO)"
    total = "sum of all intersections over the sum of all unions (LISA, gRefCOCO)"
    return (
        FigureColumn(f"{name} less control", less, less_control=name, kind="made"),
        _iou_over(f"{name} with none", none, probing, lambda one: one.published),
        _iou_over(f"{name} there", there, probing, lambda one: one.published and one.named and one.truth),
        _iou_over(f"{name} gIoU", every, probing, lambda one: one.named),
        FigureColumn(f"{name} cIoU", total, probing, mask=lambda one: one.overlap if one.named else None, kind="ratio"),
    )


_MEANINGS = {
    "A†": "accuracy of free answers, read by the judge",
    "A": "accuracy by letter: letters, or the option's words (`bare_letters`: letters alone)",
    "M†": "mIoU of what was segmented unasked",
    "M": "mIoU of what was asked for",
}

_ACCURACIES = [(one.accuracy, one.name) for one in PROBINGS.values() if one.accuracy is not None]
_MEAN_IOUS = [(one.mean_iou, one.name) for one in PROBINGS.values() if one.mean_iou is not None]
_ASKED_FOR = LOOKED_AT[0]

FIGURES: tuple[FigureColumn, ...] = (
    *(_accuracy(*fed) for fed in _ACCURACIES),
    *(_mean_iou(*fed) for fed in _MEAN_IOUS),
    FigureColumn(
        "S",
        "harmonic mean of max(A, A†) and max(M, M†)",
        made_of=(("A†", "A", "M†", "M"), harmonic_score),
        main=True,
        kind="made",
        bounded=True,
    ),
    *(_unchosen(*fed) for fed in (("S†", "A†", "M†"), ("S asked", "A", "M"))),
    *(_per_sample(*fed) for fed in _ACCURACIES),
    *(column for fed in _MEAN_IOUS for column in _beside(*fed)),
    FigureColumn(
        "absence precision",
        "of the empty predictions the share whose object is absent",
        _ASKED_FOR,
        mask=lambda one: (float(one.truth == 0), 1.0) if one.named and one.says_absent else None,
        kind="proportion",
    ),
    FigureColumn(
        "absence recall",
        "of the absent objects the share that was answered by an empty mask",
        _ASKED_FOR,
        mask=lambda one: (float(one.says_absent), 1.0) if one.named and one.truth == 0 else None,
        kind="proportion",
    ),
)
"""All figures: the paper's columns in its order, then the further ones."""


class Own(NamedTuple):
    """What is a run's own: probings that have masks, and that are graded; what S is made of, if it says so."""

    masks: tuple[str, ...] = ()
    graded: tuple[str, ...] = ()
    s_of: tuple[str, ...] = ()


NO_OWN = Own()


@cache
def with_own(own: Own = NO_OWN) -> Mapping[str, FigureColumn]:
    """List all figures of a run by their names: those of its own probings after the others."""
    accuracies = [(own_accuracy(probing), probing) for probing in own.graded]
    columns = (
        *FIGURES,
        *(column for fed in accuracies for column in (_accuracy(*fed), _per_sample(*fed))),
        *(column for fed in mean_ious(own)[len(_MEAN_IOUS) :] for column in (_mean_iou(*fed), *_beside(*fed))),
    )
    named = {column.name: column for column in columns}
    if own.s_of:
        meaning = f"harmonic mean of {' and '.join(own.s_of)}, named beforehand"
        named["S"] = replace(named["S"], meaning=meaning, made_of=(own.s_of, harmonic_mean))
    return named


def mean_ious(own: Own = NO_OWN) -> list[tuple[str, str]]:
    """Give each mean IoU with the probing that feeds it."""
    return [*_MEAN_IOUS, *((own_mean_iou(probing), probing) for probing in own.masks)]


def main_columns(own: Own = NO_OWN) -> tuple[str, ...]:
    """Name the main table's columns, in order."""
    return tuple(column.name for column in with_own(own).values() if column.main)


def scale(name: str) -> float:
    """Give what a figure's ratio is multiplied with to be told in its unit."""
    column = with_own().get(name)
    return 100.0 if column is None or column.unit == PERCENT else 1.0


def in_order(names: Iterable[str], own: Own = NO_OWN) -> list[str]:
    """Sort figures' names: the main table's, the further ones, each as the table has them, and unknown ones."""
    places = {column.name: (not column.main, place) for place, column in enumerate(with_own(own).values())}
    return sorted(names, key=lambda name: places.get(name, (True, len(places))))


def made(values: Mapping[str, Floats], own: Own = NO_OWN) -> Iterator[tuple[FigureColumn, Floats]]:
    """Work out the figures that are made of others, whose values by name are from 0 to 1, or NaN for unknown."""
    for column in with_own(own).values():
        if column.made_of is not None and all(name in values for name in column.parts):
            yield column, column.made_of[1](*(values[name] for name in column.parts))
