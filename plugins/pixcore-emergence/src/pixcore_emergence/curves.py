"""Draw the best of N: how the best mask grows with the number of masks to choose from.

Every point of a curve is over the same samples, those that have the largest N; else a curve could fall with N, because
other samples stand behind its points. Two curves that are set side by side are over the same samples, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pixcore_statistics.best_of import expected_best
from pixcore_statistics.estimates import Estimate, Floats, means

from pixcore.figures.intervals import Cluster

SIZES = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90)
"""Numbers of candidate masks at which best-of-N is evaluated."""

OWN, CONTROL = "own candidates", "matched random control"


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
        self._seed = seed
        self._clusters: list[Cluster] = []
        self._rows: list[Mapping[str, Floats]] = []

    def add(self, cluster: Cluster, ious: Mapping[str, Floats]) -> None:
        """Take in one sample's IoUs of all masks (n,) under each name."""
        self._clusters.append(cluster)
        self._rows.append({name: expected_best(values, SIZES) for name, values in ious.items()})

    def finish(self) -> tuple[Curve, ...]:
        """Make one curve a name, in the order in which names first came."""
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        lacking = np.full(len(SIZES), np.nan)
        table = np.array([[row.get(name, lacking) for name in names] for row in self._rows])
        if not table.size:
            return ()
        reached = (~np.isnan(table)).all(axis=1).sum(axis=0)  # for each size the samples that have it
        enough = np.flatnonzero(reached * 2 >= max(len(table), 1))
        if not len(enough):
            return ()
        last = int(enough[-1])
        kept = ~np.isnan(table[:, :, last]).any(axis=1)
        clusters = [cluster for cluster, one in zip(self._clusters, kept, strict=True) if one]
        sizes = SIZES[: last + 1]
        return tuple(
            Curve(
                name,
                sizes,
                tuple(means(clusters, 100 * table[kept, column, : last + 1], seed=self._seed)),
                int(kept.sum()),
                int((~kept).sum()),
            )
            for column, name in enumerate(names)
        )
