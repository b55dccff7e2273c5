"""The throw-away decoder that the vision tower is trained with: one query, one word, no masks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pixcore_mini.batches import IGNORED, Query


class AttributeDecoder(nn.Module):
    """Learned queries that cross-attend the patches and name an attribute each."""

    def __init__(self, queries: list[Query], width: int, heads: int = 4) -> None:
        """One learned vector for each query; queries with the same words share their output layer."""
        super().__init__()
        self.heads = heads
        vocabularies = sorted({query.words for query in queries})
        self.groups = [[i for i, query in enumerate(queries) if query.words == words] for words in vocabularies]
        self.queries = nn.Parameter(torch.randn(len(queries), width) * 0.5)
        self.norm = nn.LayerNorm(width)
        self.to_query, self.to_key, self.to_value, self.to_output = (nn.Linear(width, width) for _ in range(4))
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.outputs = nn.ModuleList(nn.Linear(width, len(words)) for words in vocabularies)

    def forward(self, patches: torch.Tensor) -> list[torch.Tensor]:
        """Turn features (batch, patches, width) into logits (batch, queries, words), one tensor a group."""
        patches = self.norm(patches)
        query = self._split(self.to_query(self.queries).expand(len(patches), -1, -1))
        key, value = self._split(self.to_key(patches)), self._split(self.to_value(patches))
        seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        state = self.queries + self.to_output(seen)
        state = state + self.feed_forward(state)
        return [layer(state[:, group]) for group, layer in zip(self.groups, self.outputs, strict=True)]

    def loss(self, logits: list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
        """Add up the groups' mean cross-entropies; ``targets`` is (batch, queries)."""
        total = torch.zeros((), device=targets.device)
        for group, group_logits in zip(self.groups, logits, strict=True):
            flat, wanted = group_logits.float().flatten(0, 1), targets[:, group].flatten()
            known = (wanted != IGNORED).sum().clamp(min=1)
            total = total + functional.cross_entropy(flat, wanted, ignore_index=IGNORED, reduction="sum") / known
        return total

    def correct(self, logits: list[torch.Tensor], targets: torch.Tensor) -> tuple[int, int]:
        """Count how many known answers are right, and how many are known."""
        right = known = 0
        for group, group_logits in zip(self.groups, logits, strict=True):
            wanted = targets[:, group]
            asked = wanted != IGNORED
            right += int(((group_logits.argmax(-1) == wanted) & asked).sum())
            known += int(asked.sum())
        return right, known

    def _split(self, features: torch.Tensor) -> torch.Tensor:
        batch, length, width = features.shape
        return features.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)
