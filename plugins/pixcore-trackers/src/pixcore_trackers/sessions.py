"""The trackers that are open, and what each was told before: a run is one run there, over all commands that work on it.

The run's key and what was told lie in the run's folder. What is about to be told is noted first, so that a process that
is killed just then tells nothing twice. A tracker that fails is told of in one line and left alone; it ends no run, and
what it was about to be told is left for the next command.
"""

from __future__ import annotations

import atexit
import importlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixcore.errors import PixcoreError, describe
from pixcore.notices import notice
from pixcore_trackers.tracker import Shown, TrackedRun, Tracker

KEY, TOLD = ".tracker-run", ".tracker-told"
"""In the run's folder: what trackers know the run by, and which figures each has, a line each."""

_NOT = "not"

_open: dict[tuple[str, str], Session] = {}
_failed: set[tuple[str, str]] = set()


class Session:
    """One run in one tracker; whatever fails in it is told once, and nothing more is tried.

    Args:
        name: The tracker's name.
        folder: The run's folder.
        config: The run's config.
    """

    def __init__(self, name: str, folder: Path, config: Mapping[str, Any]) -> None:
        self._name, self._folder = name, folder
        self._tracker: Tracker | None = None
        self._try(lambda: self._start(config))

    def _start(self, config: Mapping[str, Any]) -> None:
        self._tracker = _class_of(self._name)(TrackedRun(_key_of(self._folder), self._folder, config))
        atexit.register(self.close, failed=True)  # nobody is told of a run that ends early

    def advance(self, stage: str, done: int, total: int, seconds: float) -> None:
        """Show how far a stage is."""
        if (tracker := self._tracker) is not None:
            self._try(lambda: tracker.advance(stage, done, total, seconds))

    def finish(self, digest: str, figures: Mapping[str, float], table: Sequence[Shown]) -> None:
        """Show the figures and the table, unless the tracker has just these."""
        if (tracker := self._tracker) is not None:

            def tell() -> None:
                if note(self._folder, self._name, digest):
                    try:
                        tracker.figures(figures)
                        tracker.samples(table)
                    except BaseException:  # the next command tells it
                        take_back(self._folder, self._name, digest)
                        raise

            self._try(tell)

    def close(self, *, failed: bool = False) -> None:
        """Let the tracker write everything out; a run that is still open when its process ends has failed."""
        atexit.unregister(self.close)
        if (tracker := self._tracker) is not None:
            self._try(lambda: tracker.close(failed=failed))
        self._tracker = None
        _open.pop((self._name, _place(self._folder)), None)

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a tracker's client may even want to end the process
            self._tracker = None
            _failed.add((self._name, _place(self._folder)))
            notice(f"tracker {self._name} failed, and is told no more of this run: {describe(error)}")


def session(name: str, folder: str | Path, config: Mapping[str, Any]) -> Session:
    """Give the open session of a run in a tracker, or open one."""
    place = (name, _place(folder))
    if place not in _open:
        _open[place] = Session(name, Path(folder), config)
    return _open[place]


def open_of(folder: str | Path) -> list[Session]:
    """List the open sessions of a run."""
    return [one for (_, place), one in list(_open.items()) if place == _place(folder)]


def has_failed(folder: str | Path, name: str) -> bool:
    """Say whether a tracker failed while this process told it of a run."""
    return (name, _place(folder)) in _failed


def was_told(folder: Path, name: str, digest: str) -> bool:
    """Say whether a tracker has these figures of a run."""
    path = folder / TOLD
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return lines.count(f"{name} {digest}") > lines.count(f"{_NOT} {name} {digest}")


def note(folder: Path, name: str, digest: str) -> bool:
    """Note that a tracker is about to be told these figures; False where it was before."""
    if was_told(folder, name, digest):
        return False
    _add(folder, f"{name} {digest}")
    return True


def take_back(folder: Path, name: str, digest: str) -> None:
    """Note that a tracker was not told these figures after all, by a line more: another process may add its own."""
    _add(folder, f"{_NOT} {name} {digest}")


def _add(folder: Path, line: str) -> None:
    with (folder / TOLD).open("a", encoding="ascii") as file:
        file.write(f"\n{line}\n")  # on its own, even after one that a kill cut short


def _place(folder: str | Path) -> str:
    return os.path.realpath(folder)


def _key_of(folder: Path) -> str:
    """The run's key; of several processes that want one at once, the first makes it."""
    path = folder / KEY
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{KEY}.{uuid.uuid4().hex}"
    beside.write_text(uuid.uuid4().hex, encoding="ascii")
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
    return path.read_text(encoding="ascii").strip()


def _class_of(name: str) -> Callable[[TrackedRun], Tracker]:
    try:
        found: Callable[[TrackedRun], Tracker] = importlib.import_module(f"pixcore_trackers.to_{name}").Client
    except ImportError as error:
        raise PixcoreError(
            f"{error.name or name} is not installed", hint=f'pip install "pixcore-trackers[{name}]"'
        ) from error
    return found
