"""What takes in a run's results one sample at a time: memory holds what is counted, and no result."""

from __future__ import annotations

from typing import Protocol as Interface

from pixcore.records import SampleResult


class Accumulator(Interface):
    """Takes in scored samples as they stream by; what it makes of them it says when all have gone by."""

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
