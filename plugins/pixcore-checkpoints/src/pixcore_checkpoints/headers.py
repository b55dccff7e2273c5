"""What the header of a safetensors file says: the shapes of its tensors, none of which is read or mapped."""

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
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= length <= min(size - 8, _LONGEST):
                raise ValueError("its header is cut short")
            entries = json.loads(file.read(length))
        entries.pop("__metadata__", None)
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
        if end != size - 8 - length:
            raise ValueError(f"it has {size} bytes, and its header tells of {8 + length + end}")
        return {name: tuple(map(int, entry["shape"])) for name, entry in entries.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: {describe(error)}", hint="download it again") from error
