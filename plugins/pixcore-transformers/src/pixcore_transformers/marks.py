"""Find marks in a user's text: what a tokenizer would take for its own special tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pixcore.errors import SampleError


def check_text(tokenizer: Any, text: str, name: str) -> None:
    """Refuse a text that spells a special token: it would become an image, a turn or an end, and no longer be text.

    Args:
        tokenizer: The checkpoint's.
        text: What the user asks, without the model's own frame.
        name: The sample's, for the error.

    Raises:
        SampleError: The text holds such a mark.
    """
    tokens = tokenizer.added_tokens_decoder.values()
    check_marks((token.content for token in tokens if token.special and token.content), text, name)


def check_marks(marks: Iterable[str], text: str, name: str) -> None:
    """Refuse a text that holds one of a model's marks, or half a surrogate pair, which no tokenizer takes.

    Raises:
        SampleError: It holds one.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        hint = "its file was read in another encoding than it was written in"
        raise SampleError(
            f"sample {name}: its text {text!r:.60} has half a surrogate pair, which is no text", hint=hint
        )
    for mark in marks:
        if mark in text:
            raise SampleError(
                f"sample {name}: its text holds {mark!r}, which this model reads as a mark of its own",
                hint="write it in another way",
            )
