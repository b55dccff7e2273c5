"""The words of mini-seg: those of mini, the marks [SEG], <p> and </p>, and what it takes to ask for a mask."""

from __future__ import annotations

from functools import cache

from pixcore_mini.config import MiniConfig
from pixcore_mini.tokenizer import Encoder, model_tokenizer
from transformers import PreTrainedTokenizerFast

SEG, OPEN, CLOSE = "[SEG]", "<p>", "</p>"
MARKS = (SEG, OPEN, CLOSE)
_WORDS = ("Can", " you", " segment", "Describe")


@cache
def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer: mini's tokens keep their numbers, the new ones follow."""
    known = PreTrainedTokenizerFast.from_pretrained(MiniConfig().folder, local_files_only=True).get_vocab()
    for word in (*MARKS, *_WORDS):
        known.setdefault(word, len(known))
    return model_tokenizer(known, MARKS)


class MarkedEncoder(Encoder):
    """Turns text into token ids as mini's does, but in an answer the marks are marks."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Wraps the model's tokenizer."""
        super().__init__(tokenizer)
        self._marked = tokenizer
        self.seg = int(tokenizer.get_vocab()[SEG])

    def answer(self, text: str) -> list[int]:
        """Encode what the model says, with the end's mark."""
        return [*self._marked.encode(text, add_special_tokens=False), self.end]
