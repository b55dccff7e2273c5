"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold.

    Attributes:
        where: What was looked at, such as "answer" or "192x96, top right corner".
        message: What was expected, and what was there.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
