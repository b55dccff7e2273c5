"""Attention by plain products: for sequences this short twice as quick on a CPU as the fused kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from pixcore_mini.batches import PREFIX_LENGTH

PACKED = "pixcore_mini_packed"
_NEVER = -1e9


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float = 1.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend causally in the prefix that all turns share, and masked from the text to everything.

    Args:
        module: the attention layer; not used.
        query: (batch, heads, length, width), like key and value.
        key: what is attended to.
        value: what is read.
        attention_mask: (batch, 1, text, length), added to the scores of the text's rows alone; None, as in the vision
            tower: everything attends to everything.
        scaling: of the scores.
    """
    query = query * scaling
    if attention_mask is None:
        attended = _attend(query, key, value)
    else:
        prefix = slice(None), slice(None), slice(None, PREFIX_LENGTH)
        later = torch.full((PREFIX_LENGTH, PREFIX_LENGTH), _NEVER, dtype=query.dtype, device=query.device).triu(1)
        seen = _attend(query[prefix], key[prefix], value[prefix], later)
        attended = torch.cat([seen, _attend(query[:, :, PREFIX_LENGTH:], key, value, attention_mask)], dim=2)
    return attended.transpose(1, 2).contiguous(), None


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Give (batch, heads, queries, width); `mask` is added to the scores."""
    scores = torch.matmul(query, key.transpose(2, 3))
    if mask is not None:
        scores = scores + mask
    return torch.matmul(torch.softmax(scores, dim=-1), value)


AttentionInterface.register(PACKED, packed_attention)
