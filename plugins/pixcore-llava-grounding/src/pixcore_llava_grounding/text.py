"""Write the prompt, and the answer's markers `<g_s> phrase <g_e> <seg>` as published and removed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixcore_segtoken.tokenizer import IMAGE, PublishedTokenizer

PHRASE, PHRASE_END, SEG = "<g_s>", "<g_e>", "<seg>"
MARKERS = (PHRASE, PHRASE_END, SEG)

_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def chat(question: str) -> str:
    """Write the whole prompt with one question, stripped as the published data mapper strips it."""
    return f"{_SYSTEM} USER: {IMAGE}\n{question.replace(IMAGE, '').strip()} ASSISTANT:"


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
    pieces = text.split(f" {SEG}")
    kept = []
    # The published loop ends with the shorter of the two: pieces beyond the states are lost, but for the last one.
    for piece, nothing in zip(pieces, empty, strict=False):
        phrase = f"{piece} {SEG}"
        if nothing:
            phrase = " " + " ".join(re.sub(f"{PHRASE}|{PHRASE_END} {SEG}", "", phrase).split())
        kept.append(phrase)
    return "".join([*kept, pieces[-1]])


def published_text(tokenizer: PublishedTokenizer, empty: Sequence[bool], token_ids: Sequence[int]) -> str:
    """Decode an answer, or the beginning of one, as the released script writes it: markers stay, `<s>` and `</s>` go.

    Args:
        tokenizer: Decodes.
        empty: Of each [SEG], whether it has no region: its phrase is dropped.
        token_ids: Of the answer.
    """
    special = (tokenizer.bos, tokenizer.eos)
    text = tokenizer.decode([index for index in token_ids if index not in special])
    ended = sum(index == tokenizer.added[SEG] for index in token_ids)  # whose phrases a beginning holds
    return drop_empty_phrases(text, empty[:ended])
