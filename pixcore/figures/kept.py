"""What is kept of scored samples: a few bytes of each, and their masks in temporary files."""

from __future__ import annotations

import math
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.figures.columns import ScoredMask
from pixcore.figures.intervals import Cluster, Floats
from pixcore.shelf import Shelf, View, on_disk

Ints = NDArray[np.int64]

_values = attrgetter(*(one.name for one in fields(ScoredMask)))


@dataclass(frozen=True)
class Group:
    """Some of the samples: all of them, or those of one value of a category.

    Attributes:
        samples: Their numbers, in order.
        clusters: The clusters that they come from, in order.
        cluster_of: For each sample of all, the place of its cluster in `clusters`; -1 where that is none of them.
        sizes: How many of the samples each cluster has.
    """

    samples: Ints
    clusters: Sequence[Cluster]
    cluster_of: Ints
    sizes: Ints


class KeptMasks:
    """The masks of one row under one probing, by sample: a line of numbers each, in a temporary file."""

    def __init__(self) -> None:
        with on_disk():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with its object)

    def add(self, sample: int, mask: ScoredMask) -> None:
        """Keep a sample's mask."""
        values = (math.nan if value is None else value for value in _values(mask))
        with on_disk():
            self._file.write(array("d", (sample, *values)).tobytes())

    def of(self, group: Group) -> Iterator[tuple[int, ScoredMask]]:
        """Give the masks of a group's samples, each with its cluster's place."""
        for sample, iou, best, *others in chain.from_iterable(block.tolist() for block in self._within(group)):
            counts: list[Any] = [*map(int, others[:5]), *map(bool, others[5:])]
            yield int(group.cluster_of[int(sample)]), ScoredMask(iou, None if math.isnan(best) else best, *counts)

    def pool(self, group: Group) -> tuple[float | None, ...]:
        """Give mean numbers of candidates, masks and distinct masks, and the gap to the best in percent; () without."""
        blocks = [block[:, [1, 2, 5, 6, 7, 8]] for block in self._within(group)]
        iou, best, candidates, masks, distinct, headline = np.concatenate([np.zeros((0, 6)), *blocks]).T
        if not len(iou):
            return ()
        counted = (headline > 0) & ~np.isnan(best)
        gap = 100 * float(np.mean((best - iou)[counted])) if counted.any() else None
        return float(np.mean(candidates)), float(np.mean(masks)), float(np.mean(distinct)), gap

    def counted(self, group: Group) -> Ints:
        """Give the numbers of a group's samples whose mask counts in the mean IoU, in order."""
        blocks = [block[block[:, 8] > 0, 0] for block in self._within(group)]
        return np.concatenate([np.zeros(0), *blocks]).astype(np.int64)

    def _within(self, group: Group) -> Iterator[Floats]:
        """A group's masks, some at once: the sample's number, and the values."""
        wide = 1 + len(fields(ScoredMask))
        self._file.seek(0)
        while read := self._file.read(8 * wide * 2048):
            block = np.frombuffer(read).reshape(-1, wide)
            yield block[group.cluster_of[block[:, 0].astype(np.int64)] >= 0]


class KeptSamples:
    """Samples by number, in the order in which they came: cluster, categories, answers, masks by row and probing."""

    def __init__(self) -> None:
        self._clusters: Shelf[Cluster] = Shelf()
        self._cluster_of = array("q")
        self._values: dict[str, tuple[dict[str, int], array[int]]] = {}
        self._right: dict[str, array[int]] = {}
        self.masks: defaultdict[tuple[str, str], KeptMasks] = defaultdict(KeptMasks)

    def __len__(self) -> int:
        return len(self._cluster_of)

    def add(
        self,
        cluster: Cluster,
        categories: Sequence[tuple[str, str]],
        right: Sequence[tuple[str, bool]],
        masks: Sequence[tuple[tuple[str, str], ScoredMask]],
    ) -> None:
        """Keep a sample.

        Args:
            cluster: What it is drawn together with.
            categories: What tables break down by, and its value of each.
            right: Probings whose answer was graded, and whether it was right.
            masks: (row, probing) and the mask that it has there.
        """
        number = len(self)
        self._clusters.add(key := f"{cluster.pair:d}{cluster.name}", cluster)
        self._cluster_of.append(self._clusters.number(key))
        for category, value in categories:
            codes, column = self._values.setdefault(category, ({}, array("q")))
            _put(column, number, codes.setdefault(value, len(codes)))
        for probing, whether in right:
            _put(self._right.setdefault(probing, array("b")), number, whether)
        for place, mask in masks:
            self.masks[place].add(number, mask)

    def by_category(self) -> Iterator[tuple[str, Iterator[tuple[str, Group]]]]:
        """Give each category, and for each of its values the samples that have it; both sorted."""
        for category, (codes, column) in sorted(self._values.items()):
            kept = np.array(column)
            yield category, ((value, self.group(np.flatnonzero(kept == codes[value]))) for value in sorted(codes))

    def answers(self, probing: str, group: Group) -> Iterator[tuple[int, bool]]:
        """Give the graded answers to a probing: the cluster's place, and whether it is right."""
        column = np.array(self._right.get(probing, ()), np.int64)
        for sample in group.samples[: np.searchsorted(group.samples, len(column))]:
            if column[sample] >= 0:
                yield int(group.cluster_of[sample]), bool(column[sample])

    def group(self, samples: Ints | None = None) -> Group:
        """Put samples in one group, by number, ascending: all where none are given."""
        samples = np.arange(len(self)) if samples is None else samples
        clusters = np.array(self._cluster_of, np.int64)[samples]
        found, first = np.unique(clusters, return_index=True)
        order = found[np.argsort(first)]
        places = np.full(len(self._clusters), -1)
        places[order] = np.arange(len(order))
        cluster_of = np.full(len(self), -1)
        cluster_of[samples] = places[clusters]
        sizes = np.bincount(cluster_of[samples], minlength=len(order))
        return Group(samples, View(self._clusters.thing, order.tolist()), cluster_of, sizes)


def _put(column: array[int], number: int, value: int) -> None:
    """Write a sample's value; those of the samples before that had none are -1."""
    column.extend([-1] * (number - len(column)))
    column.append(value) if number == len(column) else column.__setitem__(number, value)
