"""What the header of a safetensors file says: its tensors' shapes and places, none of which is read or mapped."""

from __future__ import annotations

import json
from pathlib import Path

from pixcore.errors import ModelError, describe

_LONGEST = 100_000_000  # bytes; safetensors itself reads no longer one


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shape of every tensor in a file, once the file is seen to be as long as its header says.

    Raises:
        ModelError: It is cut short, or no safetensors file.
    """
    return {name: shape for name, (shape, _) in _tensors(path).items()}


def read_places(path: Path) -> list[tuple[int, int]]:
    """Read where in a file each tensor's bytes begin and end, in their order; errors as of `read_header`."""
    return sorted(place for _, place in _tensors(path).values())


def _tensors(path: Path) -> dict[str, tuple[tuple[int, ...], tuple[int, int]]]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= length <= min(size - 8, _LONGEST):
                raise ValueError("its header is cut short")
            entries = json.loads(file.read(length))
        entries.pop("__metadata__", None)
        found = {}
        for name, entry in entries.items():
            start, end = (8 + length + int(offset) for offset in entry["data_offsets"])
            if not 8 + length <= start <= end:
                raise ValueError(f"its header gives the tensor {name} no place")
            found[name] = tuple(map(int, entry["shape"])), (start, end)
        told = max((end for _, (_, end) in found.values()), default=8 + length)
        if told != size:
            raise ValueError(f"it has {size} bytes, and its header tells of {told}")
        return found
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: {describe(error)}", hint="download it again") from error
