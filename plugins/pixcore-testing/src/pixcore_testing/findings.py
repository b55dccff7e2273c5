"""What checks find, and how they collect it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold, or could not be looked at.

    Attributes:
        where: What was looked at, such as "answer" or "192x96, top right".
        message: What was expected, and what was there.
        severity: "error": the contract is broken. "note": something was left out, and why.
    """

    where: str
    message: str
    severity: Literal["error", "note"] = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class Report:
    """Collects findings step by step; an exception ends its step and is a finding itself."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._where = ""

    @contextmanager
    def step(self, where: str) -> Iterator[None]:
        """Say that what is expected within is about `where`."""
        outer, self._where = self._where, where
        try:
            yield
        except Exception as error:  # whatever a component raises is what is to be reported
            first = next(iter(str(error).splitlines()), "")
            self.findings.append(Finding(where, f"raises {type(error).__name__}: {first}"))
        finally:
            self._where = outer

    def expect(self, holds: bool, message: str) -> bool:
        """Report the message unless the condition holds, which is handed back."""
        if not holds:
            self.findings.append(Finding(self._where, message))
        return bool(holds)

    def note(self, message: str) -> None:
        """Say what was left out."""
        self.findings.append(Finding(self._where, message, "note"))

    def array(self, value: Any, name: str, shape: tuple[int | None, ...], dtype: type[np.generic]) -> bool:
        """Expect an array of a shape (None: any length) and dtype, all of it finite."""
        if not self.expect(isinstance(value, np.ndarray), f"{name} should be a NumPy array, is a {_kind(value)}"):
            return False
        same = value.ndim == len(shape) and all(
            want in (None, got) for want, got in zip(shape, value.shape, strict=True)
        )
        wanted = (
            "("
            + ", ".join("any" if want is None else str(want) for want in shape)
            + ("," if len(shape) == 1 else "")
            + ")"
        )
        return (
            self.expect(same, f"{name} should have the shape {wanted}, has {value.shape}")
            and self.expect(value.dtype == dtype, f"{name} should be {np.dtype(dtype)}, is {value.dtype}")
            and self.expect(_finite(value), f"{name} holds values that are not finite")
        )

    def instance(self, value: Any, name: str, kind: type) -> bool:
        """Expect an instance of a class."""
        return self.expect(isinstance(value, kind), f"{name} should be a {kind.__name__}, is a {_kind(value)}")

    def json(self, value: Any, name: str) -> bool:
        """Expect data that JSON can hold, so that a record of it can be kept."""
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            return self.expect(False, f"{name} should be JSON data: {error}")
        return True


def _kind(value: Any) -> str:
    return type(value).__name__


def _finite(value: NDArray[Any]) -> bool:
    return bool(np.all(np.isfinite(value)))
