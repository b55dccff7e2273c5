"""Weights & Biases: the project that WANDB_PROJECT names, and all else by its own variables, such as WANDB_MODE."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import wandb

from pixcore_trackers.tracker import Shown, TrackedRun, Tracker, columns_of


class Client(Tracker):
    """Writes a run of a project, whose id is the run's key."""

    def __init__(self, run: TrackedRun) -> None:
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "pixcore"),
            id=run.key,
            name=run.name,
            resume="allow",
            config=dict(run.config),
            dir=os.environ.get("WANDB_DIR", str(run.folder)),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def advance(self, stage: str, done: int, total: int, seconds: float) -> None:
        """Log the percentage of the stage beside the number of its records."""
        self._run.log({f"stages/{stage}": 100 * done / max(total, 1), f"stages/{stage} records": done})

    def figures(self, figures: Mapping[str, float]) -> None:
        """Put each figure into the run's summary."""
        self._run.summary.update({f"figures/{name}": value for name, value in figures.items()})

    def samples(self, table: Sequence[Shown]) -> None:
        """Log the table with its pictures."""
        names, rows = columns_of(table)
        found = wandb.Table(columns=names)
        for row, one in zip(rows, table, strict=True):
            found.add_data(*row, wandb.Image(one.picture))
        self._run.log({"samples": found})

    def close(self, *, failed: bool = False) -> None:
        """Write everything out, and say whether the run failed."""
        self._run.finish(exit_code=int(failed))
