"""Dies by SIGKILL at the n-th moment that counts: a file opened to be written, put in place or removed, a sample seen.

The toy plugin imports this where TOY_DIES_AT says n; TOY_COUNTS names a file that is told how many moments there were.
"""

import atexit
import os
import signal
import sys
from pathlib import Path

_at = int(os.environ["TOY_DIES_AT"])
_seen = 0


def _counts(event, arguments):
    if event == "open":
        path, _, flags = arguments
        return isinstance(path, (str, bytes, Path)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    return event in ("os.rename", "os.remove", "toy.sample")


def _hear(event, arguments):
    global _seen
    if _counts(event, arguments):
        _seen += 1
        if _seen == _at:
            os.kill(os.getpid(), signal.SIGKILL)


@atexit.register
def _tell():
    if "TOY_COUNTS" in os.environ:
        seen = _seen
        Path(os.environ["TOY_COUNTS"]).write_text(str(seen))


sys.addaudithook(_hear)
