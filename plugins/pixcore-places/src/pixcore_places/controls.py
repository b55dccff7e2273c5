"""Draw prompts of a run's own kind for its matched control: as many points, boxes as large, from nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pixcore.components import Lent, NoConfig, PointSelector
from pixcore.records import PointPrompt
from pixcore_places.config import words_alone


class RandomPlaces(PointSelector[NoConfig]):
    """Draws points uniformly, boxes of the run's own size at a uniform place, and for words alone a point."""

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Draw one positive point, where there is no prompt to match."""
        height, width = relevance.shape
        return PointPrompt(self._points(1, (width, height)), np.ones(1, np.int8))

    def control(self, size: tuple[int, int], own: Sequence[PointPrompt], others: Sequence[Lent]) -> list[PointPrompt]:
        """Draw a prompt for each of the run's own, with as many places."""
        return [self._alike(prompt, size) for prompt in own]

    def _alike(self, prompt: PointPrompt, size: tuple[int, int]) -> PointPrompt:
        if words_alone(prompt):
            return PointPrompt(self._points(1, size), np.ones(1, np.int8))
        also = tuple(self._alike(one, size) for one in prompt.also)
        points = self._points(len(prompt.points), size)
        if prompt.box is None:
            return replace(prompt, points=points, also=also)
        extent = np.subtract(prompt.box[2:], prompt.box[:2])
        low = self.rng.random(2) * np.maximum(np.subtract(size, extent), 0)
        x0, y0, x1, y1 = (float(value) for value in (*low, *np.minimum(low + extent, size)))
        return replace(prompt, points=points, box=(x0, y0, x1, y1), also=also)

    def _points(self, count: int, size: tuple[int, int]) -> NDArray[np.float32]:
        return self.rng.integers(0, size, (count, 2)).astype(np.float32)
