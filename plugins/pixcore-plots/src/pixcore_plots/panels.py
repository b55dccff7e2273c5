"""Draw plots: a small picture for each row, or all of a plot's rows in one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pixcore_statistics.estimates import Estimate

from pixcore_plots.drawing import shade, styled, svg_of
from pixcore_plots.plots import OWN, Panel, Plot, Plots, Series
from pixcore_plots.svg import COLOURS, INK, PAPER, SOFT, compact, legible, standing_alone

DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.4)))
MARKERS = "os^"
"""Series are told apart by their dashes and markers, not by their colours alone: own, then the controls."""

_SIGNS = {"as decided": "X", "if independent": "|", "if answers were guessed": "x"}
_WIDTH, _HEIGHT, _COLUMNS = 3.3, 2.5, 3
_PERCENT = (0, 25, 50, 75, 100)
_FURTHEST = 1000.0
"""An odds ratio's interval may reach to the end of the world; its plot does not."""


def small(plot: Plot, panel: Panel) -> str:
    """Draw one row as an SVG that can stand in a page; its title and legend stand beside it there."""
    with styled():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        left = 0.24 if plot.kind == "forest" else 0.155
        axes = figure.add_axes((left, 0.19, 0.965 - left, 0.77))
        _draw(axes, plot, panel)
    return compact(svg_of(figure), f"{plot.title}: {panel.label}", described(plot, panel))


def whole(plots: Plots, plot: Plot) -> str:
    """Draw all rows of a plot as one SVG file, with a legend and what stands behind it."""
    columns = min(_COLUMNS, len(plot.panels))
    rows = -(-len(plot.panels) // columns)
    with styled():
        figure = Figure(figsize=(columns * _WIDTH, rows * _HEIGHT + 0.7), layout="constrained")
        every = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(every, plot.panels, strict=False):
            _draw(axes, plot, panel)
            axes.set_title(_cut(panel.label, 40), fontsize=9)
        for axes in every[len(plot.panels) :]:
            axes.set_visible(False)
        figure.legend(
            handles=_handles(plot),
            title=legible(_standing(plots, plot)),
            loc="outside lower left",
            ncols=min(3, columns),
            fontsize=8,
            title_fontsize=8,
            alignment="left",
        )
    said = " ".join(f"{panel.label}: {described(plot, panel)}" for panel in plot.panels)
    return standing_alone(svg_of(figure), plot.title, said)


def _standing(plots: Plots, plot: Plot) -> str:
    """Say what stands behind a plot, or behind each row of it."""
    if said := plots.common(plot):
        return said
    return "\n".join(f"{panel.label}: {plots.standing(panel.series[0])}" for panel in plot.panels)


def key(plot: Plot) -> Iterator[tuple[str, int]]:
    """Name the series of a plot, each with its place among dashes, markers and colours."""
    names = dict.fromkeys(one.name for panel in plot.panels for one in panel.series)
    yield from ((OWN, 0),) if OWN in names else ()
    yield from ((name, place) for place, name in enumerate((name for name in names if name != OWN), start=1))


def _placed(plot: Plot, panel: Panel) -> list[tuple[int, Series]]:
    """Give a row's series, each with the place that it has in the key: other rows may have other controls."""
    places = dict(key(plot))
    return [(places[one.name], one) for one in panel.series]


def described(plot: Plot, panel: Panel) -> str:
    """Say what can be seen in a row's panel."""
    return " ".join(f"{one.name}, {_counted(one)}: {'; '.join(_told(plot, one)) or 'nothing'}." for one in panel.series)


def _counted(one: Series) -> str:
    return f"n = {one.samples}"


def _told(plot: Plot, one: Series) -> Iterator[str]:
    if plot.kind == "curve":
        yield from (f"{name} {estimate(number)}" for name, number in one.numbers.items())
        return
    for x, point in zip(one.x, one.points, strict=True):
        yield f"{plot.categories[int(x)]} {estimate(point)}"


def estimate(one: Estimate) -> str:
    """Write a number with its interval."""
    digits = 2 if abs(one.value) <= 1 and (one.high or 0) <= 1 else 1
    if np.isnan(one.value):
        return "–"
    ends = "" if one.low is None or one.high is None else f" ({one.low:z.{digits}f} to {one.high:z.{digits}f})"
    return f"{one.value:z.{digits}f}{ends}"


def _draw(axes: Any, plot: Plot, panel: Panel) -> None:
    axes.tick_params(labelsize=8, pad=2)
    axes.set_xlabel(plot.y if plot.kind == "forest" else plot.x, fontsize=8.5, labelpad=3)
    if plot.kind != "forest":
        axes.set_ylabel(plot.y, fontsize=8.5, labelpad=2)
    {"curve": _curve, "bins": _bins, "forest": _forest}[plot.kind](axes, plot, panel)


def _cut(name: str, most: int) -> str:
    """Cut a name at its end, if it must be, to no more than so many characters."""
    line = " ".join(legible(name).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _curve(axes: Any, plot: Plot, panel: Panel) -> None:
    end = 1.0 if plot.name == "success" else 100.0
    axes.set(xlim=(0, end), ylim=(0, 100))
    axes.set_yticks(_PERCENT)
    axes.set_xticks([end * place / 100 for place in _PERCENT], ["0", ".25", ".5", ".75", "1"] if end == 1 else _PERCENT)
    if plot.name == "absence":
        axes.plot((0, end), (0, 100), color=SOFT, linewidth=0.9, linestyle=":")
    if panel.level is not None:
        axes.plot((0, end), (panel.level, panel.level), color=SOFT, linewidth=0.9, linestyle=":")
    for place, one in _placed(plot, panel):  # a control on top: dashes let what is under them be seen
        colour = COLOURS[place % len(COLOURS)]
        shade(axes, one.x, one.points, colour)
        values = [point.value for point in one.points]
        axes.plot(one.x, values, color=colour, linestyle=DASHES[place % 3], linewidth=1.5, clip_on=False)
        for mark in one.marks:
            axes.plot(mark.x, mark.y, "X", color=colour, mec=PAPER, mew=0.6, ms=8, clip_on=False, zorder=5)


def _bins(axes: Any, plot: Plot, panel: Panel) -> None:
    count = len(plot.categories)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(0, 100))
    axes.set_yticks(_PERCENT)
    known = dict(zip(panel.series[0].x, panel.series[0].counts, strict=True))
    labels = [f"{name}\nn = {known.get(place, 0)}" for place, name in enumerate(plot.categories)]
    axes.set_xticks(range(count), labels, fontsize=7)
    for number, (place, one) in enumerate(_placed(plot, panel)):
        at = [x + _beside(number, len(panel.series)) for x in one.x]
        colour = COLOURS[place % len(COLOURS)]
        for x, (_, low, high) in zip(at, one.points, strict=True):
            if low is not None:
                axes.plot((x, x), (low, high), color=colour, linewidth=1.3)
        _points(axes, at, [point.value for point in one.points], place)


def _forest(axes: Any, plot: Plot, panel: Panel) -> None:
    count = len(plot.categories)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x")
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), [_cut(name, 12) for name in plot.categories])
    if plot.name == "odds":
        low, high = _reach(plot)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_xticks(ticks := [10.0**power for power in range(-3, 4) if low <= 10.0**power <= high])
        axes.set_xticklabels([f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.plot((1, 1), (-0.5, count - 0.5), color=SOFT, linewidth=0.9, linestyle=":")
        if not any(one.points for one in panel.series):
            axes.text(1.5, (count - 1) / 2, "none: all came out alike", color=SOFT, fontsize=8, va="center")
    else:
        low, high = 0.0, 100.0
        axes.set_xlim(low, high)
        axes.set_xticks(_PERCENT)
    for number, (place, one) in enumerate(_placed(plot, panel)):
        at = [x + _beside(number, len(panel.series)) for x in one.x]
        colour = COLOURS[place % len(COLOURS)]
        for y, (_, start, end) in zip(at, one.points, strict=True):
            if start is not None and end is not None:
                axes.plot((max(start, low), min(end, high)), (y, y), color=colour, linewidth=1.5)
        for mark in one.marks:
            y = mark.y + _beside(number, len(panel.series))
            axes.plot(mark.x, y, _SIGNS[mark.what], color=INK, ms=10 if "ind" in mark.what else 5, mew=1.2, zorder=4)
        _points(axes, [min(max(point.value, low), high) for point in one.points], at, place)


def _points(axes: Any, x: list[float], y: list[float], place: int) -> None:
    """Draw points: the row's own are filled, its controls' are not.

    None make no line: outside its axes it would still be given room, and the panels would shrink for it.
    """
    if not x:
        return
    colour = COLOURS[place % len(COLOURS)]
    axes.plot(x, y, MARKERS[place % 3], color=colour, mfc=PAPER if place else colour, ms=4.5, mew=1.2, clip_on=False)


def _beside(place: int, count: int) -> float:
    """Say how far a series stands beside its category's place."""
    return (place - (count - 1) / 2) * 0.22


def _reach(plot: Plot) -> tuple[float, float]:
    ends = [
        end for panel in plot.panels for one in panel.series for point in one.points for end in point if end is not None
    ]
    low, high = min([*ends, 0.1]), max([*ends, 10.0])
    return max(0.8 * low, 1 / _FURTHEST), min(1.25 * high, _FURTHEST)


def _handles(plot: Plot) -> list[Line2D]:
    handles = []
    for name, place in key(plot):
        marker = "" if plot.kind == "curve" else MARKERS[place % 3]
        colour = COLOURS[place % len(COLOURS)]
        filled = PAPER if place else colour
        style: Any = DASHES[place % 3] if plot.kind == "curve" else "-"
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                marker=marker,
                mfc=filled,
                ms=5,
                linestyle=style,
                label=f"{legible(name)} (control)" if place else legible(name),
            )
        )
    marks = dict.fromkeys(mark.what for panel in plot.panels for one in panel.series for mark in one.marks)
    handles += [Line2D([], [], color=INK, marker=_SIGNS[what], linestyle="", ms=6, label=what) for what in marks]
    return handles
