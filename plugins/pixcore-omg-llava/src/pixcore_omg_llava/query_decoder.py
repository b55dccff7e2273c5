"""The masked-attention decoder of OMG-Seg: learned queries, or the states of [SEG] tokens, to masks and classes.

Mask2Former's decoder (Cheng et al., 2022, section 3.2) in mmdet's order (cross-attention, self-attention, network; a
LayerNorm after each) with the open-vocabulary class head of OMG-Seg: the queries' mask-pooled features against CLIP
text embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pixcore_segtoken.deformable import MapSize, sine_position, sine_vector
from torch import Tensor, nn
from torch.nn import functional

from pixcore_omg_llava.sizes import PerceptionSizes

LOGIT_SCALE = 4.6052
"""Log of the temperature of the class head, ln(100) as the release rounds it."""


@dataclass(frozen=True)
class ImageMemory:
    """What the decoder attends to in a batch of images, kept for the [SEG] states that come later.

    Attributes:
        mask_features: (batch, mask_dim, height / 4, width / 4).
        pyramid: (batch, dim, h, w) per level, coarse to fine.
    """

    mask_features: Tensor
    pyramid: list[Tensor]

    def select(self, images: Tensor) -> ImageMemory:
        """Give the memory with one row for each index in `images`."""
        return ImageMemory(self.mask_features[images], [level[images] for level in self.pyramid])


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention and a ReLU network, post-norm."""

    def __init__(self, sizes: PerceptionSizes) -> None:
        super().__init__()
        dim = sizes.dim
        self.cross_attention = nn.MultiheadAttention(dim, sizes.heads, batch_first=True)
        self.cross_norm = nn.LayerNorm(dim)
        self.self_attention = nn.MultiheadAttention(dim, sizes.heads, batch_first=True)
        self.self_norm = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, sizes.decoder_hidden)
        self.linear2 = nn.Linear(sizes.decoder_hidden, dim)
        self.final_norm = nn.LayerNorm(dim)

    def forward(
        self, query: Tensor, position: Tensor, memory: Tensor, memory_position: Tensor, blocked: Tensor
    ) -> Tensor:
        """Refine the queries by one layer.

        Args:
            query: (batch, queries, dim).
            position: (batch, queries, dim), added to queries (and keys of the self-attention), not to values.
            memory: (batch, cells, dim) of one level.
            memory_position: (cells, dim), added to the keys.
            blocked: (batch, queries, cells) bool, True where a query must not look.

        Returns:
            (batch, queries, dim).
        """
        heads = self.cross_attention.num_heads
        seen = self.cross_attention(
            query + position,
            memory + memory_position,
            memory,
            attn_mask=blocked.repeat_interleave(heads, dim=0),
            need_weights=False,
        )[0]
        query = self.cross_norm(query + seen)
        place = query + position
        query = self.self_norm(query + self.self_attention(place, place, query, need_weights=False)[0])
        refined: Tensor = self.final_norm(query + self.linear2(functional.relu(self.linear1(query))))
        return refined


def _perceptron(dim: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, out))


class QueryDecoder(nn.Module):
    """Decodes queries, and reads masks and classes off them after each layer."""

    class_vectors: Tensor

    def __init__(self, sizes: PerceptionSizes) -> None:
        super().__init__()
        dim = sizes.dim
        self.query_embed = nn.Embedding(sizes.queries, dim)
        self.query_feat = nn.Embedding(sizes.queries, dim)
        self.level_embed = nn.Embedding(sizes.levels, dim)
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.decoder_layers))
        self.post_norm = nn.LayerNorm(dim)
        self.mask_embed = _perceptron(dim, sizes.mask_dim)
        self.iou_embed = _perceptron(dim, 1)
        self.mask_pooling_proj = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))
        self.cls_proj = _perceptron(dim, sizes.class_dim)
        # (class_dim, classes + 1, prototypes): text embeddings of the vocabulary; not part of the head's file.
        self.register_buffer("class_vectors", torch.zeros(sizes.class_dim, 1, 1), persistent=False)
        self.logit_scale = LOGIT_SCALE

    def set_vocabulary(self, embeddings: Tensor) -> None:
        """Take the vocabulary (classes, prototypes, class_dim), of unit length; zeros are added as the background."""
        background = embeddings.new_zeros(1, *embeddings.shape[1:])
        vectors = torch.cat([embeddings, background]).permute(2, 0, 1).contiguous()
        self.class_vectors = vectors.to(self.query_feat.weight)

    def forward(self, memory: ImageMemory) -> tuple[Tensor, Tensor]:
        """Decode the learned queries: their last states and their mask logits.

        Returns:
            States (batch, queries, dim) and mask logits (batch, queries, height / 4, width / 4), both after the last
            layer.
        """
        batch = memory.mask_features.shape[0]
        query = self.query_feat.weight.expand(batch, -1, -1)
        *_, last = self.decode(query, self.query_embed.weight.expand(batch, -1, -1), memory)
        return last

    def masks_of_states(self, states: Tensor, memory: ImageMemory) -> list[Tensor]:
        """Draw the masks of projected [SEG] states, before the first layer and after each one.

        Args:
            states: (n, 2 * dim): content, then position; each is decoded alone, as the release does.
            memory: one row per state.

        Returns:
            Layers + 1 tensors (n, 1, height / 4, width / 4); the release uses the last.
        """
        content, position = states[:, None].chunk(2, dim=-1)
        first = self.mask_logits(content, memory.mask_features)
        return [first, *(masks for _, masks in self.decode(content, position, memory))]

    def decode(
        self,
        query: Tensor,
        position: Tensor,
        memory: ImageMemory,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Run the layers, each looking where the mask before it is.

        Args:
            query: (batch, queries, dim).
            position: (batch, queries, dim).
            memory: of the images, one row per batch entry.
            watch: called with each layer's index and what it blocks, (batch, queries, cells) bool.

        Returns:
            (states, mask logits) after every layer.
        """
        levels = [
            level.flatten(2).transpose(1, 2) + code
            for level, code in zip(memory.pyramid, self.level_embed.weight, strict=True)
        ]
        sizes: list[MapSize] = [(level.shape[-2], level.shape[-1]) for level in memory.pyramid]
        places = [self.memory_position(size, query) for size in sizes]
        masks = self.mask_logits(query, memory.mask_features)
        steps = []
        for index, layer in enumerate(self.layers):
            level = index % len(levels)
            blocked = self.blocked_cells(masks, sizes[level])
            if watch is not None:
                watch(index, blocked)
            query = layer(query, position, levels[level], places[level], blocked)
            masks = self.mask_logits(query, memory.mask_features)
            steps.append((query, masks))
        return steps

    def mask_logits(self, query: Tensor, mask_features: Tensor) -> Tensor:
        """Draw each query's mask: logits (batch, queries, h, w) of states (batch, queries, dim)."""
        return torch.einsum("bqc,bchw->bqhw", self.mask_embed(self.post_norm(query)), mask_features)

    @staticmethod
    def blocked_cells(masks: Tensor, size: MapSize) -> Tensor:
        """Mark where each query must not look, (batch, queries, cells); one whose mask is empty looks everywhere."""
        coarse = functional.interpolate(masks, size=size, mode="bilinear", align_corners=False)
        blocked = coarse.flatten(2).sigmoid() < 0.5
        return blocked & ~blocked.all(dim=-1, keepdim=True)

    def class_logits(self, query: Tensor, masks: Tensor, mask_features: Tensor) -> Tensor:
        """Classify with an open vocabulary: logits (batch, queries, classes + 1), the background last."""
        inside = (masks > 0).to(masks.dtype)
        share = inside / (inside.sum(dim=(-1, -2), keepdim=True) + 1e-8)
        pooled = torch.einsum("bchw,bqhw->bqc", mask_features, share)
        embedding = self.cls_proj(self.mask_pooling_proj(pooled) + self.post_norm(query))
        similarity = torch.einsum("bnc,ckp->bnkp", functional.normalize(embedding, dim=-1), self.class_vectors)
        return math.exp(self.logit_scale) * similarity.amax(dim=-1)

    def iou_logits(self, query: Tensor) -> Tensor:
        """Let the head guess each mask's quality, (batch, queries, 1); the release computes and drops it."""
        quality: Tensor = self.iou_embed(self.post_norm(query))
        return quality

    @staticmethod
    def memory_position(size: MapSize, like: Tensor) -> Tensor:
        """Encode cells (cells, dim) as mmdet does a single frame: the 2-D sine plus the code of z = 2 pi."""
        dim = like.shape[-1]
        plane = sine_position(size, dim, device=like.device, dtype=torch.float32)
        frame = sine_vector(2 * math.pi / (1 + 1e-6), dim, device=like.device)
        return (plane + frame).to(like.dtype)
