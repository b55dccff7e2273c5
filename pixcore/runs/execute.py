"""Executing a run: every stage over the whole benchmark, and what becomes of a sample that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixcore.components import Executor, NoConfig
from pixcore.errors import DataError, PluginError, SampleError, describe
from pixcore.runs.plan import Run, Work
from pixcore.shelf import View
from pixcore.stages.answer import Answer
from pixcore.stages.base import Item, Monitor, Stage


def execute(job: Run, display: Monitor) -> int:
    """Run every stage of a run; what is there already is not computed again.

    Args:
        job: The run.
        display: Is told how it goes on.

    Returns:
        How often a sample failed.

    Raises:
        UserError: Something that every sample would fail with.
        SampleError: A sample failed and the config says to stop.
    """
    monitor = StoppingMonitor(job.resolved.config.on_error, display)
    for item in job.every:
        if item.unreadable:
            monitor.failed("read", item, DataError(item.unreadable))
    work = job.work()
    # a missing checkpoint, key or server is told now, not after hours of answering
    for component in (one for stage, (missing, _) in work.items() if missing for one in stage.components.every):
        component.config.check_ready()
        component.config.check_price(job.context.allowance)
    chosen = (one.create(job.context) for one in job.resolved.components.several("executor"))
    executor: Executor[Any] = next(chosen, Local(NoConfig()))
    try:
        executor.execute(job, work, monitor)
        for stage, (missing, _) in () if isinstance(executor, Local) else work.items():
            for one in ready(stage, missing):
                if stage.failure(one) is None and not stage.store.has(stage.key_of(one)):
                    said = f"made no record of sample {one.sample.id} in stage {stage.name}, and told of no failure"
                    raise PluginError(f"executor {type(executor).__name__} {said}", hint="executor: local makes it")
    finally:
        executor.close()
        job.loader.free()
        for stage in work:
            stage.close()
    return monitor.failures


class Local(Executor[NoConfig]):
    """Makes records in this process, stage after stage over the whole benchmark; the model is loaded for the first."""

    def execute(self, job: Run, work: Work, monitor: Monitor) -> None:
        """Make all answers, then whatever is made of them, with the code that is there now: records are known by it."""
        for component in (one for stage, (missing, _) in work.items() if missing for one in stage.components.every):
            _ = component.registration.component_class
        answers = sorted((stage for stage in work if isinstance(stage, Answer)), key=lambda one: -one.batch_size)
        for first in answers[: bool(getattr(job.loader.component.config, "refills", False))]:
            first.beside = [(other, other.compute(other.pending(work[other][0]))) for other in answers[1:]]
        for one in answers:
            one.run(work[one][0], monitor, work[one][1])
        job.loader.free()
        for stage, (missing, there) in work.items():
            if stage.before is not None:
                stage.run(ready(stage, missing), monitor, there)


def ready(stage: Stage, missing: Sequence[Item]) -> View[Item]:
    """Choose the items that have all records which theirs are made of: their own, and of a control its lenders'."""
    read = ((one.has(its) for one, its in stage.reads(item) if its is item or one is stage.before) for item in missing)
    return View(missing.__getitem__, (at for at, there in enumerate(read) if all(there)))


class StoppingMonitor(Monitor):
    """Follows a run's `on_error`: stops at the first failed sample, or counts it."""

    def __init__(self, on_error: str, display: Monitor) -> None:
        super().__init__(display)
        self.failures = 0
        self._stop = on_error == "stop"

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        """Stop the run at a failed sample, or count it and tell the display."""
        self.failures += 1
        if self._stop:
            message = f"sample {item.sample.id} ({item.request.protocol}) failed in stage {stage}: {describe(error)}"
            hint = "what was computed before is kept; on_error: record goes on without it"
            raise (DataError if isinstance(error, DataError) else SampleError)(message, hint=hint) from error
        super().failed(stage, item, error)
