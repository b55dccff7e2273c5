"""Progress bars on a terminal: how many records are there, how fast they come, how long it will take."""

from __future__ import annotations

import time

from rich import progress as bars
from rich.text import Text

from pixcore.runs.progress import Display
from pixcore.terminal import Console
from pixcore_progress.lines import answer_length

_BAR_EVERY = 0.2  # seconds between two counts of tokens beside a bar


class _Rate(bars.ProgressColumn):
    """Shows records per second."""

    def render(self, task: bars.Task) -> Text:
        """Show the speed."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class BarMonitor(Display):
    """Progress bars, one a stage.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress: bars.Progress | None = None
        self._said = 0.0

    def begin(self, stage: str, total: int, done: int) -> None:
        """Show a new bar; a stage with nothing left to do shows none."""
        if done == total:
            self.say(f"{stage}: {total} there already" if total else f"{stage}: -", "dim")
            return
        what = bars.TextColumn("{task.description}", markup=False)
        counted = (what, bars.BarColumn(), bars.MofNCompleteColumn(), _Rate())
        timed = (bars.TimeElapsedColumn(), bars.TimeRemainingColumn())
        length = bars.TextColumn("{task.fields[written]}", style="dim", markup=False)
        self._progress = bars.Progress(*counted, *timed, length, console=self.console)
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
            self._progress.update(self._progress.task_ids[0], written=answer_length(tokens, most))

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
            self.console.show_cursor()  # one that was interrupted at that instant has hidden it already
