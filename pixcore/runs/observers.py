"""Telling plugins how a run goes on: each sample once, over all commands that ever work on the run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from pixcore.files import can_be_written, read_file
from pixcore.plugins import Registry
from pixcore.predictions.format import prediction_line
from pixcore.runs.plan import Run
from pixcore.shelf import Shelf
from pixcore.stages.base import Monitor
from pixcore.stages.store import content_key

TOLD = ".told"
"""In the run's folder: what observers have heard, a line each, so that a run that goes on does not repeat it."""

_EVERY = 1.0  # seconds between two tellings of a stage's progress


class Observers(Monitor):
    """The plugins that want to hear of a run: each sample once, and now and then how far a stage is.

    A sample is known by the keys of all its records: another config in the same folder is told anew. What is about to
    be told is noted first, so that a process killed just then tells nothing twice. None is read where nobody hears.
    """

    def __init__(self, job: Run, registry: Registry, display: Monitor) -> None:
        super().__init__(display)
        self._job, self._registry = job, registry
        self._folder = job.resolved.config.output
        self._told: Shelf[None] = Shelf()
        self._heard = {hook for hooks in registry.observers.values() for hook in hooks}
        self._finished = content_key([job.resolved.document(), vars(job.scope)])  # what the end is known by
        self._started = False
        self._done = self._before = 0
        if self._heard and (path := self._folder / TOLD).exists():
            said = read_file(path, hint="remove it: observers hear of the run again")
            for line in said.decode("ascii", "replace").splitlines():
                self._told.add(line)

    def _open(self) -> None:
        """Tell that the run starts, once; then of samples that are there."""
        if self._heard and not self._started:
            self._started = True
            stores = sorted({str(stage.store.path) for stage in self._job.stages()})
            self._notify("run_started", config=self._job.resolved.document(), stores=stores)
            for name in self._samples():
                self._tell(name)
            for stage in self._job.stages() if "sample_finished" in self._heard else ():
                stage.on_kept = lambda item: self._tell(item.sample.id)

    def _samples(self) -> Iterator[str]:
        return self._job.ids() if "sample_finished" in self._heard else iter(())

    def begin(self, stage: str, total: int, done: int) -> None:
        """Pass on that a stage starts; where it has work, or nobody was told of the end, the run does."""
        if done < total or self._told.number(self._finished) < 0:
            self._open()
        self._stage, self._total, self._done, self._before = stage, total, done, done
        self._begun = self._said = time.monotonic()
        super().begin(stage, total, done)

    def advance(self, count: int = 1) -> None:
        """Pass on; tell at most once a second."""
        self._done += count
        super().advance(count)
        if time.monotonic() - self._said >= _EVERY:
            self._advanced()

    def end(self) -> None:
        """Tell how far the stage came, if it did anything."""
        super().end()
        if self._done > self._before:
            self._advanced()

    def _advanced(self) -> None:
        self._said = time.monotonic()
        told = {"stage": self._stage, "done": self._done, "total": self._total, "seconds": self._said - self._begun}
        if self._started:
            self._notify("stage_advanced", **told)

    def finish(self, summary: Mapping[str, Any] | None = None) -> None:
        """Tell that the run or, without a summary, its part is finished, unless that was told and no start since."""
        if self._told.number(self._finished) < 0:
            self._open()
        if self._started:
            for name in self._samples():  # also of those whose records were another sample's too
                self._tell(name)
            self._note(self._finished)
            if summary is None:
                self._notify("part_finished", shard=self._job.scope.shard)
            else:
                self._notify("run_finished", summary=summary)

    def _tell(self, name: str) -> None:
        """Tell of a sample whose records are all there, once."""
        records = self._job.records(name)  # none where it can't be read
        digest = content_key([[stage.store.key, key] for stage, key in records])
        told = not records or self._told.number(digest) >= 0
        if told or not all(stage.store.has(key) for stage, key in records):
            return
        self._note(digest)
        result, rows = self._job.result(name)
        probings = {}
        for probing, outcome in result.by_probing.items():
            probings[str(probing)] = prediction_line(result.sample, outcome, rows) | {
                "correct": outcome.verdict.correct if outcome.verdict is not None else None,
                "iou": {row: score.iou for row, score in outcome.scores.items() if score.iou is not None},
            }
        sample = result.sample
        record = {"sample_id": sample.id, "pair": sample.pair, "categories": dict(sample.categories)}
        self._notify("sample_finished", record=record | {"probings": probings})

    def _notify(self, hook: str, **arguments: Any) -> None:
        self._registry.notify(hook, run=str(self._folder), **arguments)

    def _note(self, line: str) -> None:
        self._told.add(line)
        path = self._folder / TOLD
        with can_be_written(path), path.open("a", encoding="ascii") as file:
            file.write(f"\n{line}\n")  # on its own, even after one that a kill cut short
