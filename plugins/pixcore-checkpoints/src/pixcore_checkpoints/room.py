"""Whether a device has room for a model's weights, asked before any file of them is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixcore.errors import ModelError
from pixcore.stages.memory import free_memory, gib

if TYPE_CHECKING:
    import torch


def free_bytes(device: torch.device) -> int | None:
    """Count the free memory of a device, or give None where it can't be told.

    What torch keeps of a model that has been let go is free too: the next one's tensors go there.
    """
    import torch  # who has a device has it

    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + kept)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return free_memory() if device.type == "cpu" else None


def memory_of(device: torch.device) -> str:
    """Call a device's memory by its name."""
    return "this machine's memory" if device.type == "cpu" else f"{device}'s memory"


def name_of(dtype: torch.dtype) -> str:
    """Name a dtype as a config does."""
    return str(dtype).removeprefix("torch.")


def too_large(checkpoint: str, needed: int, where: str, dtype: torch.dtype, free: int, remedy: str) -> ModelError:
    """Make the error for a model whose weights exceed the memory that there is.

    Args:
        checkpoint: What it is called.
        needed: Bytes of its weights.
        where: The memory's name.
        dtype: Of the weights.
        free: Bytes that are free there.
        remedy: What to do.
    """
    return ModelError(
        f"{checkpoint} needs {gib(needed)} of {where} for its weights in {name_of(dtype)}, {gib(free)} are free",
        hint=remedy,
    )
