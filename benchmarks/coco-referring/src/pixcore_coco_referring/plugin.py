"""Registers the benchmark."""

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer the benchmark."""
    register(
        "coco-referring",
        "pixcore_coco_referring.benchmark:CocoReferring",
        config="pixcore_coco_referring.config:CocoReferringConfig",
        summary="your own images: COCO annotations with expressions, or RefCOCO/+/g",
    )
