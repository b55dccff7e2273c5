"""Find the hidden state that becomes a mask: the one *at* [SEG], whose input is [SEG]."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def seg_places(token_ids: Sequence[int], seg_id: int) -> list[int]:
    """Find each [SEG] among the new tokens that has a state.

    A [SEG] that is the last token was never an input; the released code drops it (`sequences[0][:-1]`), and so does
    this.
    """
    return [index for index, token in enumerate(token_ids[:-1]) if token == seg_id]


def state_rows(token_ids: Sequence[int], seg_id: int, *, prompt_length: int) -> list[int]:
    """Find the rows of all states (the prompt's, then one for each later step) that belong to [SEG] tokens.

    Args:
        token_ids: The new tokens.
        seg_id: [SEG].
        prompt_length: Rows of the prompt, image tokens included.
    """
    return [prompt_length + place for place in seg_places(token_ids, seg_id)]


def states_at(places: Sequence[int], states: Tensor) -> Tensor:
    """Take the states at some of the new tokens.

    Args:
        places: Index of each among the new tokens.
        states: (tokens, hidden); row i *predicted* token i, so the state at token i is row i + 1.

    Returns:
        (n, hidden).
    """
    return states[[place + 1 for place in places]]
