"""Registers the adapters."""

from __future__ import annotations

from pixcore.hookspecs import Register, hookimpl


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the adapters."""
    register(
        "llava-1.5",
        "pixcore_transformers.llava:Llava15",
        config="pixcore_transformers.config:Llava15Config",
        summary="LLaVA-1.5 7B and 13B, llava-hf or original checkpoints, prepared as published",
    )
    register(
        "transformers",
        "pixcore_transformers.adapter:TransformersAdapter",
        config="pixcore_transformers.config:TransformersConfig",
        summary="any image-text-to-text model of transformers 5 whose visual layout is known",
    )
