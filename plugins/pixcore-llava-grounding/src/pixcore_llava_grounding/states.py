"""Find the hidden state that becomes a mask: the one that *predicts* `<seg>`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def seg_places(token_ids: Sequence[int], seg_id: int) -> list[int]:
    """Find each `<seg>` among the new tokens."""
    return [index for index, token in enumerate(token_ids) if token == seg_id]


def seg_states(places: Sequence[int], states: Tensor) -> Tensor:
    """Keep the states (n, hidden) for the mask decoder, raw: nothing projects them (llava_llama_gd.py:967-1028).

    Args:
        places: Index of each `<seg>` among the new tokens.
        states: (tokens, hidden) after the final norm; row i predicted token i.
    """
    return states[list(places)]
