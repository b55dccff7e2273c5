"""Say what place and concept of the best phrase go with, when other things are held fixed: a linear regression.

A sample with a longer text and more phrases has its best phrase elsewhere, and fits better, whatever attention knows.
So own and control samples are put in one regression with success, length and number of phrases; what is left for *own*
is what attention adds. Standard errors are robust to clusters (Liang and Zeger 1986, with the usual factor for small
samples).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from pixcore_statistics.bootstrap import summed
from pixcore_statistics.estimates import Estimate, Floats
from scipy import stats

from pixcore.figures.intervals import FEW
from pixcore_emergence.looks import CONCEPTS, SUCCESS, Looks

TERMS = ("own, not control", "success", "10 more words", "1 more phrase")


class Effect(NamedTuple):
    """How far an outcome moves with one term, the others held fixed.

    Attributes:
        outcome: "place", in percent of the text, or a concept, in percentage points of its share.
        term: One of `TERMS`.
        estimate: The coefficient; None where the term does not vary, or goes exactly with the others.
    """

    outcome: str
    term: str
    estimate: Estimate | None


def effects(own: Looks, control: Looks) -> list[Effect]:
    """Regress place and concepts of the best phrase on `TERMS`; nothing where there are fewer than ten clusters."""
    read = [looks.read("iou", "place", "concepts", "words", "phrases") for looks in (own, control)]
    clusters = np.concatenate([several for several, _ in read]).tolist()
    if len(set(clusters)) < FEW:
        return []
    iou, place, concepts, words, phrases = (
        np.concatenate(both) for both in zip(*(some for _, some in read), strict=True)
    )
    is_own = np.arange(len(clusters))[:, None] < len(own)
    terms = np.concatenate([is_own, iou > SUCCESS, words / 10, phrases], axis=1)
    outcomes = {"place": place[:, 0]} | dict(zip(map(str, CONCEPTS), 100 * concepts.T, strict=True))
    return [
        Effect(name, term, estimate)
        for name, values in outcomes.items()
        if np.ptp(values)
        for term, estimate in zip(TERMS, regress(values, terms, clusters), strict=True)
    ]


def regress(outcome: Floats, terms: Floats, clusters: Sequence[Hashable]) -> list[Estimate | None]:
    """Fit least squares with an intercept; intervals by cluster-robust errors and Student's t.

    There is none where everything fits exactly, nor of a term of two values that fewer than ten clusters have one of.

    Args:
        outcome: (n,).
        terms: (n, k); a column that is constant, or a sum of columns before it, gets no coefficient.
        clusters: (n,) what each row is drawn together with.
    """
    kept: list[int] = []
    design = np.ones((len(outcome), 1))
    for column in range(terms.shape[1]):
        wider = np.column_stack([design, terms[:, column]])
        if np.linalg.matrix_rank(wider) == wider.shape[1]:
            design = wider
            kept.append(column)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ outcome
    scores = summed(clusters, design * (outcome - design @ coefficients)[:, None])
    groups, n, k = len(scores), *design.shape
    factor = groups / (groups - 1) * (n - 1) / (n - k)
    errors = np.sqrt(np.diag(factor * inverse @ (scores.T @ scores) @ inverse))
    reach = stats.t.ppf(0.975, groups - 1) * errors
    found: list[Estimate | None] = [None] * terms.shape[1]
    for place, column in enumerate(kept, start=1):
        value = float(coefficients[place])
        sure = reach[place] > 1e-9 and not _is_rare(terms[:, column], clusters)
        ends = (value - float(reach[place]), value + float(reach[place])) if sure else (None, None)
        found[column] = Estimate(value, *ends)
    return found


def _is_rare(term: Floats, clusters: Sequence[Hashable]) -> bool:
    """Whether a term of two values has one of them in fewer than ten clusters.

    The fit goes through these few, and cluster-robust errors take that for being sure.
    """
    values = np.unique(term)
    return len(values) == 2 and any(len(set(compress(clusters, term == one))) < FEW for one in values)
