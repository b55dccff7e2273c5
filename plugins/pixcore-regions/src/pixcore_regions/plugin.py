"""Registers the generator."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_mask_generators(register: Register) -> None:
    """Offer the generator."""
    register(
        "regions",
        "pixcore_regions.generator:Regions",
        config="pixcore_regions.config:RegionsConfig",
        summary="three nested regions of colour around a point, without weights",
        default=True,
    )
