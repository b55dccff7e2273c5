"""Let several accumulators see a run's results as they stream by, once for all: memory holds no result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol as Interface

from pixcore.records import SampleResult


class Accumulator(Interface):
    """Takes in scored samples as they stream by; what it makes of them it says when all have gone by."""

    def add(self, result: SampleResult) -> object:
        """Take in one sample."""


def accumulate(results: Iterable[SampleResult], *accumulators: Accumulator) -> None:
    """Let every accumulator see every result once, in order; the results are read once for all."""
    for result in results:
        for accumulator in accumulators:
            accumulator.add(result)
