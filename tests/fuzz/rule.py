"""One input, run as a user would run it, and whether its end keeps the rule."""

from __future__ import annotations

import contextlib
import io
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from pixcore import cli
from pixcore.errors import PixcoreError, UserError, describe, one_line
from pixcore.files import printable
from pixcore.notices import show_in_one_line

LONGEST = 300
CPU_SECONDS = 30  # of one input: counted in the process's own time, so that no other process can use it up
REAL_SECONDS = 600  # for what waits and computes nothing, such as the reading of a pipe
MOST_GROWTH = 1_500 * 1024  # kB of one input over all before it: the largest picture that may be opened needs a third

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


class Hang(BaseException):
    """An input took longer than any real one; nothing that pixcore catches."""


@dataclass(frozen=True)
class Ending:
    """How an input ended."""

    status: int
    out: str
    err: str
    value: Any = None


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        act: Runs it: a command's arguments, or a function of pixcore's.
        names: Words of which an error line has to hold one: the input's file, mostly.
        same: The input is another spelling of the undamaged one: it has to end as that did.
        check: Looks at a result, and gives what is wrong with it.
        loud: A command that says more on stderr than an error.
    """

    act: Sequence[str] | Callable[[], Any]
    names: tuple[str, ...]
    same: bool = False
    check: Callable[[Ending], str | None] = field(default=lambda ending: None)
    loud: bool = False


def end_of(case: Case) -> Ending:
    """Run an input in this process."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    value = None
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]), _limits():
        if callable(case.act):
            status, value = _called(case.act)
        else:
            try:
                cli.main(case.act)
                status = -1
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
    out, err = (stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in streams)
    return Ending(status, out, err, value)


def _called(function: Callable[[], Any]) -> tuple[int, Any]:
    show_in_one_line()
    try:
        return 0, function()
    except PixcoreError as error:
        print(f"error: {one_line(printable(str(error)))}", file=sys.stderr)
        return (2 if isinstance(error, UserError) else 1), None
    except Exception as error:
        print(f"error: {printable(describe(error))} (failure of pixcore)", file=sys.stderr)
        return 1, None


def complaint(case: Case, ending: Ending, undamaged: Ending | None) -> str | None:
    """What is wrong with an ending; None where it keeps the rule."""
    said = [line for line in ending.err.strip().split("\n") if line and not line.startswith("note: ")]
    if ending.status not in (0, 2):
        return f"status {ending.status}: {said[-1] if said else ''}"
    if "Traceback" in ending.err or "failure of pixcore" in ending.err:
        return f"a failure of pixcore: {said[-1]}"
    unsafe = UNSAFE.search(ending.err + ending.out.replace("\r\n", "\n"))
    if unsafe:
        return f"the terminal gets {unsafe[0]!r}"
    if _ADDRESS.search(ending.err):
        return f"an address: {said[-1]}"
    if ending.status == 2:
        if case.same:
            return f"another spelling is refused: {said[-1]}"
        if not said or not said[-1].startswith("error: ") or (len(said) > 1 and not case.loud):
            return f"not one error line: {said}"
        if len(said[-1]) > LONGEST:
            return f"{len(said[-1])} characters: {said[-1]}"
        if not any(name in said[-1] for name in case.names):
            return f"names none of {case.names}: {said[-1]}"
        return None
    if any(line.startswith("error: ") for line in said):
        return f"an error and status 0: {said[-1]}"
    wrong = case.check(ending)
    if (
        wrong is None
        and case.same
        and undamaged is not None
        and (ending.out, ending.value)
        != (
            undamaged.out,
            undamaged.value,
        )
    ):
        return "another spelling gives another result"
    return wrong


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Raise `Hang` where an input takes too long, or has taken too much memory."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"still at work after {CPU_SECONDS} s of its own time, or {REAL_SECONDS} s in all")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handlers = {number: signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, REAL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > MOST_GROWTH:
        raise Hang(f"took {grown // 1024} MiB more than all inputs before it")
