"""Listens to runs whose config names a tracker under `writers:`, and offers each tracker as a run writer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixcore import hookimpl
from pixcore.hookspecs import RegisterWriter

TRACKERS = ("mlflow", "tensorboard", "trackio", "wandb")
"""The names under `writers:`, each also an extra of this package."""


@hookimpl
def register_run_writers(register: RegisterWriter) -> None:
    """Offer a writer for each tracker."""
    for name, title in zip(TRACKERS, ("MLflow", "TensorBoard", "Trackio", "Weights & Biases"), strict=True):
        summary = f"{title}: live stages, figures, a table of samples with pictures"
        register(name, f"pixcore_trackers.writers:{name.capitalize()}Writer", summary=summary)


@hookimpl
def run_started(run: str, config: Mapping[str, Any]) -> None:
    """Open the trackers that the config names."""
    names = [name for name in config.get("writers") or () if name in TRACKERS]
    if names:
        from pixcore_trackers.sessions import session

        for name in names:
            session(name, run, config)


@hookimpl
def stage_advanced(run: str, stage: str, done: int, total: int, seconds: float) -> None:
    """Show how far a stage is."""
    for one in _open_of(run):
        one.advance(stage, done, total, seconds)


@hookimpl
def part_finished(run: str) -> None:
    """Close what is open: another command goes on with the run."""
    for one in _open_of(run):
        one.close()


@hookimpl
def run_finished(run: str) -> None:
    """Close what is still open."""
    for one in _open_of(run):
        one.close()


def _open_of(run: str) -> list[Any]:
    """The open sessions of a run; without any, nothing more is imported."""
    import sys

    sessions = sys.modules.get("pixcore_trackers.sessions")
    return sessions.open_of(run) if sessions is not None else []
