"""Registers GLaMM; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer `glamm` and `glamm-regcap`: one architecture, two checkpoints."""
    register(
        "glamm",
        "pixcore_glamm.adapter:Glamm",
        config="pixcore_glamm.config:GlammConfig",
        summary="GLaMM FullScope 7B: text with [SEG] masks from SAM (Rasheed et al., 2024), native",
    )
    register(
        "glamm-regcap",
        "pixcore_glamm.adapter:Glamm",
        config="pixcore_glamm.config:RegcapConfig",
        summary="GLaMM tuned for region captions on RefCOCOg, native",
    )
