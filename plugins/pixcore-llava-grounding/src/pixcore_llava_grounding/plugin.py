"""Registers LLaVA-Grounding; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer `llava-grounding`."""
    register(
        "llava-grounding",
        "pixcore_llava_grounding.adapter:LlavaGrounding",
        config="pixcore_llava_grounding.config:LlavaGroundingConfig",
        summary="LLaVA-Grounding 7B: text with <seg> masks from OpenSeeD (Zhang et al., 2024), native",
    )
