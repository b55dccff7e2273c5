"""Draw the best of N: how the best mask grows with the number of masks to choose from.

Every point of a curve is over the same samples, those that have the largest N; else a curve could fall with N, because
other samples stand behind its points. Two curves that are set side by side are over the same samples, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from pixcore_scoring.clusters import Clusters
from pixcore_statistics.best_of import expected_best
from pixcore_statistics.estimates import Estimate, Floats, of_sums
from pixcore_statistics.rows_in_file import Ints, RowsInFile, summed_blocks

from pixcore.figures.intervals import Cluster

SIZES = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90)
"""Numbers of candidate masks at which best-of-N is evaluated."""

_LACKING = np.full(len(SIZES), np.nan)

OWN, CONTROL = "own candidates", "matched control"


@dataclass(frozen=True)
class Curve:
    """The best of N candidate masks, as N grows.

    Attributes:
        name: Whose masks.
        n: Numbers of masks, drawn without replacement.
        points: Mean over samples of the expected best IoU, in percent, one for each n.
        samples: How many samples have the largest n; every point is over these.
        left_out: How many have fewer.
    """

    name: str
    n: tuple[int, ...]
    points: tuple[Estimate, ...]
    samples: int
    left_out: int


class Curves:
    """Collects expected bests, sample by sample, and makes curves that can be compared.

    The largest N is the largest that at least half of the samples have, under every name.

    Args:
        seed: Of the bootstrap.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._length = seed, 0
        self._clusters = Clusters()
        self._rows: dict[str, RowsInFile] = {}

    def add(self, cluster: Cluster, ious: Mapping[str, Floats]) -> None:
        """Take in one sample's IoUs of all masks (n,) under each name."""
        number = self._clusters.number(cluster)
        for name in dict.fromkeys((*self._rows, *ious)):
            if name not in self._rows:
                self._rows[name] = RowsInFile(len(SIZES))
            rows = self._rows[name]
            while len(rows) < self._length:  # samples before had nothing under this name
                rows.add(0, *_LACKING)
            rows.add(number, *(expected_best(ious[name], SIZES) if name in ious else _LACKING))
        self._length += 1

    def finish(self) -> tuple[Curve, ...]:
        """Make one curve a name, in the order in which names first came."""
        # for each size the samples that have it under every name
        reached = sum((~np.isnan(table).any(axis=0)).sum(axis=0) for _, table in self._blocks())
        enough = np.flatnonzero(np.multiply(reached, 2) >= max(self._length, 1))
        if not len(enough):
            return ()
        last = int(enough[-1])
        return tuple(self._curve(name, place, last) for place, name in enumerate(self._rows))

    def _curve(self, name: str, place: int, last: int) -> Curve:
        there = ((clusters, table, ~np.isnan(table[:, :, last]).any(axis=0)) for clusters, table in self._blocks())
        values = ((clusters[kept], 100 * table[place, kept, : last + 1]) for clusters, table, kept in there)
        ones = ((clusters, np.concatenate([found, np.ones_like(found)], axis=1)) for clusters, found in values)
        above, below = np.split(summed_blocks(ones, len(self._clusters)), 2, axis=1)
        samples = int(below[:, 0].sum())
        points = of_sums(above, below, seed=self._seed)
        return Curve(name, SIZES[: last + 1], tuple(points), samples, self._length - samples)

    def _blocks(self) -> Iterator[tuple[Ints, Floats]]:
        """Give the samples, some at once: their clusters (n,), and the expected bests (names, n, sizes)."""
        for several in zip(*(rows.blocks() for rows in self._rows.values()), strict=True):
            yield np.max([clusters for clusters, _ in several], axis=0), np.stack([table for _, table in several])
