"""Whether a SAM fits its device: by the number of its weights, which are float32 whatever the precision."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pixcore_checkpoints.room import free_bytes, memory_of, too_large

from pixcore.stages.memory import gib


def check_room(checkpoint: str, weights: int, device: torch.device, smaller: Mapping[str, int]) -> None:
    """Refuse a model whose weights alone exceed the memory that there is.

    Args:
        checkpoint: What an error calls it.
        weights: How many there are.
        device: Where they are to be.
        smaller: Released checkpoints, the largest first, with the number of their weights.

    Raises:
        ModelError: It says what is needed, what there is, and what would fit.
    """
    needed, free = _bytes(weights), free_bytes(device)
    if free is not None and needed > free:
        remedy = _remedy(weights, device, free, smaller)
        raise too_large(checkpoint, needed, memory_of(device), torch.float32, free, remedy)


def _remedy(weights: int, device: torch.device, free: int, smaller: Mapping[str, int]) -> str:
    others = [torch.device("cpu")] if device.type != "cpu" else []
    others += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    for other in others:
        room = free_bytes(other)
        if other != device and room is not None and _bytes(weights) <= room:
            return f"device: {other} has room for it"
    for name, count in smaller.items():
        if count < weights and _bytes(count) <= free:
            return f"a smaller one fits: {name} needs {gib(_bytes(count))}"
    return "free some memory, or make masks without weights: regions"


def _bytes(weights: int) -> int:
    return weights * torch.float32.itemsize
