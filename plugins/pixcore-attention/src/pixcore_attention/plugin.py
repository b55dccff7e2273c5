"""Registers the extractors and transforms."""

from __future__ import annotations

from pixcore.hookspecs import Register, hookimpl


@hookimpl
def register_attention_extractors(register: Register) -> None:
    """Offer the extractors."""
    register(
        "mean",
        "pixcore_attention.mean:Mean",
        config="pixcore_attention.config:MeanConfig",
        summary="mean over layers and heads (attend-and-segment, the paper's)",
    )


@hookimpl
def register_map_transforms(register: Register) -> None:
    """Offer the transforms."""
    register(
        "subtract-mean",
        "pixcore_attention.transforms:SubtractMean",
        summary="minus the mean over all output tokens (attend-and-segment, the paper's)",
    )
