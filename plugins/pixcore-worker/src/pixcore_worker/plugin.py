"""Registers the worker; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the adapter `worker`."""
    register(
        "worker",
        "pixcore_worker.adapter:Worker",
        config="pixcore_worker.config:WorkerConfig",
        summary="a model in an environment of its own, which a manifest names",
    )
