"""Which hidden state becomes a mask: the one *at* [SEG], whose input is [SEG]."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def state_rows(token_ids: Sequence[int], seg_id: int, *, prompt_length: int) -> list[int]:
    """Rows of the flat states (the prompt's, then one for each later step) that belong to [SEG] tokens.

    The step after a token has that token as its input, so token i has row `prompt_length + i`. A [SEG] that is the last
    token has no such step; the released code drops it (`sequences[0][:-1]`) and so does this.

    Args:
        token_ids: The new tokens.
        seg_id: [SEG].
        prompt_length: Rows of the prompt, image tokens included.
    """
    return [prompt_length + index for index, token in enumerate(token_ids[:-1]) if token == seg_id]


def seg_states(token_ids: Sequence[int], states: Tensor, seg_id: int) -> Tensor:
    """(n, hidden) states at the [SEG] tokens.

    Args:
        token_ids: The new tokens.
        states: (tokens, hidden); row i *predicted* token i, so the state at token i is row i + 1.
        seg_id: [SEG].
    """
    # Seen from `states`, the prompt has one row: the one that predicted the first token.
    return states[state_rows(token_ids, seg_id, prompt_length=1)]
