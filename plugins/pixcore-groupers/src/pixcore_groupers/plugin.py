"""Registers the groupers."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_token_groupers(register: Register) -> None:
    """Offer the groupers."""
    register("tokens", "pixcore_groupers.groupers:Tokens", summary="every token that adds a letter or digit, alone")
    register("words", "pixcore_groupers.groupers:Words", summary="the tokens of each word", default=True)
