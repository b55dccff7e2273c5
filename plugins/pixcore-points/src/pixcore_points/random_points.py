"""Select points that know nothing of the map: the control's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixcore.components import PointSelector
from pixcore.records import PointPrompt
from pixcore_points.config import RandomPointsConfig


class RandomPoints(PointSelector[RandomPointsConfig]):
    """Draws pixels uniformly, whatever the map says.

    With the oracle's pick this is the matched control: as many candidates as the attention gave, from nowhere.
    """

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Draw as many positive points as asked for, with replacement."""
        height, width = relevance.shape
        columns = self.rng.integers(width, size=self.config.k)
        rows = self.rng.integers(height, size=self.config.k)
        return PointPrompt.at(*zip(columns.tolist(), rows.tolist(), strict=True))
