"""Find where masks begin and end, column by column, for what is measured on borders alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pixcore_datasets.run_lengths import run_lengths

from pixcore import masks

Borders = NDArray[np.int64]
"""A mask's borders among an image's pixels, column by column: outside up to the first, inside up to the next."""


def borders_of(rles: Sequence[masks.RLE]) -> list[Borders]:
    """Find the borders of masks; two at the same pixel mean nothing, and the last is the number of pixels."""
    runs, first = run_lengths([rle["counts"] for rle in rles], "mask {}".format)
    ends = np.cumsum(runs)
    before = np.append(0, ends)[first]
    return [ends[start:stop] - done for start, stop, done in zip(first[:-1], first[1:], before[:-1], strict=True)]
