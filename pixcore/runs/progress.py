"""How a run tells of its progress: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich import progress as bars
from rich.text import Text

from pixcore.errors import describe
from pixcore.stages.base import Item, Monitor
from pixcore.terminal import Console

_LINE_EVERY = 10.0  # seconds between plain lines
_BAR_EVERY = 0.2  # seconds between two counts of tokens beside a bar


class _Rate(bars.ProgressColumn):
    """Records per second."""

    def render(self, task: bars.Task) -> Text:
        """Show the speed."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class _Display(Monitor):
    """Says what failed in a line of its own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = 0.0

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        """Print a line, above the bar if there is one."""
        self._say(f"sample {item.sample.id} ({item.request.protocol}) failed in {stage}: {describe(error)}", "yellow")

    def _say(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style), soft_wrap=not self._console.is_terminal)


class BarMonitor(_Display):
    """Progress bars, one a stage."""

    _progress: bars.Progress | None = None

    def begin(self, stage: str, total: int, done: int) -> None:
        """Show a new bar; a stage with nothing left to do shows none."""
        if done == total:
            self._say(f"{stage}: {total} there already" if total else f"{stage}: -", "dim")
            return
        counted = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn(), _Rate())
        timed = (bars.TimeElapsedColumn(), bars.TimeRemainingColumn())
        length = bars.TextColumn("{task.fields[written]}", style="dim")
        self._progress = bars.Progress(*counted, *timed, length, console=self._console)
        self._progress.start()
        self._progress.add_task(stage, total=total, completed=done, written="")

    def advance(self, count: int = 1) -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], advance=count, written="")

    def written(self, tokens: int, most: int) -> None:
        """Show the answer's length beside the bar."""
        if self._progress is not None and time.monotonic() - self._said >= _BAR_EVERY:
            self._said = time.monotonic()
            self._progress.update(self._progress.task_ids[0], written=_length(tokens, most))

    def end(self) -> None:
        """Leave the bar standing."""
        progress, self._progress = self._progress, None
        if progress is None:
            return
        try:
            progress.stop()
        except RuntimeError:
            pass  # interrupted just while its thread was being started
        finally:
            self._console.show_cursor()  # one that was interrupted at that instant has hidden it already


class LineMonitor(_Display):
    """Plain lines: one when a stage starts, one every ten seconds, one when it ends."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """Say how much there is to do."""
        self._stage, self._total, self._done, self._before = stage, total, done, done
        self._started = self._said = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._say(f"{stage}: {done} of {total} there already")

    def advance(self, count: int = 1) -> None:
        """Count, and say so now and then."""
        self._done += count
        self._first = self._first or (self._done, time.monotonic())  # until then the model was being loaded
        self._tell("")

    def written(self, tokens: int, most: int) -> None:
        """Say now and then how long the answer is by now."""
        self._tell(f", then {_length(tokens, most)}")

    def _tell(self, more: str) -> None:
        now = time.monotonic()
        if now - self._said >= _LINE_EVERY:
            self._said = now
            before, since = self._first or (self._done, now)
            rate = (self._done - before) / max(now - since, 1e-9)
            left = f", {rate:.1f}/s, {(self._total - self._done) / rate:.0f} s left" if rate else ""
            self._say(f"{self._stage}: {self._done}/{self._total}{left}{more}")

    def end(self) -> None:
        """Say how long it took."""
        if self._done > self._before:
            self._say(f"{self._stage}: {self._done}/{self._total} in {time.monotonic() - self._started:.1f} s")


def monitor_for(console: Console) -> Monitor:
    """Choose how to show progress: bars on a terminal, lines elsewhere."""
    return BarMonitor(console) if console.is_terminal else LineMonitor(console)


def _length(tokens: int, most: int) -> str:
    return f"{tokens} of at most {most} tokens"
