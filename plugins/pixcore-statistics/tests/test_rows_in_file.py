"""Numbers that wait in a file come back as they were put there, to several readers at once."""

from __future__ import annotations

import numpy as np
from pixcore_statistics.rows_in_file import RowsInFile, summed_blocks


def test_two_readers_and_a_writer_between() -> None:
    """Each reader sees the rows that were there when its block was read, and what is added stands behind all."""
    rows = RowsInFile(1)
    for place in range(5000):
        rows.add(place % 7, place)
    first, second = rows.blocks(), rows.blocks()
    begun = [next(first), next(second)]
    rows.add(3, 5000)
    for (numbers, values), rest in zip(begun, (first, second), strict=True):
        read = [(numbers, values), *rest]
        assert np.concatenate([block for _, block in read])[:, 0].tolist() == list(range(5001))
        assert np.concatenate([clusters for clusters, _ in read]).tolist() == [*(n % 7 for n in range(5000)), 3]


def test_sums_stand_in_the_order_in_which_clusters_come() -> None:
    blocks = [(np.array([4, 1, 4]), np.array([[1.0], [2.0], [4.0]])), (np.array([0, 1]), np.array([[8.0], [16.0]]))]
    assert summed_blocks(blocks, 5).tolist() == [[5.0], [18.0], [8.0]]
    assert len(summed_blocks([], 5)) == 0
    assert list(RowsInFile(2).blocks()) == []
