"""What checks find, and how they collect it: one mistake, one line."""

from __future__ import annotations

import json
import operator
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from pixcore.errors import PixcoreError, describe, one_line

DOCS = "https://pixcore.readthedocs.io/en/latest/"
"""Where the documentation stands; the pages that findings name lie below."""


_HOOKS = "reference/hooks/#pixcore.hookspecs."
_PAGES = {
    "command": f"{_HOOKS}register_commands",
    "run writer": f"{_HOOKS}register_run_writers",
    "probing": f"{_HOOKS}register_probings",
    "observer": f"{_HOOKS}run_started",
    "plugin": "howto/debug-a-plugin/",
}


def page_of(kind: str) -> str:
    """Name the page on what a kind of thing promises.

    Args:
        kind: A component's kind ("points", ...), "command", "run writer", "probing", "observer" or "plugin".
    """
    return DOCS + _PAGES.get(kind, f"reference/kinds/{kind}/")


@dataclass(frozen=True)
class Finding:
    """One promise that is broken, or something that could not be looked at.

    Attributes:
        where: What was looked at, such as "answer" or "192x96, top right".
        promise: What the contract says; of a note, what was left out.
        seen: What was there instead.
        severity: "error": the contract is broken. "note": something was left out, and why.
        page: The documentation's page on it.
        more: In how many other places the same promise is broken.
    """

    where: str
    promise: str
    seen: str = ""
    severity: Literal["error", "note"] = "error"
    page: str = ""
    more: int = 0

    @property
    def message(self) -> str:
        """What was promised, and what was seen."""
        also = f" (and in {self.more} more place{'s' if self.more > 1 else ''})" if self.more else ""
        return f"promised: {self.promise}; seen: {self.seen}{also}" if self.seen else self.promise

    def __str__(self) -> str:
        page = f"; see {self.page}" if self.page else ""
        return " ".join(f"{self.where}: {self.message}{page}".split())


class Report:
    """Collects findings step by step; an exception ends its step and is a finding itself.

    A promise that is broken again, and an error raised again from the same line, is counted and not told again. What
    follows from a broken promise should not be looked at: see `broken`.

    Args:
        page: The documentation's page on what is checked.
    """

    def __init__(self, page: str = "") -> None:
        self._page = page
        self._where = ""
        self._found: dict[Hashable, Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """What was found, in order."""
        return list(self._found.values())

    @property
    def broken(self) -> bool:
        """Whether a promise is broken already."""
        return any(finding.severity == "error" for finding in self._found.values())

    def add(self, finding: Finding, mistake: Hashable = None) -> None:
        """Take in a finding, or count it where the same mistake is known.

        Args:
            finding: What was found.
            mistake: What the mistake is known by; the promise if left out.
        """
        key = mistake or finding.promise
        known = self._found.get(key)
        self._found[key] = replace(known, more=known.more + 1) if known else replace(finding, page=self._page)

    @contextmanager
    def step(self, where: str, promise: str = "nothing is raised for what the contract allows") -> Iterator[None]:
        """Say that what is expected within is about `where`; an error breaks a promise.

        An error after a promise was broken in the same step follows from that and is not told.
        """
        outer, self._where = self._where, where
        before = list(self._found.values())
        try:
            yield
        except (Exception, SystemExit) as error:  # whatever a component raises is what is to be reported
            if before != list(self._found.values()):
                return
            place = extract_tb(error.__traceback__)[-1]
            seen = f"raises {described(error)}"
            if not isinstance(error, PixcoreError):
                seen += f" in {Path(place.filename).name}, line {place.lineno}"
            mistake = (type(error), place.filename, place.lineno)
            self.add(Finding(where, promise, seen), mistake)
        finally:
            self._where = outer

    def expect(self, holds: bool, promise: str, seen: str) -> bool:
        """Report a broken promise unless the condition holds, which is handed back."""
        if not holds:
            self.add(Finding(self._where, promise, seen))
        return bool(holds)

    def note(self, message: str) -> None:
        """Say what was left out."""
        self.add(Finding(self._where, message, severity="note"))

    def array(
        self, value: Any, name: str, shape: tuple[int | None, ...], dtype: type[np.generic], axes: str = ""
    ) -> bool:
        """Expect an array of a shape (None: any length) and dtype, all of it finite.

        Args:
            value: What should be one.
            name: What it is, as the promise calls it.
            shape: Its shape.
            dtype: Its dtype.
            axes: What the shape's axes are, such as "masks, height, width".
        """
        kind = f"{np.dtype(dtype)} array ({axes or ', '.join('any' if want is None else str(want) for want in shape)})"
        promise = f"{name}: a finite {kind}"
        if not self.expect(isinstance(value, np.ndarray), promise, described(value)):
            return False
        same = value.ndim == len(shape) and all(
            want in (None, got) for want, got in zip(shape, value.shape, strict=True)
        )
        wanted = f"({', '.join('any' if want is None else str(want) for want in shape)})"
        return (
            self.expect(same, promise, f"the shape {value.shape} in place of {wanted}")
            and self.expect(value.dtype == dtype, promise, str(value.dtype))
            and self.expect(_finite(value), promise, "values that are not finite")
        )

    def instance(self, value: Any, name: str, kind: type) -> bool:
        """Expect an instance of a class."""
        return self.expect(isinstance(value, kind), f"{name}: a {kind.__name__}", described(value))

    def one_line(self, summary: str) -> bool:
        """Expect what a list shows."""
        promise = "a summary is one line"
        return self.expect(bool(summary.strip()) and "\n" not in summary, promise, described(summary))

    def index(self, value: Any, name: str, count: int, of: str) -> bool:
        """Expect a whole number, Python's or NumPy's, that is the index of one of so many."""
        promise = f"{name}: the index of one of {of}"
        if isinstance(value, SupportsIndex):
            place = operator.index(value)
            return self.expect(0 <= place < count, promise, f"{place} of {count}")
        return self.expect(False, promise, described(value))

    def json(self, value: Any, name: str) -> bool:
        """Expect data that JSON can hold, NumPy's single numbers included, so that a record of it can be kept."""
        try:
            json.dumps(value, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as error:
            return self.expect(False, f"{name} holds JSON data alone", str(error))
        return True


def described(value: Any) -> str:
    """Describe a value in a few words: its type, and itself where that is short."""
    if isinstance(value, BaseException):
        return describe(value)
    name = type(value).__name__
    if value is None or isinstance(value, type):
        return repr(value)
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype} {value.shape}"
    if isinstance(value, bool | int | float | str | np.generic | tuple | list | frozenset | set | dict):
        shown = one_line(repr(value))
        return f"{name} {shown}" if len(shown) <= 60 else f"a {name}"
    return f"a {name}"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is none of JSON's types")


def _finite(value: NDArray[Any]) -> bool:
    return bool(np.all(np.isfinite(value)))
