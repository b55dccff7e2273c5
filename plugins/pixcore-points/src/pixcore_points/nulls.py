"""Select points for controls that know something of pictures, and nothing of this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from pixcore.components import Lent, NoConfig, PointSelector
from pixcore.errors import SampleError
from pixcore.records import PointPrompt
from pixcore_points.config import CentreConfig


class OtherImages(PointSelector[NoConfig]):
    """Takes the prompts of other images: where models look in pictures, whatever is asked of this one.

    The shuffled control of eye fixations (Zhang et al., "SUN: A Bayesian framework for saliency", Journal of Vision
    2008): what all images share, such as a bias for the centre, is in the control too, and earns nothing.
    """

    of_other_images = True

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Draw a pixel uniformly: outside of a control there are no other images."""
        height, width = relevance.shape
        return PointPrompt.at((int(self.rng.integers(width)), int(self.rng.integers(height))))

    def control(self, size: tuple[int, int], own: Sequence[PointPrompt], others: Sequence[Lent]) -> list[PointPrompt]:
        """Take as many prompts of other images, of one after the other in turn; again those where they are too few.

        Raises:
            SampleError: No other image has any.
        """
        over = [[stretched(prompt, theirs, size) for prompt in prompts] for theirs, prompts in others]
        taken = [prompt for turn in zip_longest(*over) for prompt in turn if prompt is not None]
        if not taken:
            raise SampleError(
                "no other image of the run has prompts that the control's points could be taken from",
                hint="take more samples, or another control: control: {points: random}",
            )
        return [taken[index % len(taken)] for index in range(len(own))]


def stretched(prompt: PointPrompt, size: tuple[int, int], other: tuple[int, int]) -> PointPrompt:
    """Carry a prompt from an image of one (width, height) to the same place in one of another."""
    scale = np.divide(other, size)
    points = np.clip(np.round((prompt.points + 0.5) * scale - 0.5), 0, np.subtract(other, 1))
    box = None if prompt.box is None else tuple((np.array(prompt.box) * [*scale, *scale]).tolist())
    also = tuple(stretched(one, size, other) for one in prompt.also)
    return replace(prompt, points=points.astype(np.float32), box=box, also=also)


def alike(prompt: PointPrompt, size: tuple[int, int], drawn: Callable[[int], NDArray[np.float32]]) -> PointPrompt:
    """Make a prompt of another's kind: as many points, labelled alike, and a box as large within the image.

    For words alone a point: words know of the object wherever they are put.

    Args:
        prompt: The other.
        size: (width, height) of the image.
        drawn: Draws so many pixels (n, 2) of it, (x, y) float32; a box lies about the middle of one.
    """
    if prompt.text is not None and not len(prompt.points) and prompt.box is None:
        return PointPrompt(drawn(1), np.ones(1, np.int8))
    points, also = drawn(len(prompt.points)), tuple(alike(one, size, drawn) for one in prompt.also)
    if prompt.box is None:
        return replace(prompt, points=points, also=also)
    extent = np.subtract(prompt.box[2:], prompt.box[:2])
    low = np.clip(drawn(1)[0] + 0.5 - extent / 2, 0, np.maximum(np.subtract(size, extent), 0))
    x, y, x1, y1 = (float(value) for value in (*low, *(low + extent)))
    return replace(prompt, points=points, box=(x, y, x1, y1), also=also)


class Centre(PointSelector[CentreConfig]):
    """Draws points about the image's middle, as a Gaussian has it, whatever the map says.

    Judd et al., "A benchmark of computational models of saliency to predict human fixations" (2012).
    """

    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Draw one positive point."""
        height, width = relevance.shape
        return PointPrompt(self._drawn(1, (width, height)), np.ones(1, np.int8))

    def control(self, size: tuple[int, int], own: Sequence[PointPrompt], others: Sequence[Lent]) -> list[PointPrompt]:
        """Draw prompts of the run's own kind: as many points, labelled alike, boxes as large; a point for words."""
        return [alike(prompt, size, lambda count: self._drawn(count, size)) for prompt in own]

    def _drawn(self, count: int, size: tuple[int, int]) -> NDArray[np.float32]:
        """Draw pixels (count, 2); those outside are drawn again."""
        found = np.zeros((0, 2))
        while len(found) < count:
            drawn = np.floor(self.rng.normal(0.5, self.config.spread, (4 * count + 16, 2)) * size)
            found = np.concatenate([found, drawn[((drawn >= 0) & (drawn < size)).all(axis=1)]])
        return found[:count].astype(np.float32)
