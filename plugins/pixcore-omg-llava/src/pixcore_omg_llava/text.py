"""Write the prompt, and the answer's text as published and as it should be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixcore_segtoken.tokenizer import IMAGE

from pixcore_omg_llava.tokenizer import IM_END, PHRASE, PHRASE_END, SEG, InternLM2Tokenizer


def chat(question: str) -> str:
    """Write InternLM2's conversation with one question about one image, up to where the answer begins."""
    return f"<|im_start|>user\n{IMAGE}\n{question}{IM_END}\n<|im_start|>assistant\n"


def published_text(decoded: str) -> str:
    """Clean the decoded answer as PixFoundation's script does (infer_omgllava.py).

    Newlines vanish without a space, one round of pairs of spaces becomes single ones, before the markers are removed;
    `</s>` is not.
    """
    for before, after in (
        ("\n", ""),
        ("  ", " "),
        ("<s>", ""),
        (IM_END, ""),
        (SEG, ""),
        (PHRASE, ""),
        (PHRASE_END, ""),
    ):
        decoded = decoded.replace(before, after)
    return decoded.strip()


def corrected_text(spoken: str) -> str:
    """Keep the words alone: lines kept, spaces that markers left behind removed."""
    return re.sub(r" +([.,;:!?])", r"\1", re.sub(r" {2,}", " ", spoken)).strip()


def answer_text(tokenizer: InternLM2Tokenizer, token_ids: Sequence[int], *, published: bool) -> str:
    """Decode an answer, or the beginning of one, and clean it."""
    if published:
        return published_text(tokenizer.decode(token_ids))
    return corrected_text(tokenizer.spoken(token_ids))
