"""How many files a run may have open: each of its stages keeps its store open, which takes three."""

from __future__ import annotations

import sys
from contextlib import suppress

ENOUGH = 4096
"""Files that a thousand stages need."""


def open_more_files() -> None:
    """Let this process open `ENOUGH` files where it may open fewer, as far as the system allows it.

    macOS lets a process open 256 unless it asks for more.
    """
    if sys.platform == "win32":  # has no such limit
        return
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if most == resource.RLIM_INFINITY else min(ENOUGH, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):  # a system that allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
