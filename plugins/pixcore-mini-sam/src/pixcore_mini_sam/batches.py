"""Draw batches of prompts: a point or a box in a scene of the training side, and the mask that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_mini_world.render import Picture, render
from pixcore_mini_world.scene import Split, make_scene, scene_random
from torch import Tensor
from torch.utils.data import Dataset

IMAGES, PROMPTS = 8, 6
_BOXES_EVERY = 3
"""Each third step is of boxes, the others are of points."""
_PARTS, _GROUND = 0.5, 0.1
"""Of the prompts: parts of things; the ground, which is all that is no thing. The rest are whole things."""
_JITTER = 0.1
"""How far a box's edges lie from the mask's at most, as a fraction of its width or height."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Prompted:
    """Prompts of one step, and what is right.

    Attributes:
        images: (images, height, width, 3) uint8.
        places: Points (images, PROMPTS, 1, 2), x first, or boxes (images, PROMPTS, 4), left, top, right, bottom; in
            pixels, float32.
        masks: (images, PROMPTS, height, width) bool.
    """

    images: Tensor
    places: Tensor
    masks: Tensor

    @property
    def boxes(self) -> bool:
        """Whether the places are boxes."""
        return self.places.ndim == 3


class PromptBatches(Dataset[Prompted]):
    """Batches as a function of (seed, step) alone."""

    def __init__(self, seed: int, split: Split = "train") -> None:
        """Choose the seed, and the side of mini-world."""
        self._seed, self._split = seed, split

    def __getitem__(self, step: int) -> Prompted:
        """Draw the batch of one step."""
        images, places, masks = [], [], []
        boxes = step % _BOXES_EVERY == _BOXES_EVERY - 1
        for row in range(IMAGES):
            rng = scene_random(self._split, self._seed, "mini-sam", step, row)
            picture = render(make_scene(rng, self._split))
            images.append(picture.image)
            asked = [_region(picture, rng) for _ in range(PROMPTS)]
            masks.append(np.stack(asked))
            places.append([_box(mask, rng) if boxes else [_inside(mask, rng)] for mask in asked])
        return Prompted(
            torch.from_numpy(np.stack(images)),
            torch.tensor(places, dtype=torch.float32),
            torch.from_numpy(np.stack(masks)),
        )


def _region(picture: Picture, rng: Random) -> Mask:
    """Choose what is asked for: a part, a whole thing or the ground, of which something is seen."""
    kind = rng.random()
    if kind < _GROUND:
        return np.asarray(picture.labels == 0)
    index, part = rng.choice([region for region in picture.regions if picture.mask(*region).any()])
    return picture.mask(index, part if kind < _GROUND + _PARTS else None)


def _inside(mask: Mask, rng: Random) -> tuple[float, float]:
    """Choose one of a mask's pixels, (x, y)."""
    rows, columns = np.nonzero(mask)
    at = rng.randrange(len(rows))
    return float(columns[at]), float(rows[at])


def _box(mask: Mask, rng: Random) -> tuple[float, float, float, float]:
    """Give the box around a mask, its edges moved a little."""
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = (float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    wide, tall = _JITTER * (right - left), _JITTER * (bottom - top)
    left, right = left + rng.uniform(-wide, wide), right + rng.uniform(-wide, wide)
    top, bottom = top + rng.uniform(-tall, tall), bottom + rng.uniform(-tall, tall)
    height, width = mask.shape
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
