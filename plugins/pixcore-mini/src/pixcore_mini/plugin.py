"""Registers the adapter."""

from __future__ import annotations

from pixcore.hookspecs import Register, hookimpl


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the adapter `mini`."""
    register(
        "mini",
        "pixcore_mini.adapter:Mini",
        config="pixcore_mini.config:MiniConfig",
        summary="a small LLaVA trained from scratch on mini-world, inside the package",
        default=True,
    )
