"""Draw figures in one style: colour-blind safe, as PNG and SVG."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from pixcore_statistics.estimates import Estimate

from pixcore.files import replacing
from pixcore_plots.svg import COLOURS, GRID, INK, PAPER, SOFT, compact, legible, standing_alone

HATCHES = ("", "///", "...", "xx", "\\\\\\", "++", "--")
"""Bars are told apart without colour as well."""

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.bottom": False,
    "ytick.left": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a name may have dollars
    "svg.hashsalt": "pixcore",  # the same figure is the same file
    "svg.fonttype": "none",  # text stays text: small, and to be read aloud
}


class Line(Protocol):
    """What `curves` and `along` draw for one name of the legend: values over numbers, with their intervals."""

    @property
    def name(self) -> str:
        """Whose it is."""

    @property
    def n(self) -> Sequence[int]:
        """At which numbers it has values."""

    @property
    def points(self) -> Sequence[Estimate]:
        """Its value at each, with the ends of its interval."""


class Bar(NamedTuple):
    """What is drawn for one name of the legend.

    Attributes:
        values: One a category, with the ends of its interval; NaN leaves a gap.
        marks: Further values on the same bars: the first kind as diamonds, the second as dashes.
    """

    values: Sequence[Estimate]
    marks: Sequence[Sequence[Estimate]] = ()


def bars(title: str, categories: Sequence[str], series: Mapping[str, Bar], *, x: str, y: str) -> Figure:
    """Draw grouped bars, one colour a series.

    Args:
        title: What it shows.
        categories: Names along the x axis.
        series: For each name in the legend its bars.
        x: Label of the x axis.
        y: Label of the y axis.
    """
    with styled():
        figure, axes = _axes(title, x, y)
        width = 0.8 / max(len(series), 1)
        drawn = []
        for place, (name, bar) in enumerate(series.items()):
            at = np.arange(len(categories)) + (place - (len(series) - 1) / 2) * width
            drawn.append(
                axes.bar(
                    at,
                    [estimate.value for estimate in bar.values],
                    width * 0.94,
                    label=legible(name),
                    color=COLOURS[place % len(COLOURS)],
                    hatch=HATCHES[place % len(HATCHES)],
                    edgecolor=PAPER,
                    linewidth=0.4,
                )
            )
            for where, (value, low, high) in zip(at, bar.values, strict=True):
                if low is not None and high is not None:
                    reach = [[max(value - low, 0)], [max(high - value, 0)]]
                    axes.errorbar(where, value, reach, color=INK, linewidth=1, capsize=2)
            for marker, marks in zip(("D", "_"), bar.marks, strict=False):
                heights = [estimate.value for estimate in marks]
                axes.plot(at, heights, marker, ms=6, mfc=PAPER, mec=INK, mew=1.4, zorder=4, clip_on=False)
        axes.set_xticks(range(len(categories)), categories, fontsize=8)
        axes.set_xlim(-0.5, len(categories) - 0.5)  # where the outer ones have no bar, too
        axes.set_ylim(bottom=0)
        if len(series) > 1:
            _legend(figure, drawn)
    return figure


def curves(title: str, drawn: Mapping[str, Sequence[Line]], *, x: str, y: str) -> Figure:
    """Draw lines over N with their intervals; the control of a model has its colour, dashed."""
    with styled():
        figure, axes = _axes(title, x, y)
        lines = [
            _line(axes, curve, f"{name}: {curve.name}" if len(drawn) > 1 else curve.name, place, min(order, 2))
            for place, (name, several) in enumerate(drawn.items())
            for order, curve in enumerate(several)
        ]
        axes.set_xscale("log")
        ticks = sorted({n for several in drawn.values() for curve in several for n in curve.n})
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        _legend(figure, lines)
    return figure


def along(title: str, lines: Sequence[Line], *, x: str, y: str) -> Figure:
    """Draw lines over a number with their intervals, each in a colour and a style of its own."""
    with styled():
        figure, axes = _axes(title, x, y)
        _legend(figure, [_line(axes, line, line.name, place, place % 3) for place, line in enumerate(lines)])
    return figure


def _line(axes: Any, line: Line, label: str, place: int, order: int) -> Any:
    """Draw one line: its colour by its place, its dashes and markers by its order."""
    colour, values = COLOURS[place % len(COLOURS)], [point.value for point in line.points]
    about = {"marker": "os^"[order], "color": colour, "label": legible(label), "ms": 4}
    (drawn,) = axes.plot(line.n, values, ("-", "--", ":")[order], **about)
    shade(axes, line.n, line.points, colour)
    return drawn


def _legend(figure: Figure, drawn: Sequence[Any]) -> None:
    """Name what was drawn. Each is handed over: matplotlib by itself leaves out names that begin with "_"."""
    figure.legend(handles=drawn, loc="outside lower center", ncols=2)


def shade(axes: Any, x: Iterable[float], points: Iterable[Estimate], colour: str) -> None:
    """Draw the band of values over places, as one polygon; nothing where they have none."""
    band = [(at, low, high) for at, (_, low, high) in zip(x, points, strict=True) if low is not None]
    if not band:
        return
    places, lows, highs = map(list, zip(*band, strict=True))
    axes.fill([*places, *reversed(places)], [*lows, *reversed(highs)], color=colour, alpha=0.15, linewidth=0)


def save(figure: Figure, stem: Path, title: str, description: str) -> str:
    """Write `stem`.png and `stem`.svg, without dates, so that the same data give the same files.

    Args:
        figure: The figure.
        stem: The files' path without their ends.
        title: What it shows, in a few words.
        description: What can be seen in it, for those who can't see it.

    Returns:
        It as an SVG that can stand in a page.
    """
    source = svg_of(figure)
    with styled():
        FigureCanvasAgg(figure)
        figure.savefig(stem.with_suffix(".png"), dpi=160, facecolor=PAPER, metadata={"Software": None})
    with replacing(stem.with_suffix(".svg")) as file:
        file.write(standing_alone(source, title, description))
    return compact(source, title, description)


def svg_of(figure: Figure) -> str:
    """Give a figure as matplotlib's SVG."""
    written = io.StringIO()
    with styled():
        FigureCanvasSVG(figure)
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


_DRAWS = threading.Lock()


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the one style of all plots. One thread draws at a time: matplotlib's style is the whole process's."""
    with _DRAWS, matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # whoever shows the text has fonts of their own
        yield
