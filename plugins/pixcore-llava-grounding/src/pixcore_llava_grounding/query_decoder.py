"""OpenSeeD's two-stage MaskDINO decoder: language states choose regions, nine layers refine them to boxes and masks.

Mask DINO (Li et al., 2023, section 3.3) with class logits against language states in place of class weights. A state
is the language model's own vector, neither projected nor normalised. All states of an answer go in together: the first
stage keeps the regions that fit any of them best, so three states at once are not three runs with one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from pixcore_segtoken.deformable import MapSize, MultiScaleDeformableAttention, cell_centres, sine_of
from torch import Tensor, nn
from torch.nn import functional

from pixcore_llava_grounding.sizes import OpenSeedSizes


@dataclass(frozen=True)
class Memory:
    """What the decoder attends to, of one image, coarse to fine.

    Attributes:
        tokens: (batch, n, dim).
        sizes: (height, width) of each level.
        mask_features: (batch, mask_dim, height / 4, width / 4).
    """

    tokens: Tensor
    sizes: list[MapSize]
    mask_features: Tensor

    @classmethod
    def of(cls, mask_features: Tensor, pyramid: Sequence[Tensor]) -> Memory:
        """Take the pixel decoder's results, whose levels are fine to coarse."""
        levels = list(reversed(pyramid))
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        return cls(tokens, [(level.shape[-2], level.shape[-1]) for level in levels], mask_features)


@dataclass(frozen=True)
class Regions:
    """The regions that the first stage chose.

    Attributes:
        index: (batch, queries) tokens that were chosen, by descending score.
        content: (batch, queries, dim).
        boxes: (batch, queries, 4) logits of centre x, centre y, width, height.
        class_logits: (batch, n, states) of all tokens; -inf where a token proposes no box.
    """

    index: Tensor
    content: Tensor
    boxes: Tensor
    class_logits: Tensor


@dataclass(frozen=True)
class Detections:
    """What the decoder finds.

    Attributes:
        class_logits: (batch, queries, states).
        boxes: (batch, queries, 4): centre x, centre y, width, height as shares of the model's input.
        masks: (batch, queries, height / 4, width / 4) logits.
    """

    class_logits: Tensor
    boxes: Tensor
    masks: Tensor


class Perceptron(nn.Module):
    """Stacks linear layers with ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, depth: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (depth - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        for layer in self.layers[:-1]:
            inputs = functional.relu(layer(inputs))
        outputs: Tensor = self.layers[-1](inputs)
        return outputs


class DecoderLayer(nn.Module):
    """Self-attention, deformable cross-attention at the query's box, a ReLU network; post-norm."""

    def __init__(self, sizes: OpenSeedSizes) -> None:
        super().__init__()
        dim, heads = sizes.dim, sizes.decoder_heads
        self.cross_attn = MultiScaleDeformableAttention(dim, heads=heads, levels=sizes.levels)
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, sizes.decoder_hidden)
        self.linear2 = nn.Linear(sizes.decoder_hidden, dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, query: Tensor, position: Tensor, boxes: Tensor, memory: Memory) -> Tensor:
        """Refine the queries by one layer.

        Args:
            query: (batch, queries, dim).
            position: (batch, queries, dim), the boxes' own code.
            boxes: (batch, queries, 4), 0..1.
            memory: of the image.

        Returns:
            (batch, queries, dim).
        """
        place = query + position
        query = self.norm2(query + self.self_attn(place, place, query, need_weights=False)[0])
        reference = boxes[:, :, None].expand(-1, -1, len(memory.sizes), -1)
        query = self.norm1(query + self.cross_attn(query + position, reference, memory.tokens, memory.sizes))
        refined: Tensor = self.norm3(query + self.linear2(functional.relu(self.linear1(query))))
        return refined


class QueryDecoder(nn.Module):
    """Chooses regions, refines them, and reads classes, boxes and masks off them."""

    def __init__(self, sizes: OpenSeedSizes) -> None:
        super().__init__()
        dim = sizes.dim
        self.queries = sizes.queries
        self.enc_output = nn.Linear(dim, dim)
        self.enc_output_norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.decoder_layers))
        self.decoder_norm = nn.LayerNorm(dim)
        self.ref_point_head = Perceptron(2 * dim, dim, dim, 2)
        self.box_embed = Perceptron(dim, dim, 4, 3)
        self.mask_embed = Perceptron(dim, dim, sizes.mask_dim, 3)
        self.class_embed = nn.Parameter(torch.empty(dim, sizes.text_dim))
        self.logit_scale = nn.Parameter(torch.empty(()))

    def forward(self, memory: Memory, states: Tensor) -> Detections:
        """Find what the states (batch, n, text_dim) speak of."""
        return self.refine(self.propose(memory, states), memory, states)

    def propose(self, memory: Memory, states: Tensor) -> Regions:
        """Run the first stage: every token proposes a box, the states choose among them."""
        output, proposals = self.proposals(memory)
        logits = self.similarity(output, states)
        logits = logits.masked_fill(proposals.isinf().any(dim=-1, keepdim=True), -math.inf)
        count = min(self.queries, logits.shape[1])
        index = logits.amax(dim=-1).topk(count, dim=1).indices
        rows = torch.arange(len(index), device=index.device)[:, None]
        boxes = self.box_embed(output[rows, index]) + proposals[rows, index]
        return Regions(index, output[rows, index], boxes, logits)

    def proposals(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Project the tokens (batch, n, dim), each with its own box as logits (batch, n, 4), inf where it has none.

        A token's box is centred on its cell, 0.05 of the input wide on the coarsest level and twice that on each finer
        one. A box with any coordinate outside (0.01, 0.99) is none, which leaves out the outermost cells of large
        maps; such a token counts as zeros before the projection.
        """
        device, dtype = memory.tokens.device, memory.tokens.dtype
        areas = [height * width for height, width in memory.sizes]
        extent = torch.cat([torch.full((area, 2), 0.05 * 2.0**level) for level, area in enumerate(areas)])
        centres = cell_centres(memory.sizes, device=device, dtype=torch.float32)
        boxes = torch.cat([centres, extent.to(device)], dim=-1)
        valid = ((boxes > 0.01) & (boxes < 0.99)).all(dim=-1, keepdim=True)
        logits = torch.log(boxes / (1 - boxes)).masked_fill(~valid, math.inf).to(dtype)
        output = self.enc_output_norm(self.enc_output(memory.tokens.masked_fill(~valid, 0.0)))
        return output, logits.expand(len(output), -1, -1)

    def refine(self, regions: Regions, memory: Memory, states: Tensor) -> Detections:
        """Run the second stage: the layers move the boxes, the heads read the last one."""
        query, boxes = regions.content, regions.boxes.sigmoid()
        previous = boxes
        for layer in self.layers:
            previous = boxes
            query = layer(query, self.box_position(boxes), boxes, memory)
            boxes = self.moved(boxes, query)
        # The published heads normalise what the decoder has normalised already; the boxes they give are made of the
        # once normalised state and the boxes before the last layer.
        normed = self.decoder_norm(query)
        return Detections(
            self.class_logits(normed, states), self.moved(previous, normed), self.mask_logits(normed, memory)
        )

    def moved(self, boxes: Tensor, query: Tensor) -> Tensor:
        """Move boxes by the offset that a state predicts for them."""
        logits: Tensor = self.box_embed(query) + inverse_sigmoid(boxes)
        return logits.sigmoid()

    def box_position(self, boxes: Tensor) -> Tensor:
        """Encode boxes (batch, queries, 4), in the published order y, x, width, height."""
        y_first = boxes[..., [1, 0, 2, 3]].float() * (2 * math.pi)
        half = self.class_embed.shape[0] // 2
        code: Tensor = self.ref_point_head(sine_of(y_first, half).flatten(-2).to(boxes.dtype))
        return code

    def class_logits(self, query: Tensor, states: Tensor) -> Tensor:
        """Say how well each query fits each state, (batch, queries, n)."""
        return self.similarity(self.decoder_norm(query), states)

    def mask_logits(self, query: Tensor, memory: Memory) -> Tensor:
        """Draw each query's mask: logits (batch, queries, h, w)."""
        return torch.einsum("bqc,bchw->bqhw", self.mask_embed(self.decoder_norm(query)), memory.mask_features)

    def similarity(self, query: Tensor, states: Tensor) -> Tensor:
        """Multiply the *normalised* visual vector with the state as it is, and scale."""
        visual = query @ self.class_embed
        visual = visual / (visual.norm(dim=-1, keepdim=True) + 1e-7)
        scaled: Tensor = self.logit_scale.exp() * visual @ states.transpose(1, 2)
        return scaled


def inverse_sigmoid(values: Tensor, eps: float = 1e-5) -> Tensor:
    """Take the logit of values in 0..1, both sides clamped to `eps`."""
    values = values.clamp(0, 1)
    return torch.log(values.clamp(min=eps) / (1 - values).clamp(min=eps))
