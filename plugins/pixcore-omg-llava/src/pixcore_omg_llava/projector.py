"""Project visual tokens into the language model's space, and [SEG] states back into the decoder's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pixcore_omg_llava.perception import VisualTokens


def _projection(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.GELU(), nn.Linear(outputs, outputs))


class VisualProjector(nn.Module):
    """Embeds pixel tokens, a separator and the queries that own a cell for the language model."""

    def __init__(self, *, token_channels: int, query_channels: int, hidden: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(query_channels, token_channels)
        self.queries = _projection(token_channels, hidden)
        self.pixels = _projection(token_channels + query_channels, hidden)
        self.separator = nn.Embedding(1, hidden)

    def forward(self, tokens: VisualTokens) -> list[Tensor]:
        """Give one (cells + 1 + K, hidden) per image; K, the queries that own a cell, differs between images."""
        pixels = self.pixels(tokens.pixels)
        queries = self.queries(self.query_proj(tokens.queries))
        return [
            torch.cat([cells, self.separator.weight, own[owner.unique()]])
            for cells, own, owner in zip(pixels, queries, tokens.owner, strict=True)
        ]


def state_projector(*, hidden: int, channels: int) -> nn.Sequential:
    """Build the projector of a [SEG] state to one query: content, then position, `channels` = 2 * dim in all."""
    return _projection(hidden, channels)
