"""MLflow: the server or folder that MLFLOW_TRACKING_URI names, the experiment that MLFLOW_EXPERIMENT_NAME names."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunStatus
from mlflow.tracking import MlflowClient

from pixcore.notices import notice
from pixcore_trackers.tracker import Shown, TrackedRun, Tracker, columns_of

_TAG = "pixcore.run"
_LONGEST = 6000  # characters of a parameter
_LONGEST_NAME = 250  # bytes
_REFUSED = re.compile(
    r"(?P<dagger>†)(?=[^/]*$)"  # of a figure, which is what comes last
    r"|(?P<comma>, )"
    r"|[^\w\-. :/]"
    r"|_(?= |x[0-9a-f])"  # stands for a comma, or begins a code
    r"|^/|/(?=/|$)|(?<![^/])\.(?=\.?(?:/|$))"  # paths that have another name too
)


class Client(Tracker):
    """Writes a run of an experiment, which a tag with the run's key finds again."""

    def __init__(self, run: TrackedRun) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a run waits for no server that is not there
        self._client = MlflowClient()
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "pixcore"))
        known = self._client.search_runs([experiment], f"tags.`{_TAG}` = '{run.key}'", max_results=1)
        if known:
            self._run = known[0].info.run_id
            self._client.update_run(self._run, status=RunStatus.to_string(RunStatus.RUNNING))
        else:
            made = self._client.create_run(experiment, tags={_TAG: run.key}, run_name=run.name)
            self._run = made.info.run_id
        had = self._client.get_run(self._run).data.params
        fresh = {_named(name): str(value)[:_LONGEST] for name, value in run.options.items()}
        params = [Param(name, value) for name, value in fresh.items() if name not in had]
        for first in range(0, len(params), 100):
            self._client.log_batch(self._run, params=params[first : first + 100])
        if old := sorted(name for name, value in fresh.items() if had.get(name, value) != value):
            notice(f"mlflow keeps the first value of {', '.join(old)}; another `output:` is another run there")

    def advance(self, stage: str, done: int, total: int, seconds: float) -> None:
        """Log the percentage of the stage, with the number of records as its step."""
        self._client.log_metric(self._run, _named(f"stages/{stage}"), 100 * done / max(total, 1), step=done)

    def figures(self, figures: Mapping[str, float]) -> None:
        """Log each figure as a metric."""
        now = int(1000 * time.time())
        metrics = [Metric(_named(f"figures/{name}"), value, now, 0) for name, value in figures.items()]
        for first in range(0, len(metrics), 500):
            self._client.log_batch(self._run, metrics=metrics[first : first + 500])

    def samples(self, table: Sequence[Shown]) -> None:
        """Log the table; the pictures are in it, and beside it."""
        if table:
            names, rows = columns_of(table)
            columns: dict[str, list[Any]] = {name: [row[i] for row in rows] for i, name in enumerate(names[:-1])}
            columns["picture"] = [mlflow.Image(one.picture) for one in table]
            self._client.log_table(self._run, data=columns, artifact_file=self._free("samples"))

    def close(self, *, failed: bool = False) -> None:
        """Say that the run is over, or failed."""
        self._client.set_terminated(self._run, RunStatus.to_string(RunStatus.FAILED if failed else RunStatus.FINISHED))

    def _free(self, name: str) -> str:
        """A table's file that is not there yet: MLflow would append to one that is."""
        there = {one.path for one in self._client.list_artifacts(self._run)}
        return next(one for one in (f"{name}{n}.json" for n in chain([""], count(2))) if one not in there)

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        return str(known.experiment_id) if known is not None else str(self._client.create_experiment(name))


def _named(name: str) -> str:
    """A name as MLflow takes one: letters, digits, and _ - . space : /, different ones for different names.

    A comma between words is written "_", the dagger of a figure " free", and all else by its code: "k=3" is "k_x3d_3".
    A name that is too long is cut, and a digest of it ends it.
    """
    whole = _REFUSED.sub(_written, name)
    if len(whole.encode()) <= _LONGEST_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{whole.encode()[: _LONGEST_NAME - 17].decode(errors='ignore')}-{digest}"


def _written(refused: re.Match[str]) -> str:
    if refused["dagger"]:
        return " free"
    return "_ " if refused["comma"] else f"_x{ord(refused[0]):x}_"
