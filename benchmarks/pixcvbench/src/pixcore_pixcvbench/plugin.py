"""Registers the benchmark."""

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer PixCV-Bench."""
    register(
        "pixcvbench",
        "pixcore_pixcvbench.benchmark:PixCVBench",
        config="pixcore_pixcvbench.config:PixCVBenchConfig",
        summary="1,438 questions of CV-Bench (2D) with the objects of interest and masks",
    )
