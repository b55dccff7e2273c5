"""An interval for every figure of a table: the method follows from the figure's kind.

* proportion: Wilson's, over as many independent answers as the clusters are worth;
* mean: t, over clusters;
* ratio (of two sums): t over clusters, on the logit;
* made (of other figures): percentiles of 10,000 bootstrap draws of clusters, its parts drawn together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.columns import NO_OWN, Own, made
from pixcore.figures.intervals import FEW, Sums
from pixcore_statistics import bootstrap
from pixcore_statistics.means import mean_interval, ratio_interval
from pixcore_statistics.proportions import share_interval

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """How sure a figure is.

    Attributes:
        low: Lower end of the 95 % interval, as the figure's terms give it; None where none would be honest.
        high: Upper end.
        method: How it was made, in a word or two; "" where there is none.
    """

    low: float | None = None
    high: float | None = None
    method: str = ""


METHODS = {"proportion": "Wilson", "mean": "t", "ratio": "t of the logit", "made": "bootstrap"}


def intervals(rows: Sequence[Mapping[str, Sums]], own: Own = NO_OWN, *, seed: int = 0) -> list[dict[str, Interval]]:
    """Give the intervals of all figures of a table's rows, over one set of clusters.

    Args:
        rows: Of each row the figures' terms, read one row at a time: a table's may lie in a file.
        own: The run's own probings and rules.
        seed: Of the bootstrap.

    Returns:
        For each row an interval for each of its figures, and for each that is made of them.
    """
    known: dict[bytes, Interval] = {}  # rows share what answers feed, and often more
    keys: list[dict[str, bytes]] = []
    for row in rows:
        keys.append(told_apart(row))
        for name, key in keys[-1].items():
            if key not in known:
                known[key] = interval_of(row[name])
    found = [{name: known[key] for name, key in own_keys.items()} for own_keys in keys]
    for told, spreads in zip(found, made_draws(rows, keys, own, seed=seed), strict=True):
        told |= {name: _percentiles(drawn, clusters) for name, (drawn, clusters) in spreads.items()}
    return found


def interval_of(sums: Sums, *, level: float = bootstrap.LEVEL) -> Interval:
    """Give the interval of one figure that is no other's."""
    numerators, denominators = sums.numerators, sums.denominators
    if not (denominators > 0).any():
        return Interval()
    if sums.kind == "proportion":
        ends = share_interval(numerators, denominators, level=level)
    elif sums.kind == "ratio":
        ends = ratio_interval(numerators, denominators, fewest=FEW, level=level)
    else:
        ends = mean_interval(numerators, denominators, fewest=FEW, level=level)
    return Interval() if ends is None else Interval(*ends, METHODS[sums.kind])


def made_draws(
    rows: Sequence[Mapping[str, Sums]],
    keys: Sequence[Mapping[str, bytes]],
    own: Own = NO_OWN,
    *,
    seed: int,
    resamples: int = bootstrap.RESAMPLES,
) -> Iterator[dict[str, tuple[Floats, int]]]:
    """Draw the figures that are made of others, all rows by the same draws.

    Args:
        rows: Of each row the figures' terms.
        keys: What they are known by (`told_apart`).
        own: The run's own probings and rules.
        seed: Of the bootstrap.
        resamples: How often to draw.

    Yields:
        For each row by name the bootstrap's values, (resamples,), and how many clusters count in the rarest of its
        parts that anybody measured: a figure is as sure as what it is made of.
    """
    names = {name for row in keys for name in row}
    parts = {name for entry, _ in made(dict.fromkeys(names, np.ones(1)), own) for name in entry.parts}
    columns: dict[bytes, tuple[Floats, Floats]] = {}
    fed = [{name: key for name, key in row.items() if name in parts} for row in keys]
    defined = False
    for row, known in zip(rows, fed, strict=True):
        for name, key in known.items():
            if key not in columns:
                terms = row[name].numerators, row[name].denominators
                columns[key] = bootstrap.grouped(terms[0], seed), bootstrap.grouped(terms[1], seed)
        some = {name: np.where(columns[key][1].any(), np.ones(1), np.nan) for name, key in known.items()}
        defined = defined or not all(np.isnan(value) for _, value in made(some, own))
    if defined:
        numerators, denominators = (np.stack(terms, axis=1) for terms in zip(*columns.values(), strict=True))
        values = bootstrap.resampled_ratios(numerators, denominators, seed=seed, resamples=resamples).T
    else:  # what is made of figures that nobody measured is none in any draw
        values = np.full((len(columns), resamples), np.nan)
    drawn = dict(zip(columns, values, strict=True))
    for row, known in zip(rows, fed, strict=True):
        own_parts = {name: drawn[key] for name, key in known.items()}
        counts = {name: int((row[name].denominators > 0).sum()) for name in known}
        yield {
            entry.name: (spread, min(filter(None, (counts[name] for name in entry.parts)), default=0))
            for entry, spread in made(own_parts, own)
        }


def told_apart(row: Mapping[str, Sums]) -> dict[str, bytes]:
    """Give what each figure's terms are known by: equal ones, of whichever row, by the same."""
    keys = {}
    for name, sums in row.items():
        digest = hashlib.blake2b(sums.kind.encode())
        for terms in (sums.numerators, sums.denominators):
            digest.update(terms.tobytes())
        keys[name] = digest.digest()
    return keys


def _percentiles(drawn: Floats, clusters: int) -> Interval:
    if clusters < FEW:
        return Interval()
    ends = bootstrap.interval_of_width(drawn)
    return Interval() if ends is None else Interval(*ends, METHODS["made"])
