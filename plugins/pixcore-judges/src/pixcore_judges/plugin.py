"""Registers the judge."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_judges(register: Register) -> None:
    """Offer the judge."""
    register(
        "exact-match",
        "pixcore_judges.exact_match:ExactMatch",
        config="pixcore_judges.config:ExactMatchConfig",
        summary="right if the answer names the right option: its letter, its text, yes or no",
        default=True,
    )
