"""The mask decoder: the state that wrote a [SEG] prompts it, over the tower's cells and a finer look at the pixels."""

from __future__ import annotations

import torch
from pixcore_mini.network import sine_cosine_positions
from pixcore_mini.tokenizer import GRID
from torch import Tensor, nn
from torch.nn import functional

FINE = 4 * GRID
"""Rows and columns of the grid that masks are decided on: cells of two of the network's pixels."""
_TOKENS = 4
_CHANNELS = 32
_UNLIKELY = -3.0
"""Where the logits begin: a region covers a few percent of an image."""


class TwoWay(nn.Module):
    """One step in which the prompt's tokens look at the cells and the cells look at the tokens."""

    def __init__(self, width: int, heads: int) -> None:
        """Untrained."""
        super().__init__()
        self.among, self.look, self.told = (nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(3))
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))

    def forward(self, tokens: Tensor, cells: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Update tokens (n, tokens, width) and cells (n, cells, width); `places` is (cells, width)."""
        # the attention that gives weights is three times as fast on a CPU, with so few tokens
        tokens = self.norms[0](tokens + self.among(tokens, tokens, tokens)[0])
        tokens = self.norms[1](tokens + self.look(tokens, cells + places, cells)[0])
        tokens = self.norms[2](tokens + self.feed_forward(tokens))
        cells = self.norms[3](cells + self.told(cells + places, tokens, tokens)[0])
        return tokens, cells


class MaskDecoder(nn.Module):
    """Turns states into masks, in the manner of SAM's decoder, at the size of the rest of the model."""

    places: Tensor

    def __init__(self, state_width: int, cell_width: int, width: int = 128, heads: int = 4, depth: int = 2) -> None:
        """Untrained.

        Args:
            state_width: Of the language model's states.
            cell_width: Of the vision tower's.
            width: Of its own.
            heads: Of its attention.
            depth: Steps of tokens and cells looking at each other.
        """
        super().__init__()
        self.width = width
        self.prompt = nn.Sequential(
            nn.Linear(state_width, state_width), nn.GELU(), nn.Linear(state_width, _TOKENS * width)
        )
        self.roles = nn.Parameter(torch.randn(_TOKENS, width) * 0.5)
        self.cells = nn.Sequential(nn.LayerNorm(cell_width), nn.Linear(cell_width, width))
        self.register_buffer("places", sine_cosine_positions(GRID, width), persistent=False)
        self.steps = nn.ModuleList(TwoWay(width, heads) for _ in range(depth))
        self.halves = nn.ConvTranspose2d(width, 64, 2, stride=2)
        self.quarters = nn.ConvTranspose2d(64, _CHANNELS, 2, stride=2)
        self.stem = nn.Sequential(
            nn.Conv2d(3, _CHANNELS, 3, stride=2, padding=1), nn.GELU(), nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)
        )
        self.weights = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, _CHANNELS))
        self.likeness = nn.Linear(width, width)

    def forward(self, states: Tensor, owners: Tensor, patches: Tensor, pixels: Tensor) -> Tensor:
        """Give the logits of masks, (n, FINE, FINE); a mask is where they are above 0.

        Args:
            states: (n, state width), each predicted a [SEG].
            owners: (n,) the image that each belongs to.
            patches: (images, cells, cell width), the vision tower's last states.
            pixels: (images, 3, side, side), as the tower gets them, `FINE` x 2 pixels a side.
        """
        tokens = self.prompt(states).reshape(-1, _TOKENS, self.width) + self.roles
        cells = (self.cells(patches) + self.places)[owners]
        for step in self.steps:
            tokens, cells = step(tokens, cells, self.places.to(cells.dtype))
        coarse = cells.transpose(1, 2).reshape(-1, self.width, GRID, GRID)
        fine = functional.gelu(self.quarters(functional.gelu(self.halves(coarse))) + self.stem(pixels)[owners])
        weights = self.weights(tokens[:, 0])
        drawn = torch.einsum("nchw,nc->nhw", fine, weights) / _CHANNELS**0.5
        near = torch.einsum("nkc,nc->nk", cells, self.likeness(tokens[:, 1])) / self.width**0.5
        logits: Tensor = drawn + at_size(near.reshape(-1, GRID, GRID), (FINE, FINE)) + _UNLIKELY
        return logits


def at_size(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate logits (n, rows, columns) to (height, width)."""
    resized: Tensor = functional.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)
    return resized[:, 0]


def mask_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Weigh cross-entropy and Dice as LISA does, 2 to 0.5; both (n, height, width)."""
    truth = truth.to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    likely = logits.sigmoid()
    shared = (likely * truth).sum(dim=(1, 2))
    dice = 1 - (2 * shared + 1) / (likely.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)
    return 2.0 * entropy + 0.5 * dice.mean()


def ious(logits: Tensor, truth: Tensor) -> Tensor:
    """Measure each mask's IoU with the truth, (n,); both (n, height, width)."""
    said, truth = logits > 0, truth.bool()
    either = (said | truth).sum(dim=(1, 2)).clamp(min=1)
    return (said & truth).sum(dim=(1, 2)) / either
