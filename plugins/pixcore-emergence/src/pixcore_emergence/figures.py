"""Draw figures in one style: colour-blind safe, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pixcore_pictures.drawing import data_uri

from pixcore_emergence.emergence import Curve

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


def bars(
    title: str,
    categories: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    x: str,
    y: str,
    errors: Mapping[str, Sequence[tuple[float, float] | None]] | None = None,
) -> Figure:
    """Draw grouped bars, one colour a series.

    Args:
        title: What it shows.
        categories: Names along the x axis.
        series: For each name in the legend one value a category; None leaves a gap.
        x: Label of the x axis.
        y: Label of the y axis.
        errors: (low, high) ends of intervals, likewise.
    """
    with _styled():
        figure, axes = _axes(title, x, y)
        width = 0.8 / max(len(series), 1)
        for place, (name, values) in enumerate(series.items()):
            at = [index + (place - (len(series) - 1) / 2) * width for index in range(len(categories))]
            shown = [0.0 if value is None else value for value in values]
            axes.bar(
                at,
                shown,
                width * 0.94,
                label=name,
                color=COLOURS[place % len(COLOURS)],
                hatch=HATCHES[place % len(HATCHES)],
                edgecolor="white",
                linewidth=0.4,
            )
            for where, value, ends in zip(at, shown, (errors or {}).get(name) or [None] * len(at), strict=True):
                if ends is not None:
                    low, high = max(value - ends[0], 0), max(ends[1] - value, 0)
                    axes.errorbar(where, value, [[low], [high]], color="#1f2328", linewidth=1, capsize=2)
        axes.set_xticks(range(len(categories)), categories)
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
                axes.plot(curve.n, curve.value, style, marker="os^"[min(order, 2)], color=colour, label=label, ms=4)
                axes.fill_between(curve.n, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
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
