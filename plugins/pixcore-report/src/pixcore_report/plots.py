"""Set plots into a page: each row's picture, what stands behind it, and what sums it up as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup
from pixcore_plots.panels import estimate, key, small
from pixcore_plots.plots import Panel, Plot, Plots, Series
from pixcore_statistics.wording import joined


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
