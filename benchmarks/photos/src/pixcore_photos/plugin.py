"""Registers the benchmark."""

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer the benchmark."""
    register(
        "photos",
        "pixcore_photos.benchmark:Photos",
        config="pixcore_photos.benchmark:PhotosConfig",
        summary="28 questions about six photographs that scikit-image ships, with masks of 20 objects",
    )
