"""The spatial vision aggregator (Cambrian-1, section 3): queries that read several towers at their own place.

Each query stands for one cell of a grid and attends only to the features of the towers inside that cell: one of each
coarse tower, k x k of a fine one. The same block is used before the language model and inside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

HEADS = 16


class PlacedAttention(nn.Module):
    """Lets each query attend to the features of all towers at its place.

    Args:
        width: Width of queries, keys and values.
        feature_widths: Width of each tower's features; each tower has its own key and value projection.
    """

    def __init__(self, width: int, feature_widths: Sequence[int]) -> None:
        super().__init__()
        self.q_proj = _normed_linear(width, width)
        self.k_proj = nn.ModuleList(_normed_linear(given, width) for given in feature_widths)
        self.v_proj = nn.ModuleList(_normed_linear(given, width) for given in feature_widths)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, queries: Tensor, features: Sequence[Tensor], mask: Tensor) -> Tensor:
        """Read the towers' features at the queries' places.

        Args:
            queries: (n, 1, width).
            features: One (n, k_i, feature_widths[i]) a tower.
            mask: (n, sum k_i) bool, True where there is image.

        Returns:
            (n, 1, width).
        """
        keys = torch.cat([project(tower) for project, tower in zip(self.k_proj, features, strict=True)], dim=1)
        values = torch.cat([project(tower) for project, tower in zip(self.v_proj, features, strict=True)], dim=1)
        attended = nn.functional.scaled_dot_product_attention(
            _split_heads(self.q_proj(queries)), _split_heads(keys), _split_heads(values), attn_mask=mask[:, None, None]
        )
        out: Tensor = self.o_proj(attended.transpose(1, 2).flatten(2))
        return out


class SamplerLayer(nn.Module):
    """One block, in which the query and the image's global context read the towers.

    Args:
        query_width: Width of the queries: the vision width before the language model, its own inside it.
        context_width: Width of the global context.
        feature_widths: Width of each tower's features; of a tower with several cells in a query's cell it is `width`,
            because its position embedding is that wide.
        factors: For each tower, how many of its cells lie along one side of a query's cell.
        width: The block's own width.
    """

    def __init__(
        self, query_width: int, context_width: int, feature_widths: Sequence[int], factors: Sequence[int], width: int
    ) -> None:
        super().__init__()
        self.proj_context = nn.Linear(context_width, width, bias=False)
        self.proj_in = nn.Linear(query_width + width, width, bias=False)
        self.attention = PlacedAttention(width, feature_widths)
        self.norm = nn.LayerNorm(width)
        self.proj_out = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.GELU(), nn.Linear(width, query_width, bias=False)
        )
        self.position = nn.ParameterDict(
            {str(tower): torch.zeros(factor**2, width) for tower, factor in enumerate(factors) if factor > 1}
        )

    def forward(self, queries: Tensor, context: Tensor, features: Sequence[Tensor], mask: Tensor) -> Tensor:
        """Rewrite queries (n, 1, query_width), given the context (n, 1, context_width)."""
        placed = [
            tower + self.position[str(index)] if str(index) in self.position else tower
            for index, tower in enumerate(features)
        ]
        inner = self.proj_in(torch.cat([queries, self.proj_context(context)], dim=-1))
        inner = self.norm(inner + self.attention(inner, placed, mask))
        out: Tensor = queries + self.proj_out(inner)
        return out


class Sampler(nn.Module):
    """A stack of `SamplerLayer`, whose arguments it takes."""

    def __init__(
        self,
        query_width: int,
        context_width: int,
        feature_widths: Sequence[int],
        factors: Sequence[int],
        width: int,
        depth: int,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            SamplerLayer(query_width, context_width, feature_widths, factors, width) for _ in range(depth)
        )

    def forward(self, queries: Tensor, context: Tensor, features: Sequence[Tensor], mask: Tensor) -> Tensor:
        """Rewrite the queries in every layer; see `SamplerLayer.forward`."""
        for layer in self.layers:
            queries = layer(queries, context, features, mask)
        return queries


def _normed_linear(given: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(given), nn.Linear(given, width, bias=False))


def _split_heads(states: Tensor) -> Tensor:
    """(n, k, width) to (n, heads, k, width / heads)."""
    return torch.unflatten(states, -1, (HEADS, -1)).transpose(1, 2)
