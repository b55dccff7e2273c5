"""Limit how many calls are under way at once: fewer when the server says "too many", more while calls succeed.

Additive increase, multiplicative decrease, as TCP does it; a burst of refusals that belong together counts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Limiter:
    """Lets calls begin, so many at once. Lives in one event loop.

    Args:
        most: Calls under way at once, at most; the limit to begin with.

    Attributes:
        limit: The present limit.
    """

    def __init__(self, most: int) -> None:
        self.limit = float(most)
        self._most = most
        self._active = 0
        self._shrunk_at = float("-inf")
        self._paused_until = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Wait for a place, and for the end of a pause.

        Yields:
            When the call began, for `shrink`.
        """
        clock = asyncio.get_running_loop().time
        async with self._changed:
            await self._changed.wait_for(lambda: self._active < int(self.limit))
            self._active += 1
        try:
            while (delay := self._paused_until - clock()) > 0:
                await asyncio.sleep(delay)
            yield clock()
        finally:
            async with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def shrink(self, began: float, pause: float | None) -> None:
        """Allow fewer calls: the server refused one as one too many.

        Args:
            began: When the call began; calls from before the last shrinking say nothing new.
            pause: Seconds in which no call begins, if the server asked for that.
        """
        now = asyncio.get_running_loop().time()
        if pause is not None:
            self._paused_until = max(self._paused_until, now + pause)
        if began >= self._shrunk_at:
            self.limit = max(1.0, self.limit / 2)
            self._shrunk_at = now

    def succeed(self) -> None:
        """Note that a call succeeded: after as many as the limit, one more may be under way."""
        self.limit = min(float(self._most), self.limit + 1.0 / self.limit)
