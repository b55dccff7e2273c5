"""Registers RGA; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the adapter `rga`."""
    register(
        "rga",
        "pixcore_rga.adapter:Rga",
        config="pixcore_rga.config:RgaConfig",
        summary="RGA, UniGR-7B: Qwen2.5-VL with [SEG] masks from SAM 2 (Wang et al., 2025), native",
    )
