"""Registers the adapter."""

from __future__ import annotations

from pixcore.hookspecs import Register, hookimpl


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the adapter `mini-seg`."""
    register(
        "mini-seg",
        "pixcore_mini_seg.adapter:MiniSeg",
        config="pixcore_mini_seg.config:MiniSegConfig",
        summary="mini with a [SEG] token and a mask decoder, trained with masks on mini-world, inside the package",
    )
