"""Let several accumulators see a run's results as they stream by, once for all."""

from __future__ import annotations

from collections.abc import Iterable

from pixcore.figures.accumulate import Accumulator
from pixcore.records import SampleResult


def accumulate(results: Iterable[SampleResult], *accumulators: Accumulator) -> None:
    """Let every accumulator see every result once, in order; the results are read once for all."""
    for result in results:
        for accumulator in accumulators:
            accumulator.add(result)
