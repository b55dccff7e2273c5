"""Trackio: the local project that TRACKIO_PROJECT names, `trackio show`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import trackio

from pixcore_trackers.tracker import Shown, TrackedRun, Tracker, columns_of


class Client(Tracker):
    """Writes a run of a project, whose name ends with the run's key."""

    def __init__(self, run: TrackedRun) -> None:
        project = os.environ.get("TRACKIO_PROJECT", "pixcore")
        config = dict(run.options)
        self._run = trackio.init(project, name=f"{run.name}-{run.key[:8]}", resume="allow", config=config, embed=False)

    def advance(self, stage: str, done: int, total: int, seconds: float) -> None:
        """Log the percentage of the stage beside the number of its records."""
        self._run.log({f"stages/{stage}": 100 * done / max(total, 1), f"stages/{stage} records": done})

    def figures(self, figures: Mapping[str, float]) -> None:
        """Log each figure."""
        self._run.log({f"figures/{name}": value for name, value in figures.items()})

    def samples(self, table: Sequence[Shown]) -> None:
        """Log the table with its pictures."""
        import pandas as pd

        names, rows = columns_of(table)
        pictures = [trackio.Image(one.picture) for one in table]
        lines = [[*row, picture] for row, picture in zip(rows, pictures, strict=True)]
        self._run.log({"samples": trackio.Table(dataframe=pd.DataFrame(lines, columns=names))})

    def close(self, *, failed: bool = False) -> None:
        """Write everything out."""
        self._run.finish()
