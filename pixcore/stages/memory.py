"""Memory that runs out is no sample's failure: what failed is let go, and smaller batches are tried."""

from __future__ import annotations

import errno
import gc
import re
import traceback
from contextlib import suppress
from pathlib import Path

from pixcore.errors import DataError, UserError, describe, said_by
from pixcore.notices import notice

MORE_ROOM = "try a smaller dtype or model, smaller images, or another device"
"""What to do where memory runs out and the options of who asked for it are not known."""

_PHRASES = ("out of memory", "not enough memory", "allocate memory", "alloc_failed", "bad_alloc", "invalid buffer size")
_ON_GPU = re.compile(
    r"allocate ([\d.]+ \w+)\. (GPU \d+) has a total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free"
)
_ON_MPS = re.compile(r"MPS allocated: ([\d.]+ \w+), .*max allowed: ([\d.]+ \w+)\)\. Tried to allocate ([\d.]+ \w+)")
_IN_BYTES, _IN_UNITS = re.compile(r"(?:allocate|mmap) (\d+) bytes"), re.compile(r"Unable to allocate ([\d.]+ \w+)")


class Room:
    """How many pieces of work go together: fewer, for good, once memory has run out.

    Args:
        what: What they are called where the user hears of it, such as "requests".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._most: int | None = None

    def of(self, size: int) -> int:
        """Tell how many go together where `size` are wanted."""
        return min(size, self._most or size)

    def shrinks(self, error: Exception, size: int) -> bool:
        """Tell whether smaller batches are to be tried: memory ran out on several pieces, `size` of them, at once.

        If so, what the error holds of the failed batch is let go, batches are halved, and the user hears of it once.
        """
        if size < 2 or ends_all(error) or shortage(error) is None:
            return False
        let_go(error)
        half = size // 2
        if self._most is None:
            notice(f"memory ran out on {size} {self._what} at once: {half} at a time from here on, or fewer")
        self._most = half
        return True


def ends_all(error: BaseException) -> bool:
    """Tell whether an error is no piece's own, a missing plugin or a full disk: the next would fail too."""
    return isinstance(error, UserError) and not isinstance(error, DataError)


def let_go(error: BaseException) -> None:
    """Free what the frames of an error hold: a failed batch's tensors live as long as its traceback does."""
    for each in causes(error, hidden=True):
        traceback.clear_frames(each.__traceback__)
        each.__traceback__ = None
    gc.collect()


def shortage(error: BaseException) -> str | None:
    """Find what memory was needed and what there is, where an error or one that it came from says that it ran out.

    The libraries that allocate on devices are known by their errors' names and words, so that none is imported here.

    Returns:
        None if it is about something else.
    """
    for each in causes(error):
        text = said_by(each)
        named = isinstance(each, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(each).__mro__)
        told = isinstance(each, RuntimeError) and any(phrase in text.lower() for phrase in _PHRASES)
        if named or told or (isinstance(each, OSError) and each.errno == errno.ENOMEM):
            if found := _ON_GPU.search(text):
                return f"{found[1]} more were needed, {found[4]} of {found[2]}'s {found[3]} are free"
            if found := _ON_MPS.search(text):
                return f"{found[3]} more were needed, {found[1]} of at most {found[2]} are taken"
            there = "" if (free := free_memory()) is None else f"; {gib(free)} of this machine's memory are free"
            if found := _IN_BYTES.search(text):
                return f"{gib(int(found[1]))} more were needed{there}"
            found = _IN_UNITS.search(text)
            return f"{found[1]} more were needed{there}" if found else describe(each) + there
    return None


def causes(error: BaseException, *, hidden: bool = False) -> list[BaseException]:
    """List an error and those that it came from; also those that `from` hides, if asked for."""
    found: list[BaseException] = []
    following: list[BaseException | None] = [error]
    while following:
        each = following.pop()
        if each is not None and each not in found:
            found.append(each)
            following += [None if each.__suppress_context__ and not hidden else each.__context__, each.__cause__]
    return found


def free_memory() -> int | None:
    """Count the bytes that this machine, and this process's container, has left; None where they aren't told."""
    found = []
    with suppress(OSError, ValueError, LookupError):  # no Linux, no container, or one without a limit
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        taken = int((group / "memory.current").read_text())
        files = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        found.append(int((group / "memory.max").read_text()) - taken + int(files["inactive_file"]))
    return min(found, default=None)


def gib(count: int) -> str:
    """Show bytes in GiB, rounded up."""
    return f"{-(-count * 10 // 2**30) / 10} GiB"
