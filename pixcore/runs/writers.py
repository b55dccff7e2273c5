"""What a finished run leaves in its folder: run writers, and how they are driven."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pixcore.errors import DataError, PluginError, StoreError, describe
from pixcore.figures.rows import RowSpec, Summary
from pixcore.files import MAKE_ROOM, NO_ROOM, PREDICTIONS, RUN, SUMMARY, read_object, replacing, write_json
from pixcore.plugins import Guest, GuestKind, Registry
from pixcore.predictions.format import prediction_line
from pixcore.records import SampleResult


class RunWriter(ABC):
    """Writes one thing that a finished run leaves in its folder.

    A new one is made for every writing. It is begun, sees each sample once in the benchmark's order, is finished, and
    is closed in any case. Whatever it raises ends its own part alone: it is told in one line, and others go on.
    """

    @abstractmethod
    def begin(self, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        """Start to write a run, before its first sample.

        Args:
            folder: The run's folder. A file takes its place there when it is whole (`pixcore.files.replacing`).
            run: What `run.json` holds.
            rows: The rows of the table: which selection each shows.
        """

    @abstractmethod
    def add(self, result: SampleResult) -> None:
        """Take in one sample; a run may have more than fit in memory."""

    @abstractmethod
    def finish(self, summary: Summary) -> Path | None:
        """Write what the samples added up to.

        Returns:
            The file that a person would open, to be named at the end; None for files that only programs read.
        """

    def close(self) -> None:  # noqa: B027 (most have nothing to let go)
        """Let go of everything, also after a failure or where the writing was given up."""

    @classmethod
    def owes(cls, folder: Path) -> bool:
        """Say whether something of a run is still to be told elsewhere, by the next command, though nothing changed."""
        return False


class PredictionsWriter(RunWriter):
    """Writes `predictions.jsonl`, which scores to the run's own figures."""

    def begin(self, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        """Open a file beside the one that may be there."""
        self._rows, self._open = rows, ExitStack()
        self._file = self._open.enter_context(replacing(folder / PREDICTIONS))

    def add(self, result: SampleResult) -> None:
        """Write a line for each probing of a sample."""
        for outcome in result.by_probing.values():
            self._file.write(json.dumps(prediction_line(result.sample, outcome, self._rows), allow_nan=False) + "\n")

    def finish(self, summary: Summary) -> None:
        """Put the whole file in its place."""
        self._open.close()

    def close(self) -> None:
        """Throw a file away that is not whole."""
        with suppress(PluginError), self._open:
            raise PluginError("given up")


def chosen(registry: Registry, names: Iterable[str]) -> list[Guest]:
    """Look up writers by name.

    Raises:
        PluginError: One is not installed, or two plugins offer it.
    """
    return [registry.guest(GuestKind.WRITER, name) for name in dict.fromkeys(names)]


def _earlier(folder: Path, run: Mapping[str, Any]) -> tuple[bool, set[str]]:
    """Whether an earlier writing in a folder was of another run, and the names of the files that it left to open."""
    with suppress(DataError, KeyError, TypeError):
        document = read_object(folder / RUN)
        named = {name for name in document["files"] if name == Path(name).name}
        return any(document[key] != run[key] for key in ("config", "scope", "stores")), named
    return False, set()


class Writers(ExitStack):
    """Several writers at work on one run, none of which another's failure reaches.

    Attributes:
        failures: A line for each that failed.
        written: Where what they wrote can be opened, by name.
        files: The names of what lies in the run's folder of that, once all have finished.
    """

    def __init__(self, guests: Iterable[Guest], folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        super().__init__()
        self._folder, self._run = folder, run
        self._was_another, self._left = _earlier(folder, run)
        self.failures: list[str] = []
        self.written: dict[str, Path] = {}
        self._at_work: dict[str, RunWriter] = {}
        for guest in guests:
            self._guarded(guest.name, partial(self._begin, guest, folder, run, rows))

    def _begin(self, guest: Guest, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        kind = guest.of_class(guest.loaded, guest.target, RunWriter)  # type: ignore[type-abstract]
        writer = self._at_work[guest.name] = kind()
        self.callback(self._let_go, guest.name)
        writer.begin(folder, run, rows)

    def add(self, result: SampleResult) -> None:
        """Show each writer one sample."""
        for name, writer in list(self._at_work.items()):
            self._guarded(name, partial(writer.add, result))

    def finish(self, summary: Summary) -> None:
        """Let each writer write; what an earlier writing left here, and this one did not write, goes."""
        if self._was_another:  # wherever this is stopped, no file may stand beside one of another run
            self._clear({SUMMARY, PREDICTIONS, *self._left})
            write_json(self._folder / RUN, {**self._run, "files": sorted(self._left)})
        for name, writer in list(self._at_work.items()):
            if (path := self._guarded(name, partial(writer.finish, summary))) is not None:
                self.written[name] = path
        opened = (Path(str(path)) for path in self.written.values())
        self.files = [path.name for path in opened if path.parent == self._folder]
        there = {*self.files, PREDICTIONS} if "predictions" in self._at_work else {*self.files}
        self._clear({PREDICTIONS, *self._left} - there)

    def _clear(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(OSError):  # it is a folder, or gone
                (self._folder / name).unlink()

    def _guarded(self, name: str, step: Callable[[], Path | None]) -> Path | None:
        try:
            return step()
        except Exception as error:  # whatever a writer does wrong, the others' files are written
            cause = error.__cause__ if isinstance(error, StoreError) else error
            if isinstance(cause, OSError) and cause.errno in NO_ROOM:  # no writer's fault: no other has room either
                raise StoreError(f"can't write {self._folder}: {cause.strerror}", hint=MAKE_ROOM) from error
            self.failures.append(f"run writer {name!r} failed: {describe(error)}")
            self._let_go(name)
            return None

    def _let_go(self, name: str) -> None:
        with suppress(Exception):  # it was never begun, has failed or is done; nothing more is expected of it
            self._at_work.pop(name).close()
