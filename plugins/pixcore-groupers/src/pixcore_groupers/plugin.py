"""Registers the groupers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixcore import hookimpl
from pixcore.hookspecs import Register

if TYPE_CHECKING:
    from pixcore.records import Candidate


@hookimpl
def register_token_groupers(register: Register) -> None:
    """Offer the groupers."""
    register("tokens", "pixcore_groupers.groupers:Tokens", summary="every token that adds a letter or digit, alone")
    register("words", "pixcore_groupers.groupers:Words", summary="the tokens of each word", default=True)


@hookimpl
def merge_candidates(candidates: Sequence[Candidate], iou: float) -> list[Candidate]:
    """Merge those with one prompt, and those whose masks overlap."""
    from pixcore_groupers.merging import merge_duplicates

    return merge_duplicates(candidates, iou)
