"""The answer's markers: `<g_s> phrase <g_e> <seg>`, and what the published script does to them."""

from __future__ import annotations

import re
from collections.abc import Sequence

MARKERS = ("<g_s>", "<g_e>", "<seg>")
_END = " <seg>"


def drop_empty_phrases(text: str, empty: Sequence[bool]) -> str:
    """Take the markers off phrases for which no region was found (`filter_empty_box_mask` in infer_llavag.py).

    Args:
        text: The decoded answer.
        empty: For each `<seg>` in order, whether no region was found.

    Returns:
        The text; a phrase without a region has its markers removed and its spaces collapsed, one space before it.
    """
    if not empty:
        return text
    pieces = text.split(_END)
    kept = []
    # The published loop ends with the shorter of the two: pieces beyond the states are lost, but for the last one.
    for piece, nothing in zip(pieces, empty, strict=False):
        phrase = piece + _END
        if nothing:
            phrase = " " + " ".join(re.sub(r"<g_s>|<g_e> <seg>", "", phrase).split())
        kept.append(phrase)
    return "".join([*kept, pieces[-1]])
