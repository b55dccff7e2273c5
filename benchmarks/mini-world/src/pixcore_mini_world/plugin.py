"""Registers the benchmark."""

from __future__ import annotations

from pixcore.hookspecs import Register, hookimpl


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer mini-world."""
    register(
        "mini-world",
        "pixcore_mini_world.benchmark:MiniWorld",
        config="pixcore_mini_world.config:MiniWorldConfig",
        summary="drawn scenes in pairs, exact masks for things and parts, absent objects",
        default=True,
    )
