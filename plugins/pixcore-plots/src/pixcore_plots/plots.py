"""What a plot shows, as plain numbers: whoever draws, writes or explores it reads the same data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.wording import joined, plural

OWN = "own candidates"

SEES, UNSCORED = "it picks with the ground truth in hand", "it gives no score"
"""Why a row has no panel where scores are looked at."""

PlotKind = Literal["curve", "bins", "forest"]
"""Lines with bands over numbers; points with intervals over categories; the same, lying."""


class Mark(NamedTuple):
    """A single point beside a series.

    Attributes:
        what: What it is.
        x: Where on the x axis (the value, in a forest).
        y: Where on the y axis (the category's place, in a forest).
    """

    what: str
    x: float
    y: float


@dataclass(frozen=True)
class Series:
    """What one row shows, or one of its controls.

    Attributes:
        name: `OWN`, or the control's name.
        x: Places on the x axis; of categories their numbers.
        points: The value at each, with its interval.
        counts: How many samples stand behind each point.
        samples: How many stand behind the series.
        clusters: In how many pairs or images.
        left_out: How many of the run's samples are not in it, by reason.
        numbers: What sums it up, by name.
        marks: Single points beside it.
    """

    name: str
    x: tuple[float, ...]
    points: tuple[Estimate, ...]
    counts: tuple[int, ...]
    samples: int
    clusters: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, Estimate] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()

    @property
    def control(self) -> bool:
        """Whether it is a control's."""
        return self.name != OWN


@dataclass(frozen=True)
class Panel:
    """One row of the table, with its controls.

    Attributes:
        row: Its key.
        label: What a reader sees.
        upper_bound: Whether it picks with the ground truth in hand.
        series: Its own first, then its controls'.
        level: Where a line across shows what no information gives, if it does.
    """

    row: str
    label: str
    upper_bound: bool
    series: tuple[Series, ...]
    level: float | None = None


@dataclass(frozen=True)
class Plot:
    """One plot: a panel for each row.

    Attributes:
        name: What files are called after.
        title: What it shows.
        says: What can be read from it.
        cannot: What can't.
        kind: How it is drawn.
        x: Label of the x axis, or of the categories.
        y: Label of the y axis (of the values, in a forest).
        panels: The rows; none where there is nothing to show.
        categories: Names along the axis where there are no numbers.
        missing: Rows that have no panel, and why.
        why_empty: Why there is no panel at all.
    """

    name: str
    title: str
    says: str
    cannot: str
    kind: PlotKind
    x: str
    y: str
    panels: tuple[Panel, ...] = ()
    categories: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    why_empty: str = ""

    def numbers(self) -> tuple[str, ...]:
        """Name what sums up its series."""
        return tuple(dict.fromkeys(name for panel in self.panels for one in panel.series for name in one.numbers))


@dataclass(frozen=True)
class Plots:
    """All plots of a run.

    Attributes:
        probing: Whose masks they are about.
        samples: How many samples the run has.
        clusters: What was drawn together, by "pair" and "image".
        plots: The plots.
    """

    probing: str
    samples: int
    clusters: Mapping[str, int]
    plots: tuple[Plot, ...]

    def standing(self, one: Series) -> str:
        """Say what stands behind a series: how many samples, of how many, and what was left out."""
        kinds = [kind for kind, count in self.clusters.items() if count]
        clusters = plural(one.clusters, kinds[0] if len(kinds) == 1 else "cluster")
        words = f"n = {one.samples:,} of {plural(self.samples, 'sample')}, in {clusters}"
        if one.left_out:
            words += "; left out: " + joined(f"{count} {why}" for why, count in one.left_out.items())
        return words

    def common(self, plot: Plot) -> str:
        """Say what stands behind every series of a plot; empty where they differ in that."""
        said = {self.standing(one) for panel in plot.panels for one in panel.series}
        return said.pop() if len(said) == 1 else ""

    def document(self) -> dict[str, Any]:
        """Give everything as JSON data."""
        data: dict[str, Any] = _plain(asdict(self))
        return data


HEADER = ("row", "candidates", "what", "x", "y", "low", "high", "samples", "clusters")


def table(plot: Plot) -> Iterator[tuple[Any, ...]]:
    """Give a plot's lines for a CSV file, under `HEADER`: points, single marks, and what sums up a series."""
    for panel in plot.panels:
        for one in panel.series:
            for x, point, count in zip(one.x, one.points, one.counts, strict=True):
                place = plot.categories[int(x)] if plot.categories else x
                yield panel.row, one.name, "point", place, *point, count, one.clusters
            for mark in one.marks:
                lying = plot.kind == "forest"
                at: tuple[Any, float] = (plot.categories[int(mark.y)], mark.x) if lying else (mark.x, mark.y)
                yield panel.row, one.name, mark.what, *at, None, None, one.samples, one.clusters
            for name, number in one.numbers.items():
                yield panel.row, one.name, name, None, *number, one.samples, one.clusters


def _plain(data: Any) -> Any:
    if isinstance(data, Estimate):
        return {"value": _plain(data.value), "low": data.low, "high": data.high}
    if isinstance(data, Mark):
        return data._asdict()
    if isinstance(data, Mapping):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not np.isfinite(data) else data
