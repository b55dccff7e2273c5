"""Match generated tokens and the characters of the decoded text.

Two rules. `exact_tokens` says what each token adds: the spans follow each other without gap or overlap and make up the
text. `prefix_tokens` is what attend-and-segment does: a token's end is the length of the decoded prefix, which counts
the replacement characters of a half-decoded one, so that a start may exceed its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from pixcore.records import Token


class Decoder(Protocol):
    """The part of a tokenizer that is needed to decode."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        """Decode some tokens."""


def decode(tokenizer: Decoder, ids: Sequence[int]) -> str:
    """Decode generated tokens: no special tokens, nothing cleaned up, nothing stripped."""
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def exact_tokens(tokenizer: Decoder, ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
    """Decode tokens with a tokenizer, and say what each adds to the text; see `written_tokens`."""
    return written_tokens(partial(decode, tokenizer), ids)


def written_tokens(write: Callable[[Sequence[int]], str], ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
    """Write tokens, and say what each adds to the text.

    A token adds what the text has in common with the decoded prefix that ends with it, beyond what came before. A
    character that is written in several tokens (an emoji in bytes) is added by the one that completes it; those before
    it, and special tokens, add nothing: their span is empty.

    Args:
        write: Writes some of the first tokens.
        ids: All generated tokens, special ones included.

    Returns:
        The text, and one token for each id; their spans tile the text.
    """
    text = write(ids)
    tokens: list[Token] = []
    start = 0
    for count, number in enumerate(ids, 1):
        prefix = text if count == len(ids) else write(ids[:count])
        end = _common(prefix, text, start)
        tokens.append(Token(int(number), text[start:end], start, end))
        start = end
    return text, tuple(tokens)


def _common(prefix: str, text: str, start: int) -> int:
    """How many characters both begin with, if at least `start`; else `start`."""
    if prefix[:start] != text[:start]:
        return start
    end = start
    for ours, theirs in zip(prefix[start:], text[start:], strict=False):
        if ours != theirs:
            break
        end += 1
    return end


def prefix_tokens(tokenizer: Decoder, ids: Sequence[int], *, clean_up: bool = False) -> tuple[str, tuple[Token, ...]]:
    """Decode tokens, and say what each adds by the published rule.

    groundLMM `aas/utils.py` and PixFoundation's copy of it: token j ends at `len(decode(ids[:j + 1]))` and starts where
    the one before ended.

    Args:
        tokenizer: Decodes.
        ids: All generated tokens.
        clean_up: Close the spaces before punctuation, as transformers 4 does for a tokenizer that asks for it
            (Llama 3's).

    Returns:
        The text, and one token for each id.
    """

    def published(some: Sequence[int]) -> str:
        text = decode(tokenizer, some)
        return clean_up_spaces(text) if clean_up else text

    text = published(ids)
    tokens: list[Token] = []
    start = 0
    for count, number in enumerate(ids, 1):
        end = len(published(ids[:count]))
        tokens.append(Token(int(number), text[start:end], start, end))
        start = end
    return text, tuple(tokens)


def clean_up_spaces(text: str) -> str:
    """Treat a decoded text as transformers 4 does with `clean_up_tokenization_spaces`, in its order."""
    for before, after in (
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
        (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ):  # fmt: skip
        text = text.replace(before, after)
    return text
