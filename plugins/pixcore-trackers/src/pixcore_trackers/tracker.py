"""What a tracker is told of a run, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as PILImage


@dataclass(frozen=True)
class TrackedRun:
    """One run, as trackers know it.

    Attributes:
        key: What it is known by over all commands that work on it: 32 hexadecimal digits.
        folder: The run's folder.
        config: The resolved config.
    """

    key: str
    folder: Path
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What a person calls it: the folder's name."""
        return self.folder.resolve().name

    @property
    def options(self) -> dict[str, Any]:
        """The config as single values, by path: "model.name", "selections.0.name"."""
        return dict(_flat("", self.config))


@dataclass(frozen=True, eq=False)
class Shown:
    """One sample under one probing, as a line of a tracker's table.

    Attributes:
        sample: The sample's id.
        probing: How it was asked.
        asked: The prompt.
        said: The answer, or what failed.
        correct: Whether it is right, where that was judged.
        ious: The IoU of each row's mask in percent, where there is a ground truth.
        picture: The picture with the mask of the first row.
    """

    sample: str
    probing: str
    asked: str
    said: str
    correct: bool | None
    ious: Mapping[str, float]
    picture: PILImage.Image


class Tracker(ABC):
    """Writes one run into one tracker.

    A tracker is opened by making it: anew, or again for a run that it knows by its key.

    Args:
        run: The run.
    """

    @abstractmethod
    def __init__(self, run: TrackedRun) -> None: ...

    @abstractmethod
    def advance(self, stage: str, done: int, total: int, seconds: float) -> None:
        """Show how far a stage is."""

    @abstractmethod
    def figures(self, figures: Mapping[str, float]) -> None:
        """Show the table's figures, by "row/figure"."""

    @abstractmethod
    def samples(self, table: Sequence[Shown]) -> None:
        """Show a table of samples with pictures."""

    @abstractmethod
    def close(self, *, failed: bool = False) -> None:
        """Write everything out; the run is over, or it ended early."""


def columns_of(table: Sequence[Shown]) -> tuple[list[str], list[list[Any]]]:
    """Give a table's columns and its rows: all but the pictures, whose column is the last."""
    rows = list(dict.fromkeys(row for one in table for row in one.ious))
    names = ["sample", "probing", "asked", "said", "correct", *(f"IoU {row}" for row in rows), "picture"]
    lines = [
        [one.sample, one.probing, one.asked, one.said, one.correct, *(one.ious.get(row) for row in rows)]
        for one in table
    ]
    return names, lines


def _flat(path: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, one in value.items() for pair in _flat(f"{path}.{key}" if path else str(key), one)]
    if isinstance(value, list | tuple):
        return [pair for number, one in enumerate(value) for pair in _flat(f"{path}.{number}", one)]
    return [(path, value)]
