"""Registers OMG-LLaVA; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer `omg-llava`."""
    register(
        "omg-llava",
        "pixcore_omg_llava.adapter:OmgLlava",
        config="pixcore_omg_llava.config:OmgLlavaConfig",
        summary="OMG-LLaVA 7B: text with [SEG] masks (Zhang et al., 2024), native",
    )
