"""A page's server that answers while a test looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pixcore_loopback import Server


@contextmanager
def answering(server: Server) -> Iterator[None]:
    """Let a server answer from a thread of its own; it listens since it was made, so nobody has to wait for it."""
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(60)
