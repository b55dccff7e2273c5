"""One run, opened: its lines, its samples from the store one by one, its maps, and masks of points that one moves."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from pixcore_emergence.emergence import matched_control
from pixcore_pictures.drawing import fitted, overlay
from pixcore_report.payload import Display, sample_payload
from pixcore_report.reading import close_stores_with, open_run

from pixcore import __version__
from pixcore.config import resolve
from pixcore.errors import DataError, PixcoreError, StoreError, nearest
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import predicted_mask
from pixcore.files import RUN, replacing
from pixcore.plugins import registry
from pixcore.records import Sample, SampleResult
from pixcore.runs.plan import Run
from pixcore.shelf import Shelf
from pixcore_explorer import going
from pixcore_explorer.atlas import Atlas
from pixcore_explorer.entries import entry, figures_data, rows_data

INDEX = ".view-index.jsonl"
"""In a run's folder, made once of its records: its rows and its atlas, then a line for each sample."""

_FORMAT = 5
_IMAGE, _THUMB = 1280, 176
_MOMENT = 0.5
_AT_HAND = 4  # as many runs are laid side by side


@dataclass
class Lines:
    """A run's lines as they are made.

    Attributes:
        of: What they are made of (`OpenedRun.stamp`).
        entries: A line for each sample, by its id, in a temporary file.
        total: How many there will be; None while nobody knows.
        done: Whether these are all.
        rows: The table's rows, in the order of the lines' IoUs.
        atlas: What the atlas shows, once the lines are done.
        error: Why there are no more.
    """

    of: list[Any] = field(default_factory=list)
    entries: Shelf[dict[str, Any]] = field(default_factory=Shelf)
    total: int | None = None
    done: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    atlas: dict[str, Any] | None = None
    error: str | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Give the lines that are there by now."""
        return map(self.entries.thing, range(len(self.entries)))


class AtHand:
    """The runs whose records are open: each has some thirty files, and a process may have 256 on some systems."""

    def __init__(self) -> None:
        self._runs: list[OpenedRun] = []
        self._lock = threading.Lock()

    def add(self, run: OpenedRun) -> None:
        """Take in a run that is about to open its records; of those before it the oldest let go of theirs."""
        with self._lock:
            others = [one for one in self._runs if one is not run]
            keep = others[-_AT_HAND + 1 :]
            busy = [one for one in others[: -_AT_HAND + 1] if not one.rest()]
            self._runs = [*busy, *keep, run]


class OpenedRun:
    """A run of which samples are read one by one; whoever reads records waits for whoever does.

    Args:
        folder: The run's folder.
        moment: Seconds that one question about a run that goes on may take; at least one sample is looked at.
        at_hand: The runs beside it whose records are open.
    """

    def __init__(self, folder: Path, moment: float = _MOMENT, at_hand: AtHand | None = None) -> None:
        self.folder, self._moment, self._at_hand = folder, moment, at_hand or AtHand()
        self.lock = threading.RLock()
        self._lines = Lines()
        self._maker: threading.Thread | None = None
        self._awaited: deque[str] | None = None
        self._in_vain = 0

    @cached_property
    def job(self) -> Run:
        """The run's records; those of a run that still goes on, as far as they are there.

        Raises:
            DataError: The records are not where the run says, or not those of what is installed.
        """
        self._at_hand.add(self)
        state = going.state_of(self.folder)
        if state is None:
            return open_run(self.folder, registry())
        run = Run(resolve(state["config"], registry()))
        close_stores_with(run)
        return run

    def rest(self) -> bool:
        """Let go of the records until somebody reads them again; False while somebody does."""
        free = self.lock.acquire(blocking=False)
        if free:
            self.__dict__.pop("job", None)
            self.lock.release()
        return free

    def lines(self) -> Lines:
        """Give the run's lines as far as they are made; the first call starts making them."""
        with self.lock:
            self.renew()
            if (state := going.state_of(self.folder)) is not None:
                return self._going(state["alive"])
            if self._maker is None:
                self._maker = threading.Thread(target=self._make, args=(self._lines,), daemon=True)
                self._maker.start()
            return self._lines

    def renew(self) -> list[Any]:
        """Forget what was read of a run that has changed since, and say what is read now (`stamp`)."""
        with self.lock:
            if self._lines.of != (stamp := self.stamp()):
                self._lines, self._maker, self._awaited = Lines(stamp), None, None
                self.__dict__.pop("job", None)
            return stamp

    def wait(self) -> Lines:
        """Give the run's lines when they are all made.

        Raises:
            DataError: They can't be made.
        """
        lines = self.lines()
        if self._maker is not None:
            self._maker.join()
        if lines.error is not None:
            raise DataError(lines.error, hint="pixcore report RUN says more")
        return lines

    def stamp(self) -> list[Any]:
        """Say what the lines are made of: another `run.json` has other ones."""
        path = self.folder / RUN
        written = path.stat().st_mtime_ns if path.is_file() else 0
        return [_FORMAT, __version__, written, going.state_of(self.folder) is not None]

    def _going(self, alive: bool) -> Lines:
        """Take in the samples of which all records are there by now, for a moment at a time, each in its turn."""
        lines, job, until = self._lines, self.job, time.monotonic() + self._moment
        if self._awaited is None:
            self._awaited, self._in_vain = deque(job.ids()), 0
            lines.total = len(self._awaited)
        while self._in_vain < len(self._awaited):
            name = self._awaited.popleft()
            if all(stage.store.has(key) for stage, key in reversed(job.records(name))):  # the last is made last
                result, specs = job.result(name)
                lines.rows = lines.rows or rows_data(specs)
                lines.entries.add(name, entry(result, specs))
                self._in_vain = 0
            else:
                self._awaited.append(name)
                self._in_vain += 1
            if time.monotonic() > until:
                break
        lines.done = not alive and self._in_vain >= len(self._awaited)
        if alive:
            self._in_vain = 0  # its records may be there by the next time
        return lines

    def _make(self, lines: Lines) -> None:
        try:
            if not self._read_kept(lines):
                self._fill(lines)
                self._keep(lines)
        except PixcoreError as error:
            lines.error = str(error)
        except Exception as error:  # a page that waits for ever says nothing
            lines.error = f"the run can't be read: {error!r}"

    def _fill(self, lines: Lines) -> None:
        with self.lock:
            job = self.job
            lines.total = sum(1 for _ in job.ids())
            specs = job.rows
            config = job.resolved.config
            looked_at = [name for name, one in config.probings.items() if one.masks]
        lines.rows = rows_data(specs)
        atlas = Atlas(job.loader.component.name, looked_at, config.seed, matched_control(specs))
        for result in self.results(job):
            line = entry(result, specs)
            for name, (place, concept) in atlas.add(result).items():
                line["protocols"][name] |= {"place": place, "concept": concept}
            lines.entries.add(result.sample.id, line)
        lines.atlas = atlas.finish()
        lines.done = True

    def results(self, job: Run) -> Iterator[SampleResult]:
        """Read all samples, one after the other, while others may read between them."""
        results = job.results()
        while True:
            with self.lock:  # let go of between samples: somebody may be waiting for one
                result = next(results, None)
            if result is None:
                return
            yield result

    def _read_kept(self, lines: Lines) -> bool:
        path = self.folder / INDEX
        if not path.is_file():
            return False
        entries: Shelf[dict[str, Any]] = Shelf()
        try:
            with path.open(encoding="utf-8") as file:
                head = json.loads(next(file, "null")) or {}
                for text in file if head.get("of") == lines.of else ():
                    entries.add((line := json.loads(text))["id"], line)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        if head.get("of") != lines.of or len(entries) != head.get("samples"):
            return False
        lines.rows, lines.entries, lines.atlas = head["rows"], entries, head["atlas"]
        lines.total, lines.done = len(entries), True
        return True

    def _keep(self, lines: Lines) -> None:
        head = {"of": lines.of, "samples": len(lines.entries), "rows": lines.rows, "atlas": lines.atlas}
        with suppress(StoreError), replacing(self.folder / INDEX, "folder") as file:  # else it is read again
            file.writelines(json.dumps(one) + "\n" for one in chain([head], lines))

    def figures(self) -> list[dict[str, Any]]:
        """Say which figures a line's answers and masks stand for."""
        with self.lock:
            return figures_data(self.job.resolved.config.probings)

    def result(self, name: str) -> tuple[SampleResult, list[RowSpec]]:
        """Read one sample's records and no other's, as they are now.

        Raises:
            DataError: The run has no such sample.
        """
        with self.lock:
            self.renew()
            try:
                return self.job.result(name)
            except IndexError:
                ids = list(self.job.ids())
                raise DataError(f"the run has no sample {name!r}", hint=nearest(name, ids)) from None

    def payload(self, name: str) -> dict[str, Any]:
        """Give everything that the page of one sample shows, but for maps."""
        result, rows = self.result(name)
        controls = {row.key: row.pool for row in rows if row.pool is not None}
        longest = max(_size(result.sample))
        display = Display(image=_IMAGE, mask=longest, particulars=True)
        return sample_payload(result, controls=controls, display=display)

    def thumbnail(self, name: str, probing: str, row: str) -> bytes:
        """Draw a sample small, with the mask that a row has under a probing, as WebP."""
        pictures, _ = self.thumbnails(name, [probing], [row])
        return pictures[0]

    def thumbnails(
        self, name: str, probings: Iterable[str], rows: Sequence[str]
    ) -> tuple[list[bytes], dict[str, dict[str, int]]]:
        """Draw a sample small with each mask that rows have under probings, each different one once.

        Returns:
            The pictures, as WebP, and by probing and row which of them shows its mask.
        """
        result, specs = self.result(name)
        picture = result.sample.image.pil()
        size = fitted(picture.size, _THUMB, thinnest=8, enlarge=True)
        pictures: list[bytes] = []
        of: dict[str, dict[str, int]] = {}
        drawn: dict[str, int] = {}
        for probing in probings:
            of[probing] = {}
            for row in rows:
                mask, point = _chosen(result, specs, probing, row)
                of[probing][row] = number = drawn.setdefault(repr((mask, point)), len(pictures))
                if number == len(pictures):
                    buffer = io.BytesIO()
                    shown = overlay(picture, size, mask, point, outline=1)
                    shown.convert("RGB").save(buffer, "WEBP", quality=80, method=1)
                    pictures.append(buffer.getvalue())
        return pictures, of

    def config(self) -> dict[str, Any]:
        """The resolved config."""
        with self.lock:
            return self.job.resolved.document()


def _size(sample: Sample) -> tuple[int, int]:
    try:
        return sample.image.size
    except PixcoreError:
        return (1, 1)


def _chosen(result: SampleResult, rows: Sequence[RowSpec], probing: str, row: str) -> tuple[Any, Any]:
    outcome = result.by_probing.get(probing)
    if outcome is None:
        return None, None
    selection = outcome.selections.get(row)
    if selection is None:
        return (outcome.response.mask if outcome.response is not None else None), None
    pool = outcome.pool({one.key: one.pool for one in rows}.get(row))
    point = pool[selection.candidate].point if selection.candidate is not None else None
    return predicted_mask(result.sample, selection, pool), point
