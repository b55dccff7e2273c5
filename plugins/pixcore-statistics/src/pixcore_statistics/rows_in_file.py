"""Numbers of samples that wait in a temporary file, and their sums over clusters: no sample costs memory."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pixcore.shelf import on_disk

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BLOCK = 2048


class RowsInFile:
    """Rows of numbers, one for each sample, each with the number of what the sample is drawn together with.

    Args:
        width: How many numbers a row has.
    """

    def __init__(self, width: int) -> None:
        self._wide, self._length = width + 1, 0
        with on_disk():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with its object)

    def __len__(self) -> int:
        return self._length

    def add(self, cluster: int, *numbers: float) -> None:
        """Put a sample's numbers behind the others."""
        with on_disk():
            self._file.write(array("d", (cluster, *numbers)).tobytes())
        self._length += 1

    def blocks(self) -> Iterator[tuple[Ints, Floats]]:
        """Give all rows, some at once: clusters (n,), and numbers (n, width)."""
        for start in range(0, self._length, _BLOCK):
            with on_disk():  # another reader may have moved on in the file meanwhile
                self._file.seek(8 * self._wide * start)
                read = self._file.read(8 * self._wide * min(_BLOCK, self._length - start))
                self._file.seek(0, 2)
            block = np.frombuffer(read).reshape(-1, self._wide)
            yield block[:, 0].astype(np.int64), block[:, 1:]


def summed_blocks(blocks: Iterable[tuple[Ints, Floats]], clusters: int) -> Floats:
    """Add up rows over clusters.

    Args:
        blocks: Some rows at once: the numbers of their clusters (n,), and what is summed (n, k).
        clusters: How many clusters have a number.

    Returns:
        (clusters that have a row, k), in the order in which clusters first come.
    """
    places, count = np.full(clusters, -1), 0
    sums = np.zeros((0, 0))
    for numbers, values in blocks:
        if not count:
            sums = np.zeros((clusters, values.shape[1]))
        found, first = np.unique(numbers, return_index=True)
        new = found[np.argsort(first)]
        new = new[places[new] < 0]
        places[new] = np.arange(count, count + len(new))
        count += len(new)
        np.add.at(sums, places[numbers], values)
    return sums[:count]
