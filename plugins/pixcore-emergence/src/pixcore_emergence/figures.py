"""Draw figures in one style: colour-blind safe, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pixcore_pictures.drawing import data_uri

from pixcore_emergence.curves import Curve
from pixcore_emergence.estimates import Estimate

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Okabe and Ito's palette, which readers with any colour vision can tell apart."""

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
    "grid.color": "#e3e1da",
    "axes.edgecolor": "#5b636d",
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "pixcore",  # the same figure is the same file
}


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
    with _styled():
        figure, axes = _axes(title, x, y)
        width = 0.8 / max(len(series), 1)
        for place, (name, bar) in enumerate(series.items()):
            at = np.arange(len(categories)) + (place - (len(series) - 1) / 2) * width
            axes.bar(
                at,
                [estimate.value for estimate in bar.values],
                width * 0.94,
                label=name,
                color=COLOURS[place % len(COLOURS)],
                hatch=HATCHES[place % len(HATCHES)],
                edgecolor="white",
                linewidth=0.4,
            )
            for where, (value, low, high) in zip(at, bar.values, strict=True):
                if low is not None and high is not None:
                    reach = [[max(value - low, 0)], [max(high - value, 0)]]
                    axes.errorbar(where, value, reach, color="#1f2328", linewidth=1, capsize=2)
            for marker, marks in zip(("D", "_"), bar.marks, strict=False):
                heights = [estimate.value for estimate in marks]
                axes.plot(at, heights, marker, ms=6, mfc="white", mec="#1f2328", mew=1.4, zorder=4, clip_on=False)
        axes.set_xticks(range(len(categories)), categories, fontsize=8)
        axes.set_ylim(bottom=0)
        if len(series) > 1:
            figure.legend(loc="outside lower center", ncols=2)
    return figure


def curves(title: str, drawn: Mapping[str, Sequence[Curve]], *, x: str, y: str) -> Figure:
    """Draw lines over N with their intervals; the control of a model has its colour, dashed."""
    with _styled():
        figure, axes = _axes(title, x, y)
        for place, (name, several) in enumerate(drawn.items()):
            for order, curve in enumerate(several):
                colour = COLOURS[place % len(COLOURS)]
                label = f"{name}: {curve.name}" if len(drawn) > 1 else curve.name
                style = ("-", "--", ":")[min(order, 2)]
                values = [point.value for point in curve.points]
                axes.plot(curve.n, values, style, marker="os^"[min(order, 2)], color=colour, label=label, ms=4)
                known = [(n, point.low, point.high) for n, point in zip(curve.n, curve.points, strict=True)]
                band = [(n, low, high) for n, low, high in known if low is not None and high is not None]
                if band:
                    axes.fill_between(*zip(*band, strict=True), color=colour, alpha=0.15, linewidth=0)
        axes.set_xscale("log")
        ticks = sorted({n for several in drawn.values() for curve in several for n in curve.n})
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write `stem`.png and `stem`.svg, without dates, so that the same data give the same files."""
    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    with _styled():
        FigureCanvasAgg(figure)
        figure.savefig(png, dpi=160, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def data_address(path: Path) -> str:
    """Turn a picture's file into an address that a page can hold."""
    return data_uri(path.read_bytes(), "svg+xml" if path.suffix == ".svg" else "png")


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


@contextmanager
def _styled() -> Iterator[None]:
    with matplotlib.rc_context(_STYLE):
        yield
