"""What code that works tells whoever waits: a notice that ends nothing, and how far a long answer has come."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pixcore.errors import one_line

Written = Callable[[int, int], None]
"""Hears how many tokens of an answer are written, and how many it may have."""

_hearing: ContextVar[Written | None] = ContextVar("pixcore_hearing", default=None)
_told: dict[Any, Any] = {}


class Notice(UserWarning):
    """Something that a person should know of, and that ends nothing."""


def notice(text: str) -> None:
    """Tell something once, in one line: a warning of Python that names no file of ours."""
    warnings.warn_explicit(" ".join(text.split()), Notice, "pixcore", 1, registry=_told)


def show_in_one_line() -> None:
    """Show all warnings, also those of libraries, as a line without the path of a source file."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        from pixcore.files import printable

        line = " ".join(str(message).split()) if category is Notice else one_line(str(message))
        print(f"note: {printable(line)}", file=sys.stderr)

    warnings.showwarning = show


@contextmanager
def hearing(written: Written) -> Iterator[None]:
    """While open, hear of the answers that are written in this thread."""
    token = _hearing.set(written)
    try:
        yield
    finally:
        _hearing.reset(token)


def tell_written(tokens: int, most: int) -> None:
    """Tell how many tokens of an answer are written, of at most how many; whoever generates calls it each step."""
    if (written := _hearing.get()) is not None:
        written(tokens, most)
