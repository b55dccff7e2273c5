"""Transforms of finished maps; they compose in the config's order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixcore.components import MapTransform, NoConfig
from pixcore.errors import ConfigError
from pixcore.geometry import VisualLayout
from pixcore_attention.config import BorderMaskConfig, DivideConfig, SinkFilterConfig, SmoothConfig
from pixcore_attention.grids import apply_to_grids

Maps = NDArray[np.float32]


class SubtractMean(MapTransform[NoConfig]):
    """Subtracts the mean over all output tokens, the end token included, from every token's map.

    attend-and-segment (paper section 3.2; PixFoundation `pixmmvp/inference/infer_pixfoundation.py:264-266`): what all
    tokens look at alike, such as attention sinks, says nothing about one of them.
    """

    def transform(self, maps: Maps, layout: VisualLayout, reference: Maps | None) -> Maps:
        """Subtract the mean from maps (tokens, visual tokens); one token alone gives zeros."""
        if not len(maps):
            return maps.copy()
        mean: Maps = maps.mean(axis=0, dtype=np.float32, keepdims=True)
        return maps - mean


class DivideByReference(MapTransform[DivideConfig]):
    """Divides every token's map by the extractor's reference map (relative attention)."""

    def transform(self, maps: Maps, layout: VisualLayout, reference: Maps | None) -> Maps:
        """Divide maps (tokens, visual tokens) by reference (visual tokens,).

        Raises:
            ConfigError: The extractor has no reference prompt.
        """
        if reference is None:
            raise ConfigError(
                "transform divide-by-reference has no reference to divide by",
                hint="use an extractor with a reference prompt: extractor: relative",
            )
        return maps / (reference.astype(np.float32) + np.float32(self.config.epsilon))


class SinkFilter(MapTransform[SinkFilterConfig]):
    """Takes the mass of attention sinks and spreads it over the other visual tokens in proportion to theirs.

    A sink is a visual token whose mean over all output tokens exceeds `ratio` times the median of all: it is looked at
    whatever is said. Kang et al., "See what you are told: visual attention sink" (ICLR 2025), find sinks by outliers in
    the hidden state, which a finished map does not show, and work on single heads (`logic.py:34-37,101-215`, where a
    sink keeps 0.6); this is the nearest thing for a map. Put it before `subtract-mean`, which removes the mass that it
    looks for.
    """

    def transform(self, maps: Maps, layout: VisualLayout, reference: Maps | None) -> Maps:
        """Filter maps (tokens, visual tokens); each keeps its sum."""
        result = maps.astype(np.float32, copy=True)
        if not result.size:
            return result
        means = result.mean(axis=0)
        cells = layout.grid_of >= 0
        sinks = cells & (means > self.config.ratio * max(float(np.median(means[cells])), 0.0))
        others = cells & ~sinks
        if not sinks.any() or not others.any():
            return result
        # in float64: what there is may be so little that its share of a sink's mass overflows float32
        taken = result[:, sinks].sum(axis=1, dtype=np.float64) * (1 - self.config.keep)
        there = result[:, others].sum(axis=1, dtype=np.float64)
        given = there > 0  # a map whose mass is all in sinks has no proportions to spread it by, and stays as it is
        growth = 1 + np.divide(taken, there, out=np.zeros_like(taken), where=given)
        result[:, sinks] *= np.where(given, self.config.keep, 1)[:, None]
        result[:, others] = result[:, others] * growth[:, None]
        return result


class Smooth(MapTransform[SmoothConfig]):
    """Smooths every map with a Gaussian, each grid on its own."""

    def transform(self, maps: Maps, layout: VisualLayout, reference: Maps | None) -> Maps:
        """Smooth maps (tokens, visual tokens); a grid's border cells are repeated outwards."""
        from scipy.ndimage import gaussian_filter  # takes a while to import, and the other transforms do without

        def blur(cells: Maps) -> Maps:
            return np.asarray(gaussian_filter(cells, self.config.sigma, mode="nearest"), np.float32)

        return _each(maps, lambda own: apply_to_grids(own, layout, blur))


class BorderMask(MapTransform[BorderMaskConfig]):
    """Sets the cells along the edges of each grid to the grid's smallest value, so that no peak lies there."""

    def transform(self, maps: Maps, layout: VisualLayout, reference: Maps | None) -> Maps:
        """Mask maps (tokens, visual tokens); a grid that is all border stays as it is."""
        width = self.config.width

        def mask(cells: Maps) -> Maps:
            if min(cells.shape) <= 2 * width:
                return cells
            masked = np.full_like(cells, cells.min())
            masked[width:-width, width:-width] = cells[width:-width, width:-width]
            return masked

        return _each(maps, lambda own: apply_to_grids(own, layout, mask))


def _each(maps: Maps, change: Callable[[Maps], Maps]) -> Maps:
    return np.stack([change(own) for own in maps]) if len(maps) else maps.copy()
