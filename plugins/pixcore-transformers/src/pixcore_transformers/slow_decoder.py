"""Decode as transformers 4's slow Llama tokenizer did: the published LLaVA runs load it with `use_fast=False`.

transformers 5 has one kind of tokenizer. Both give the same ids, and the same text of whole answers; they differ in the
text of a prefix that ends inside a character's bytes, on which the published spans rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import sentencepiece


class SlowDecoder:
    """Decodes ids by sentencepiece itself.

    Args:
        model: A `tokenizer.model`.
        special: Ids that add no text; so do all that the model does not know (added tokens).
    """

    def __init__(self, model: Path, special: Iterable[int]) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self._special = frozenset(special)

    def decode(
        self, token_ids: list[int], *, skip_special_tokens: bool = True, clean_up_tokenization_spaces: bool = False
    ) -> str:
        """Decode some tokens, the first one's leading space left out; special tokens are always skipped."""
        size = self._pieces.vocab_size()
        pieces = [self._pieces.id_to_piece(i) for i in token_ids if i not in self._special and i < size]
        if pieces and pieces[0].startswith("\u2581"):
            pieces[0] = pieces[0][1:]
        return str(self._pieces.decode(pieces))
