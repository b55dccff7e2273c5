"""Progress where no person looks on: a line now and then, and no control character."""

from __future__ import annotations

import time

from pixcore.runs.progress import Display

_LINE_EVERY = 10.0  # seconds


class LineMonitor(Display):
    """Plain lines: one when a stage starts, one every ten seconds, one when it ends."""

    _done = _before = 0  # the first stage may be stopped before it starts

    def begin(self, stage: str, total: int, done: int) -> None:
        """Say how much there is to do."""
        self._stage, self._total, self._done, self._before = stage, total, done, done
        self._started = self._said = time.monotonic()
        self._first: tuple[int, float] | None = None
        super().begin(stage, total, done)

    def advance(self, count: int = 1) -> None:
        """Count, and say so now and then."""
        self._done += count
        self._first = self._first or (self._done, time.monotonic())  # until then the model was being loaded
        self._tell("")

    def written(self, tokens: int, most: int) -> None:
        """Say now and then how long the answer is by now."""
        self._tell(f", then {answer_length(tokens, most)}")

    def _tell(self, more: str) -> None:
        now = time.monotonic()
        if now - self._said >= _LINE_EVERY:
            self._said = now
            before, since = self._first or (self._done, now)
            rate = (self._done - before) / max(now - since, 1e-9)
            left = f", {rate:.1f}/s, {(self._total - self._done) / rate:.0f} s left" if rate else ""
            self.say(f"{self._stage}: {self._done}/{self._total}{left}{more}")

    def end(self) -> None:
        """Say how long it took."""
        if self._done > self._before:
            self.say(f"{self._stage}: {self._done}/{self._total} in {time.monotonic() - self._started:.1f} s")
        self._before = self._done  # told: the next stage may be stopped before it starts


def answer_length(tokens: int, most: int) -> str:
    """Say how long an answer is by now."""
    return f"{tokens} of at most {most} tokens"
