"""Errors that end a command with one clear line.

Every error that a user can cause derives from `UserError` and carries a hint: what to do about it. The
command line prints both and exits with status 2; anything else is a failure of ours and exits with 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


class PixcoreError(Exception):
    """Base of every error that pixcore raises on purpose.

    Args:
        message: One line that names the thing.
        hint: One line that says what is allowed, or what to do.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UserError(PixcoreError):
    """A mistake that the user can mend."""

    exit_status = 2

    def _render_traceback_(self) -> list[str]:
        """Show a notebook the one line and no frames; IPython asks for it, and `%debug` still finds them."""
        return [f"{type(self).__name__}: {one_line(str(self))}"]


class ConfigError(UserError):
    """A config, or a `--set`, that does not say something pixcore can do."""


class PluginError(UserError):
    """A plugin that is missing, broken, or claims a name that is taken."""


class DataError(UserError):
    """Data that is missing, damaged, or contradicts itself: images, masks, annotations, predictions."""


class StoreError(UserError):
    """A stage store or run folder that can't be read or written."""


class ModelError(UserError):
    """A checkpoint that can't be loaded, or a model that can't do what is asked of it."""


class SampleError(PixcoreError):
    """One sample that can't be processed; the run's `on_error` decides what follows."""


class NotFiniteError(SampleError):
    """Outputs that are not finite numbers: no answer, map or mask can be read off them.

    Args:
        what: What was computed, such as "the attention maps".
        dtype: The precision it was computed in.
    """

    def __init__(self, what: str, dtype: str) -> None:
        hint = "is the checkpoint whole, and are its weights finite?"
        if dtype in ("float16", "bfloat16"):
            hint = f"{dtype} overflows: try {'bfloat16, or ' if dtype == 'float16' else ''}float32"
        super().__init__(f"{what} are not finite in {dtype}", hint=hint)


_LISTED = 60
_LONGEST = 293  # characters of a message that is shown: 300 with "error: " before it


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a hint that names the allowed word nearest to a name, and lists them all, or the first of many."""
    names = sorted(allowed)
    more = f", ... ({len(names)} in all)" if len(names) > _LISTED else ""
    listing = f"allowed: {', '.join(names[:_LISTED])}{more}" if names else "none is installed"
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}? {listing}" if close else listing


def describe(error: BaseException) -> str:
    """Describe an error in one line."""
    if isinstance(error, PixcoreError):
        return one_line(str(error))
    name, said = type(error).__name__, first_line(error)
    return one_line(said if said == name else f"{name}: {said}")


def first_line(error: BaseException) -> str:
    """Take what an error says first, or its class's name where it says nothing."""
    lines = [line.strip() for line in said_by(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 1 + lines[0].endswith(":")])  # a line that ends so says what only the next one tells


def said_by(error: BaseException) -> str:
    """Take all that an error says; nothing where its own class fails to say it."""
    try:
        return str(error)
    except Exception:
        return ""


def one_line(text: str) -> str:
    """Put a message in one line of at most 300 characters with "error: " before it, without objects' addresses."""
    line = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 60]} ... {line[-55:]}"
