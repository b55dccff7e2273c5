"""What becomes of a sample that fails while a run is executed."""

from __future__ import annotations

from pixcore.errors import DataError, SampleError, describe
from pixcore.stages.base import Item, Monitor


class StoppingMonitor:
    """Follows a run's `on_error`: stops at the first failed sample, or counts it."""

    def __init__(self, on_error: str, display: Monitor) -> None:
        self.failures = 0
        self._stop = on_error == "stop"
        self._display = display

    def begin(self, stage: str, total: int, done: int) -> None:
        """Pass on."""
        self._display.begin(stage, total, done)

    def advance(self, count: int = 1) -> None:
        """Pass on."""
        self._display.advance(count)

    def written(self, tokens: int, most: int) -> None:
        """Pass on."""
        self._display.written(tokens, most)

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        """Stop, or pass on."""
        self.failures += 1
        if not self._stop:
            self._display.failed(stage, item, error)
            return
        message = f"sample {item.sample.id} ({item.request.protocol}) failed in stage {stage}: {describe(error)}"
        hint = "what was computed before is kept; on_error: record goes on without it"
        kind = DataError if isinstance(error, DataError) else SampleError
        raise kind(message, hint=hint) from error

    def end(self) -> None:
        """Pass on."""
        self._display.end()
