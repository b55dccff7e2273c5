"""The benchmark of mini-world's pairs."""

from __future__ import annotations

from collections.abc import Iterator

from pixcore.components import Benchmark
from pixcore.records import Sample
from pixcore_mini_world.config import MiniWorldConfig


class MiniWorld(Benchmark[MiniWorldConfig]):
    """Draws scenes with paired questions and exact masks; an absent object's mask is empty."""

    drawn = True

    def samples(self) -> Iterator[Sample]:
        """Give both samples of every pair, pair by pair."""
        from pixcore_mini_world.samples import samples  # what draws takes a while to import; a finished run draws none

        return samples(self.config)

    def __len__(self) -> int:
        """Twice the number of pairs."""
        return 2 * self.config.pairs
