"""Let the queries of some steps wait, and compute their rows together.

The cache still has all their keys by then, and one product of many rows costs less than many products of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pixcore_transformers.rows import Tensor, allowed_at_once

AT_ONCE = 32
"""Steps of an answer that wait at most."""

LARGEST = 1 << 26
"""Bytes that the scores of one layer's rows may take; fewer steps wait where they would take more."""

FEWEST = 4
"""Rows that are computed together at least, the last one again and again: of fewer, MKL's last bits are others."""

Compute = Callable[[Tensor, Tensor, Tensor, Mapping[str, Any]], Tensor]
"""Gives (batch, heads, steps, cells) of queries, keys, a mask as `allowed_at_once` makes it, and a kernel's call."""


@dataclass(eq=False)
class _Layer:
    """One layer's rows on their way.

    Attributes:
        cells: (batch, heads, 1 or more, cells) of the steps that are computed.
        queries: (batch, heads, 1, width) of each step after those.
        masks: What the kernel got with each of these queries.
        key: The keys of the newest, and so of all.
        keys: How many they are.
        call: What else the kernel got.
    """

    cells: list[Tensor] = field(default_factory=list)
    queries: list[Tensor] = field(default_factory=list)
    masks: list[Tensor | None] = field(default_factory=list)
    key: Tensor | None = None
    keys: int = 0
    call: Mapping[str, Any] = field(default_factory=dict)


class Waiting:
    """Steps whose rows are on their way, layer by layer.

    Args:
        compute: Computes rows.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._most, self._room = 0, AT_ONCE
        self._layers: dict[int, _Layer] = defaultdict(_Layer)

    @property
    def due(self) -> bool:
        """Whether it is time to take them: no query waits for others, or as many as should be computed together."""
        return not 0 < self._most < self._room

    def clear(self) -> None:
        """Forget what waits."""
        self._layers.clear()
        self._most = 0

    def query(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, call: Mapping[str, Any]) -> bool:
        """Keep one step's query (batch, heads, 1, width) of a layer; False where it does not follow what waits."""
        own = self._layers[layer]
        keys = key.shape[2]
        if not own.queries:
            self._room = min(AT_ONCE, LARGEST // (4 * query.shape[0] * query.shape[1] * (keys + AT_ONCE)))
        elif keys <= own.keys or (mask is None) != (own.masks[0] is None):
            return False
        own.queries.append(query)
        own.masks.append(mask)
        own.key, own.keys, own.call = key, keys, call
        self._most = len(own.queries)
        return True

    def cells(self, layer: int, cells: Tensor) -> None:
        """Keep one step's (batch, heads, 1, cells) of a layer, behind what waits there."""
        own = self._layers[layer]
        self._settle(own, {})
        own.cells.append(cells)
        self._most = max(len(layer.queries) for layer in self._layers.values())

    def taken(self) -> Iterator[tuple[int, Tensor]]:
        """Give each layer's (batch, heads, steps, cells), and forget them."""
        layers, self._layers, self._most = self._layers, defaultdict(_Layer), 0
        masks: dict[tuple[int, ...], Tensor] = {}
        for layer, own in layers.items():
            self._settle(own, masks)
            yield layer, own.cells[0] if len(own.cells) == 1 else torch.cat(own.cells, dim=2)

    def _settle(self, own: _Layer, masks: dict[tuple[int, ...], Tensor]) -> None:
        """Compute the rows of a layer's queries; layers that got the same masks share what is made of them."""
        if own.key is None:
            return
        steps = len(own.queries)
        order = [*range(steps), *[steps - 1] * (FEWEST - steps)]
        name = (own.keys, *map(id, own.masks))
        if name not in masks:
            masks[name] = allowed_at_once(own.masks, own.keys, own.key.device)[:, :, order]
        query = torch.cat([own.queries[step] for step in order], dim=2)
        own.cells.append(self._compute(query, own.key, masks[name], own.call)[:, :, :steps])
        own.queries, own.masks, own.key = [], [], None
