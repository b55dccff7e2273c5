"""How numbers and lists are told in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pixcore.figures.columns import main_columns
from pixcore.figures.rows import Summary


def plural(count: int, noun: str) -> str:
    """Tell how many: "1 pair", "2,139 images"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def joined(parts: Iterable[str]) -> str:
    """Join parts as a sentence does: "a, b and c"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def over(summary: Summary) -> str:
    """Say what intervals are over: "150 pairs", "148 pairs and 3 images"."""
    return joined(plural(count, unit) for unit, count in summary.clusters.items() if count) or "nothing"


def legend(summary: Summary) -> Iterator[str]:
    """Say in one line how the main table's intervals were made, and over what."""
    methods: dict[str, list[str]] = {}
    for name in main_columns(summary.own):
        for method in {row.figures[name].method for row in summary.rows if name in row.figures} - {""}:
            methods.setdefault(method, []).append(name)
    if methods:
        how = "; ".join(f"{method} ({', '.join(names)})" for method, names in methods.items())
        yield f"95 % intervals over {over(summary)}: {how}"
