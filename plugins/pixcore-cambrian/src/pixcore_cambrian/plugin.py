"""Registers Cambrian-1; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the adapter `cambrian`."""
    register(
        "cambrian",
        "pixcore_cambrian.adapter:CambrianAdapter",
        config="pixcore_cambrian.config:CambrianConfig",
        summary="Cambrian-1 8B: text and attention, four vision towers (Tong et al., 2024), native",
    )
