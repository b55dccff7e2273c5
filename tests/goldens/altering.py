"""Golden sets altered on purpose, for the tests that a port's comparison notices it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.goldens.runner import GoldenSet, compare, load_arrays


def altered_set(folder: Path, target: Path, **changes: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a golden set in which something is another.

    Args:
        folder: The set.
        target: Becomes the copy.
        changes: For "config", "inputs" or "outputs", a function that changes its content in place.
    """
    target.mkdir()
    (target / "state.safetensors").symlink_to(folder / "state.safetensors")
    unchanged: Callable[[dict[str, Any]], object] = len
    content = json.loads((folder / "config.json").read_text())
    changes.get("config", unchanged)(content)
    (target / "config.json").write_text(json.dumps(content))
    for name in ("inputs", "outputs"):
        arrays: dict[str, Any] = load_arrays(folder / f"{name}.npz")
        changes.get(name, unchanged)(arrays)
        np.savez(target / f"{name}.npz", **arrays)
    return target


def missed_without(prepare: Callable[[Path], GoldenSet], folder: Path, target: Path, array: str) -> list[str]:
    """Which key arrays the comparison misses in a golden set from which one array was taken.

    Args:
        prepare: Of the system.
        folder: The set.
        target: Becomes the copy without the array.
        array: Its name in the outputs.
    """
    golden = prepare(altered_set(folder, target, outputs=lambda arrays: arrays.pop(array)))
    verdicts = compare(replace(golden, checks=()), golden.expected or {})
    return [verdict.name for verdict in verdicts if "has no such" in verdict.note]
