"""How numbers and lists are told in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pixcore.figures.columns import main_columns, with_own
from pixcore.figures.rows import Summary


def plural(count: int, noun: str) -> str:
    """Tell how many: "1 pair", "2,139 images"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def joined(parts: Iterable[str]) -> str:
    """Join parts as a sentence does: "a, b and c"; nothing where there are none."""
    *first, last = [*parts] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def over(summary: Summary) -> str:
    """Say what intervals are over: "150 pairs", "148 pairs and 3 images"."""
    return joined(plural(count, unit) for unit, count in summary.clusters.items() if count) or "nothing"


def legend(summary: Summary) -> Iterator[str]:
    """Say in one line how the intervals of the main table and of differences were made, and over what."""
    methods: dict[str, list[str]] = {}
    less = (one.name for one in with_own(summary.own).values() if one.less_control)
    for name in (*main_columns(summary.own), *less):
        for method in {row.figures[name].method for row in summary.rows if name in row.figures} - {""}:
            methods.setdefault(method, []).append(name)
    if methods:
        how = "; ".join(f"{method} ({', '.join(names)})" for method, names in methods.items())
        yield f"95 % intervals over {over(summary)}: {how}"
    if any(name.endswith("less control") for row in summary.rows for name in row.figures):
        yield "less control: a row's figure less its control's; in a row ◇, its strategy's less the row's own; paired"


def flattery(summary: Summary) -> Iterator[str]:
    """Say where S stands that it takes the better of two twice, unless nothing is there to choose from."""
    figures = summary.rows[0].figures if summary.rows else {}
    known = {name for name in ("A†", "A", "M†", "M", "S") if name in figures and figures[name].value is not None}
    if "S" in known and summary.s_of:
        yield f"S is made of {joined(summary.s_of)}, which the config named beforehand; S† and S asked beside it"
    elif "S" in known and ({"A†", "A"} <= known or {"M†", "M"} <= known):
        yield (
            "S takes the better of two probings, which flatters it where both are alike (+1.9 points at 150 pairs, "
            "+5.1 at 20); S† and S asked don't choose; s_of: in a config names its two figures beforehand, and pixcore "
            "probing RUN chooses on one half, measures on the other"
        )
