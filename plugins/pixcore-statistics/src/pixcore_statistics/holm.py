"""Several figures at once: Holm's correction, so that of equal sides one in twenty shows anything (Holm 1979)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def adjusted(values: Mapping[Name, float]) -> dict[Name, float]:
    """Adjust p-values for their number.

    >>> adjusted({"A": 0.01, "M": 0.04, "S": 0.03})
    {'A': 0.03, 'S': 0.06, 'M': 0.06}
    """
    found: dict[Name, float] = {}
    least = 0.0
    for place, name in enumerate(sorted(values, key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - place) * values[name]))
        found[name] = least
    return found
