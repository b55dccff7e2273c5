"""Do something to a map grid by grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixcore.geometry import VisualLayout

Cells = NDArray[np.float32]


def apply_to_grids(values: Cells, layout: VisualLayout, change: Callable[[Cells], Cells]) -> Cells:
    """Apply a function to each grid's (rows, cols) values of one map.

    Args:
        values: (visual tokens,).
        layout: Where they lie.
        change: Gives an array of the shape that it got.

    Returns:
        (visual tokens,), a new array; tokens that are no cells keep their value.
    """
    result = values.astype(np.float32, copy=True)
    for index, cells in enumerate(layout.cell_values(values)):
        here = layout.grid_of == index
        result[here] = change(cells).reshape(-1)[layout.cell_of[here]]
    return result
