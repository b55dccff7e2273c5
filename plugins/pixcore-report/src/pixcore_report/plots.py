"""Set plots into a page, each row's picture with what stands behind it and what sums it up, or write them as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from markupsafe import Markup
from pixcore_plots.panels import estimate, key, small, whole
from pixcore_plots.plots import HEADER, Panel, Plot, Plots, Series, table
from pixcore_statistics.wording import joined

from pixcore_report.page import rendered

FileKind = Literal["svg", "csv"]

FILES: tuple[FileKind, ...] = ("svg", "csv")
"""As what a plot is written beside its page."""


def sections(plots: Plots) -> Iterator[dict[str, Any]]:
    """Give what `templates/plots.html` shows of each plot."""
    for plot in plots.plots:
        common = plots.common(plot)
        yield {
            "plot": plot,
            "key": list(key(plot)),
            "marks": list(dict.fromkeys(mark.what for one in _series(plot) for mark in one.marks)),
            "standing": common,
            "panels": [
                {
                    "panel": panel,
                    "svg": Markup(small(plot, panel)),
                    "standing": [] if common else list(_each(plots, panel)),
                }
                for panel in plot.panels
            ],
            "alone": bool(plot.panels) and not any(one.control for one in _series(plot)),
            "numbers": list(_numbers(plot)),
            "missing": joined(f"{label} ({why})" for label, why in plot.missing.items()) if plot.missing else "",
        }


def fragment(plots: Plots, files: str) -> str:
    """Write all plots as HTML for the inside of a page that has `plots.css` and the plots' own rules of style.

    Args:
        plots: The plots.
        files: What the addresses of a plot's files begin with.
    """
    return rendered("drawn.html", {"plots": plots, "sections": list(sections(plots)), "files": files})


def file_of(plots: Plots, plot: Plot, kind: FileKind) -> str:
    """Write a plot that has panels as a file: a picture of all its rows, or its numbers as CSV."""
    if kind == "svg":
        return whole(plots, plot)
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    lines.writerows(table(plot))
    return text.getvalue()


def _series(plot: Plot) -> Iterator[Series]:
    for panel in plot.panels:
        yield from panel.series


def _numbers(plot: Plot) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Give the lines of a plot's table: the row, whose candidates, and each number."""
    names = plot.numbers()
    for panel in plot.panels:
        for one in panel.series:
            if names:
                yield panel.label, one.name, [estimate(one.numbers[n]) if n in one.numbers else "–" for n in names]


def _each(plots: Plots, panel: Panel) -> Iterator[str]:
    """Say what stands behind each series of a panel, or once what stands behind all of them."""
    said = [plots.standing(one) for one in panel.series]
    if len(set(said)) == 1:
        yield said[0]
    else:
        yield from (f"{one.name}: {words}" for one, words in zip(panel.series, said, strict=True))
