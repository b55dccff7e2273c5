"""What is written by now of answers in the making, for whoever hears of their tokens and asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.geometry import VisualLayout
from pixcore.notices import tell_written

Tokens = list[list[int]]
Maps = NDArray[np.float32]

HALF_CHARACTER = re.compile("\ufffd\\Z")
"""How a text ends that stops in the middle of a character."""


@dataclass(eq=False)
class InMaking:
    """Answers that are being written.

    Attributes:
        layouts: Where each one's visual tokens lie.
        maps: Gives each one's maps by now, (rows read, cells); None: they are not read meanwhile, or mean nothing yet.
        shifted: Maps are assigned one token later, as `query: emitted` is published.
        tokens: Gives each one's tokens by now.
    """

    layouts: Sequence[VisualLayout]
    maps: Callable[[], Sequence[Maps]] | None
    shifted: bool
    tokens: Callable[[], Tokens] | None = None


_now: ContextVar[InMaking | None] = ContextVar("pixcore_in_making", default=None)


@contextmanager
def in_making(
    layouts: Sequence[VisualLayout], maps: Callable[[], Sequence[Maps]] | None = None, *, shifted: bool = False
) -> Iterator[None]:
    """While open, whoever hears of a token in this thread may ask what is written; the fields are `InMaking`'s."""
    token = _now.set(InMaking(layouts, maps, shifted))
    try:
        yield
    finally:
        _now.reset(token)


def tell(tokens: Callable[[], Tokens], count: int, most: int) -> None:
    """Tell that there is one more token.

    Args:
        tokens: Gives all tokens of each answer; called only where somebody asks, as a GPU has to be waited for.
        count: How many the longest answer has.
        most: How many it may have.
    """
    now = _now.get()
    if now is not None:
        now.tokens = tokens
    tell_written(count, most)


def written_by_now() -> list[tuple[list[int], dict[str, Any]]]:
    """Give of each answer in the making its tokens, and what is known beside them, if anything: maps, layout, shifted.

    Where maps are read, those tokens are left out whose row is still to come.
    """
    now = _now.get()
    if now is None or now.tokens is None:
        return []
    tokens = now.tokens()
    if now.maps is None:
        return [(own, {}) for own in tokens]
    return [
        (own[: len(rows)], {"maps": rows[: len(own)], "layout": layout, "shifted": now.shifted})
        for own, rows, layout in zip(tokens, now.maps(), now.layouts, strict=True)
    ]


def whole_part(
    tokens: Sequence[int],
    fields: dict[str, Any],
    text: Callable[[Sequence[int]], str],
    half: re.Pattern[str] = HALF_CHARACTER,
) -> tuple[Sequence[int], dict[str, Any]]:
    """Leave out the last tokens whose text is still to change, and their maps.

    Args:
        tokens: Of one answer, as `written_by_now` gives them.
        fields: What is known beside them.
        text: Writes tokens.
        half: Found in a text whose end is still to change.
    """
    count = len(tokens)
    while count and half.search(text(tokens[:count])):
        count -= 1
    maps = {"maps": fields["maps"][:count]} if "maps" in fields else {}
    return tokens[:count], fields | maps
