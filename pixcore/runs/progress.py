"""How a run tells of its progress: a line when a stage starts, unless a plugin shows more."""

from __future__ import annotations

from pixcore.errors import describe
from pixcore.plugins import Registry
from pixcore.stages.base import Item, Monitor
from pixcore.terminal import Console


class Display(Monitor):
    """Says on a console which stage starts and what failed, a line each; the base of every display."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begin(self, stage: str, total: int, done: int) -> None:
        """Say how much there is to do."""
        self.say(f"{stage}: {done} of {total} there already")

    def advance(self, count: int = 1) -> None:
        """Show nothing of a record that was made."""

    def written(self, tokens: int, most: int) -> None:
        """Show nothing of an answer's length."""

    def end(self) -> None:
        """Show nothing at a stage's end."""

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        """Print a line, above a bar if there is one."""
        self.say(f"sample {item.sample.id} ({item.request.protocol}) failed in {stage}: {describe(error)}", "yellow")

    def say(self, line: str, style: str = "") -> None:
        """Print a line."""
        self.console.print(line, style=style, highlight=False, soft_wrap=not self.console.is_terminal)


def display_for(console: Console, registry: Registry) -> Monitor:
    """Choose how to show progress: as a plugin does (`pixcore.hookspecs.show_progress`), else in few lines."""
    return registry.ask("show_progress", console=console) or Display(console)
