"""Attention over packed rows, a quarter faster on a CPU than the fused kernel with a mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface

from pixcore_mini.batches import PREFIX_LENGTH

PACKED = "pixcore_mini_packed"


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float = 1.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend causally in the prefix that all turns share, and masked from the text to everything.

    Args:
        module: the attention layer; not used.
        query: (batch, heads, length, width), like key and value.
        key: what is attended to.
        value: what is read.
        attention_mask: (batch, 1, text, length), added to the scores of the text's rows alone.
        scaling: of the scores.
    """
    prefix = slice(None), slice(None), slice(None, PREFIX_LENGTH)
    text = query[:, :, PREFIX_LENGTH:]
    seen = functional.scaled_dot_product_attention(
        query[prefix], key[prefix], value[prefix], is_causal=True, scale=scaling
    )
    scores = torch.matmul(text * scaling, key.transpose(2, 3)) + attention_mask
    said = torch.matmul(torch.softmax(scores, dim=-1), value)
    return torch.cat([seen, said], dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(PACKED, packed_attention)
