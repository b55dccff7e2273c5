"""Registers the benchmark."""

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer the benchmark `pixmmvp`."""
    register(
        "pixmmvp",
        "pixcore_pixmmvp.benchmark:PixMMVP",
        config="pixcore_pixmmvp.config:PixMMVPConfig",
        summary="300 paired questions of MMVP with referring expressions and masks",
    )
