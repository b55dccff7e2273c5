"""Multi-scale deformable attention and its encoder, in plain PyTorch.

Both Mask2Former (OMG-LLaVA) and MaskDINO (LLaVA-Grounding) refine their feature pyramid with the encoder of Deformable
DETR (Zhu et al., 2021, sections 4.1 and 4.2). The published systems call a compiled operator;
`torch.nn.functional.grid_sample` computes the same numbers, one call a level. Everything here is `(batch, tokens,
channels)`, points are `(x, y)` in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

MapSize = tuple[int, int]
"""Height and width of one level's map."""


def sine_position(size: MapSize, dim: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Encode positions as DETR's normalised 2-D sine does, y channels before x channels.

    Args:
        size: (height, width) of the map.
        dim: channels; a multiple of four.
        device: where the result lies.
        dtype: type of the result; the angles are computed in float32.

    Returns:
        (height * width, dim), row-major.
    """
    axes = [_sine(_normalised(length, device), dim // 2) for length in size]
    rows, columns = axes
    height, width = size
    both = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=-1)
    return both.flatten(0, 1).to(dtype)


def sine_vector(value: float, dim: int, *, device: torch.device) -> Tensor:
    """Encode one number, (dim,) float32: interleaved sine and cosine, temperature 10000."""
    return _sine(torch.tensor([value], dtype=torch.float32, device=device), dim)[0]


def sine_of(values: Tensor, dim: int) -> Tensor:
    """Encode each number in `values`: (..., dim), interleaved sine and cosine."""
    return _sine(values, dim)


def _normalised(length: int, device: torch.device) -> Tensor:
    steps = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    return steps / (steps[-1:] + 1e-6) * (2 * math.pi)


def _sine(angles: Tensor, dim: int) -> Tensor:
    index = torch.arange(dim, dtype=torch.float32, device=angles.device)
    period = 10000 ** (2 * torch.div(index, 2, rounding_mode="floor") / dim)
    scaled = angles[..., None] / period
    return torch.stack([scaled[..., 0::2].sin(), scaled[..., 1::2].cos()], dim=-1).flatten(-2)


def cell_centres(sizes: Sequence[MapSize], *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Give every cell's centre, (tokens, 2) as (x, y) in 0..1, levels one after another, row-major."""
    levels = []
    for height, width in sizes:
        y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
        levels.append(torch.stack([x[None].expand(height, -1), y[:, None].expand(-1, width)], dim=-1).flatten(0, 1))
    return torch.cat(levels).to(dtype)


class MultiScaleDeformableAttention(nn.Module):
    """Lets each query attend to a few learned points on each level (Deformable DETR, equation 3).

    Parameter names are those that every published implementation shares: `sampling_offsets`, `attention_weights`,
    `value_proj`, `output_proj`.
    """

    def __init__(self, dim: int, *, heads: int, levels: int, points: int = 4) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)

    def forward(self, query: Tensor, reference: Tensor, memory: Tensor, sizes: Sequence[MapSize]) -> Tensor:
        """Attend to the memory around the queries' reference points.

        Args:
            query: (batch, queries, dim), position already added.
            reference: (batch, queries, levels, 2) points, or (..., 4) boxes as centre x, centre y, width, height; 0..1.
            memory: (batch, tokens, dim), the levels one after another in the order of `sizes`.
            sizes: (height, width) of each level.

        Returns:
            (batch, queries, dim).
        """
        batch, queries, dim = query.shape
        shape = (batch, queries, self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query).view(*shape, 2)
        weights = self.attention_weights(query).view(batch, queries, self.heads, -1).softmax(dim=-1).view(shape)
        anchor = reference[:, :, None, :, None]
        if reference.shape[-1] == 4:
            locations = anchor[..., :2] + offsets / self.points * anchor[..., 2:] * 0.5
        else:
            extent = torch.tensor([(w, h) for h, w in sizes], dtype=offsets.dtype, device=offsets.device)
            locations = anchor + offsets / extent[None, None, None, :, None]
        value = self.value_proj(memory).view(batch, -1, self.heads, dim // self.heads)
        attended: Tensor = self.output_proj(sample_levels(value, sizes, locations, weights))
        return attended


def sample_levels(value: Tensor, sizes: Sequence[MapSize], locations: Tensor, weights: Tensor) -> Tensor:
    """Sample every level bilinearly, weigh and add up; zero outside the maps.

    Args:
        value: (batch, tokens, heads, channels).
        sizes: (height, width) of each level; their areas add up to `tokens`.
        locations: (batch, queries, heads, levels, points, 2) as (x, y) in 0..1.
        weights: (batch, queries, heads, levels, points).

    Returns:
        (batch, queries, heads * channels).
    """
    batch, _, heads, channels = value.shape
    queries = locations.shape[1]
    grid = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)
    share = weights.permute(3, 0, 2, 1, 4).flatten(1, 2)
    total = value.new_zeros(batch * heads, channels, queries)
    # One level at a time: the samples of all levels at once would be the largest array of the whole model.
    for level, (height, width) in enumerate(sizes):
        start = sum(h * w for h, w in sizes[:level])
        plane = value[:, start : start + height * width].permute(0, 2, 3, 1).reshape(-1, channels, height, width)
        samples = functional.grid_sample(plane, grid[level], mode="bilinear", padding_mode="zeros", align_corners=False)
        total = total + (samples * share[level][:, None]).sum(dim=-1)
    return total.view(batch, heads * channels, queries).transpose(1, 2)


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention and a two-layer ReLU network, each with a residual and a LayerNorm after it."""

    def __init__(self, dim: int, *, heads: int, levels: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = MultiScaleDeformableAttention(dim, heads=heads, levels=levels)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, position: Tensor, reference: Tensor, sizes: Sequence[MapSize]) -> Tensor:
        """Refine `tokens` (batch, n, dim); `position` is added to the queries only."""
        tokens = self.norm1(tokens + self.self_attn(tokens + position, reference, tokens, sizes))
        refined: Tensor = self.norm2(tokens + self.linear2(functional.relu(self.linear1(tokens))))
        return refined


class DeformableEncoder(nn.Module):
    """Runs the layers one after another, over all levels at once."""

    def __init__(self, dim: int, *, layers: int, heads: int, levels: int, hidden: int) -> None:
        super().__init__()
        self.levels = levels
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(dim, heads=heads, levels=levels, hidden=hidden) for _ in range(layers)
        )

    def forward(self, tokens: Tensor, position: Tensor, sizes: Sequence[MapSize]) -> Tensor:
        """Refine the pyramid.

        Args:
            tokens: (batch, n, dim), levels one after another.
            position: (n, dim) or (batch, n, dim): sine position plus the level's embedding.
            sizes: (height, width) of each level.

        Returns:
            (batch, n, dim).
        """
        reference = self.reference_points(sizes, tokens)
        for layer in self.layers:
            tokens = layer(tokens, position, reference, sizes)
        return tokens

    def reference_points(self, sizes: Sequence[MapSize], like: Tensor) -> Tensor:
        """Give each token's own centre, seen on every level: (batch, n, levels, 2)."""
        centres = cell_centres(sizes, device=like.device, dtype=like.dtype)
        return centres[None, :, None].expand(like.shape[0], -1, self.levels, -1)
