"""Registers the generator."""

from __future__ import annotations

from pixcore.hookspecs import Register, hookimpl


@hookimpl
def register_mask_generators(register: Register) -> None:
    """Offer the generator `mini-sam`."""
    register(
        "mini-sam",
        "pixcore_sam.hub:SamTransformers",
        config="pixcore_mini_sam.config:MiniSamConfig",
        summary="a small SAM, trained on mini-world, inside the package",
    )
