"""What a strategy has less what its control has: what is hard for both cancels, so it has an interval of its own.

In a strategy's row, its figure less that of the same strategy on the first control's candidates; in a control's row,
its strategy's figure less the control's own: beside random points what attention adds, beside other images' points what
is left of that without the habit of looking where objects are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pixcore.figures.columns import Own, scale, with_own
from pixcore.figures.intervals import Sums
from pixcore.figures.rows import Figure, RowSpec
from pixcore_statistics.means import difference, t_interval

METHOD = "paired t"


def less_controls(
    rows: Sequence[Mapping[str, Sums]], specs: Sequence[RowSpec], own: Own
) -> Iterator[dict[str, Figure]]:
    """Give each row's figures that set a strategy beside its control.

    Args:
        rows: For each row by the figure's name its terms, over the same clusters.
        specs: What each row shows.
        own: The run's own probings.
    """
    less = {entry.name: entry.less_control for entry in with_own(own).values() if entry.less_control is not None}
    for strategy, control in beside(rows, specs):
        both = {
            name: _alike(control[of], strategy[of]) for name, of in less.items() if of in control and of in strategy
        }
        yield {name: _less(name, *sides) for name, sides in both.items() if sides[0].denominators.any()}


def beside(
    rows: Sequence[Mapping[str, Sums]], specs: Sequence[RowSpec]
) -> Iterator[tuple[Mapping[str, Sums], Mapping[str, Sums]]]:
    """For each row the terms of the strategy and of the control that are set side by side in it; nothing of none."""
    places = {spec.key: place for place, spec in enumerate(specs)}
    firsts = {spec.control_of: places[spec.key] for spec in reversed(specs) if spec.control_of is not None}
    for place, spec in enumerate(specs):
        sides: tuple[int | None, int | None] = (place, firsts.get(spec.key))
        if spec.control_of is not None:
            sides = (places.get(spec.control_of), place)
        strategy, control = ({} if at is None else rows[at] for at in sides)
        yield strategy, control


def _alike(*sides: Sums) -> list[Sums]:
    """Leave the clusters in which all sides have as many samples: a sample may lack its control alone."""
    alike = np.ptp([side.denominators for side in sides], axis=0) == 0
    return [Sums(side.kind, side.numerators[alike], side.denominators[alike]) for side in sides]


def _less(name: str, control: Sums, strategy: Sums) -> Figure:
    value, error, clusters = difference(control, strategy)
    n, unit = int(control.denominators.sum()), scale(name)
    if np.isnan(error):
        return Figure(unit * value, n=n)
    low, high = t_interval(unit * value, unit * error, clusters, most=unit)
    return Figure(unit * value, low, high, n, method=METHOD)
