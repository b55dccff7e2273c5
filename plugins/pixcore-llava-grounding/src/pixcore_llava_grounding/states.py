"""Which hidden state becomes a mask: the one that *predicts* `<seg>`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def seg_states(token_ids: Sequence[int], states: Tensor, seg_id: int) -> Tensor:
    """(n, hidden) states kept for the mask decoder, raw: nothing projects them (llava_llama_gd.py:967-1028).

    Args:
        token_ids: The new tokens.
        states: (tokens, hidden) after the final norm; row i predicted token i.
        seg_id: `<seg>`.
    """
    return states[[index for index, token in enumerate(token_ids) if token == seg_id]]
