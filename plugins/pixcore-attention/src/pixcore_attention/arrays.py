"""What torch tensors and NumPy arrays do not spell the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_numpy(values: Any) -> NDArray[np.float32]:
    """Bring a torch tensor on any device, or an array, to main memory as a float32 array."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=np.float32)


def per_sample(steps: Sequence[Any], batch: int, cells: int) -> list[NDArray[np.float32]]:
    """Turn one (batch, cells) map a step into one (steps, cells) array a sample."""
    if not steps:
        return [np.zeros((0, cells), np.float32) for _ in range(batch)]
    stacked = np.stack([to_numpy(step) for step in steps], axis=1)
    return [np.ascontiguousarray(sample) for sample in stacked]
