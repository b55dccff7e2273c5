"""Registers LISA; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the adapter `lisa`."""
    register(
        "lisa",
        "pixcore_lisa.adapter:Lisa",
        config="pixcore_lisa.config:LisaConfig",
        summary="LISA 7B: text with [SEG] masks from SAM (Lai et al., 2024), native",
    )
