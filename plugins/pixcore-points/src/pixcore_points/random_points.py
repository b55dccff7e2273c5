"""Select points that know nothing of the map: the control's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixcore.components import Lent, PointSelector
from pixcore.records import PointPrompt
from pixcore_points.config import RandomPointsConfig
from pixcore_points.nulls import alike


class RandomPoints(PointSelector[RandomPointsConfig]):
    """Draws pixels uniformly, whatever the map says.

    With the oracle's pick this is the matched control: as many candidates as the attention gave, from nowhere, by
    prompts of the same kind.
    """

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Draw as many positive points as asked for, with replacement."""
        points = self._drawn(self.config.k, relevance.shape[::-1])
        return PointPrompt(points, np.ones(len(points), np.int8))

    def control(self, size: tuple[int, int], own: Sequence[PointPrompt], others: Sequence[Lent]) -> list[PointPrompt]:
        """Draw prompts of the run's own kind: as many points, labelled alike, boxes as large; a point for words."""
        return [alike(prompt, size, lambda count: self._drawn(count, size)) for prompt in own]

    def _drawn(self, count: int, size: tuple[int, ...]) -> NDArray[np.float32]:
        """Draw pixels (count, 2)."""
        width, height = size
        columns = self.rng.integers(width, size=count)
        return np.stack([columns, self.rng.integers(height, size=count)], axis=1).astype(np.float32)
