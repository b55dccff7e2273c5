"""Write the prompt, and the answer's text as published and as it should be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixcore_segtoken.tokenizer import IMAGE

from pixcore_omg_llava.tokenizer import PHRASE, PHRASE_END, SEG, InternLM2Tokenizer

IM_END = "<|im_end|>"


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


class AnswerText:
    """Decodes an answer and cleans it, in the form that `pixcore_transformers.spans.exact_tokens` asks for."""

    def __init__(self, tokenizer: InternLM2Tokenizer, *, published: bool) -> None:
        self._tokenizer, self._published = tokenizer, published

    def decode(
        self, token_ids: Sequence[int], *, skip_special_tokens: bool = True, clean_up_tokenization_spaces: bool = False
    ) -> str:
        """Decode the text so far; how markers are treated is this class's own affair, not the flags'."""
        if self._published:
            return published_text(self._tokenizer.decode(token_ids))
        return corrected_text(self._tokenizer.spoken(token_ids))
