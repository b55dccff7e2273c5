"""Decode SAM's masks with less arithmetic.

For every prompt anew the decoder lets a handful of tokens and thousands of image cells look at each other, and projects
all cells a dozen times on the way. But what a prompt changes in the cells is of low rank. A cell is written to by
attention to seven tokens in eight heads, which adds as many rows, each with a share for every cell; and a layer norm
scales every cell and adds two rows more. So after any number of layers the cells are

    scale * (cells of the image * gain) + shares^T rows

with scale and shares a prompt's own and few, and the image's cells and the gain the same for all prompts. What a linear
layer makes of the cells it can make of the image's cells once, and of the few rows for every prompt. The numbers are
the same up to rounding, which grows where the cells' channels have a large mean in common.

Two things more are saved: tokens of one head share out one whole, so the last one's share is one less the others', and
upscaling leaves out the cells below or beside the picture, which are padding.

Cells stand in rows and channels in columns where they are written out, and shares token by token, because a softmax
over seven neighbours in memory is slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

_SLICE = 256  # cells at a time: what is made of them on the way then stays near the processor


@dataclass(frozen=True, eq=False)
class Projected:
    """What the attentions' linear layers make of all cells, or of their positions, head by head.

    Attributes:
        keys: (layers + 1, heads, channels, cells), for tokens that look at cells, in each layer and after the last.
        values: (layers + 1, heads, channels, cells), likewise; positions have none.
        queries: (layers, heads, channels, cells), for cells that look at tokens.
    """

    keys: Tensor
    values: Tensor
    queries: Tensor


@dataclass(frozen=True, eq=False)
class SharedCells:
    """An image's cells before any prompt has changed them, and all that linear layers make of them.

    Attributes:
        cells: (cells, width), some at a time.
        projected: By the attentions. The first layer's keys and queries have the cells' positions in them.
        upscaled: (rows * columns, 4 * channels) of those inside the picture, by the first upscaling.
        frame: (rows, columns) of cells inside the picture; the others are padding.
        grid: Cells in a row of the image, padding included.
    """

    cells: tuple[Tensor, ...]
    projected: Projected
    upscaled: Tensor
    frame: tuple[int, int]
    grid: int


@dataclass(frozen=True, eq=False)
class _Change:
    """What n prompts made of the cells: ``scale * (cells * gain) + shares^T rows``.

    Attributes:
        scale: (n, 1, cells).
        shares: (n, r, cells); the last one is 1 everywhere.
        rows: (n, r, width).
    """

    scale: Tensor
    shares: Tensor
    rows: Tensor

    def inside(self, frame: tuple[int, int], grid: int) -> _Change:
        """Of the cells inside the picture alone."""
        height, width = frame

        def cut(values: Tensor) -> Tensor:
            return values.reshape(*values.shape[:2], grid, grid)[..., :height, :width].flatten(2)

        return _Change(cut(self.scale), cut(self.shares), self.rows)


class FewTokens:
    """Decodes prompts with the weights of transformers' `SamMaskDecoder`: three masks each.

    Args:
        model: A `SamModel` whose attentions all have one width (`fits`).
    """

    def __init__(self, model: Any) -> None:
        self._decoder = model.mask_decoder
        self._no_mask = model.prompt_encoder.no_mask_embed.weight[0]
        self._outputs = torch.cat([self._decoder.iou_token.weight, self._decoder.mask_tokens.weight])
        transformer = self._decoder.transformer
        self._token_to_image = [layer.cross_attn_token_to_image for layer in transformer.layers]
        self._token_to_image.append(transformer.final_attn_token_to_image)
        self._image_to_token = [layer.cross_attn_image_to_token for layer in transformer.layers]
        norms = [layer.layer_norm4.weight for layer in transformer.layers]
        # by how much the channels were multiplied before each layer, and after the last one
        self._gains = torch.stack([torch.ones_like(norms[0]), *norms]).cumprod(0)
        positions = model.get_image_wide_positional_embeddings()[0].flatten(1)
        self._positions = self._projected(positions, torch.ones_like(self._gains), with_values=False)

    @staticmethod
    def fits(config: Any) -> bool:
        """Say whether a `SamMaskDecoderConfig` gives the last attention the others' width, which is always half."""
        return bool(config.attention_downsample_rate == 2)

    def bytes_per_prompt(self, points: int) -> int:
        """Estimate what decoding holds for one prompt of so many points: cells, their shares, attention weights."""
        cells, width = self._positions.keys.shape[-1], self._gains.shape[-1]
        tokens = (len(self._outputs) + points + 2) * self._token_to_image[0].num_attention_heads
        return int(4 * cells * (width + (len(self._image_to_token) + 4) * tokens))

    def _projected(self, cells: Tensor, gains: Tensor, *, with_values: bool = True) -> Projected:
        """All of it in one product, from (width, cells) and the channels' gains (layers + 1, width)."""
        keys = [attention.k_proj.weight for attention in self._token_to_image]
        values = [attention.v_proj.weight for attention in self._token_to_image if with_values]
        queries = [attention.q_proj.weight for attention in self._image_to_token]
        before = [*gains, *gains[: len(values)], *gains[:-1]]
        weights = torch.cat([weight * gain for weight, gain in zip([*keys, *values, *queries], before, strict=True)])
        heads = self._token_to_image[0].num_attention_heads
        made = (weights @ cells).reshape(len(before), heads, -1, cells.shape[-1])
        return Projected(*torch.split(made, [len(keys), len(values), len(queries)]))

    def shared(self, embedding: Tensor, frame: tuple[int, int]) -> SharedCells:
        """Work out what all prompts of an image have in common.

        Args:
            embedding: (1, width, grid, grid).
            frame: (rows, columns) of cells inside the picture.
        """
        cells = embedding[0] + self._no_mask[:, None, None]
        projected = self._projected(cells.flatten(1), self._gains)
        projected.keys[0] += self._positions.keys[0]
        projected.queries[0] += self._positions.queries[0]
        inside = cells[:, : frame[0], : frame[1]].flatten(1).T
        upscaled = inside @ (self._gains[-1][:, None] * _two_by_two(self._decoder.upscale_conv1))
        rows = torch.split(cells.flatten(1).T.contiguous(), _SLICE)
        return SharedCells(rows, projected, upscaled, frame, embedding.shape[-1])

    def __call__(self, shared: SharedCells, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            shared: The image.
            sparse: (n, k, width) embedded points and boxes.

        Returns:
            Mask logits (n, 3, 4 rows, 4 columns) of the picture without padding, and predicted IoUs (n, 3).
        """
        given = torch.cat([self._outputs.expand(len(sparse), -1, -1), sparse], dim=1)
        transformer, tokens = self._decoder.transformer, given
        cells: Sequence[Tensor] = shared.cells
        change: _Change | None = None
        # all shares of all layers in one piece of memory: each layer adds a few and scales those before
        room, written = self._room(tokens, shared), 0
        for index, layer in enumerate(transformer.layers):
            tokens = self._among_themselves(layer, tokens, given)
            gathered = self._attend(index, tokens + given, shared, change)
            tokens = layer.layer_norm2(tokens + gathered)
            tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
            logits = self._image_logits(index, tokens + given, shared, change)
            rows = _written(self._image_to_token[index], logits, tokens, room[:, written:])
            written += rows.shape[1] + 2
            cells, change = _normed(layer.layer_norm4, cells, change, rows, room[:, :written])
        assert change is not None
        # of the score's token and those of the three masks alone anything is asked from here on
        read = [0, *range(2, 1 + self._decoder.num_mask_tokens)]
        tokens, given = tokens[:, read], given[:, read]
        tokens = transformer.layer_norm_final_attn(tokens + self._attend(-1, tokens + given, shared, change))
        scores = self._decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
        return self._masks(tokens[:, 1:], change, shared), scores

    def _room(self, tokens: Tensor, shared: SharedCells) -> Tensor:
        """Memory for the shares (n, r, cells) of all layers."""
        n, count, _ = tokens.shape
        rows = sum((count - 1) * attention.num_attention_heads + 3 for attention in self._image_to_token)
        return tokens.new_empty(n, rows, shared.grid**2)

    def _among_themselves(self, layer: Any, tokens: Tensor, given: Tensor) -> Tensor:
        """What tokens become when they look at each other."""
        if layer.skip_first_layer_pe:
            tokens = layer.self_attn(tokens[:, None], tokens[:, None], tokens[:, None])[0][:, 0]
        else:
            placed = (tokens + given)[:, None]
            tokens = tokens + layer.self_attn(placed, placed, tokens[:, None])[0][:, 0]
        normed: Tensor = layer.layer_norm1(tokens)
        return normed

    def _attend(self, index: int, tokens: Tensor, shared: SharedCells, change: _Change | None) -> Tensor:
        """What tokens (n, t, width) that look at the cells get of them."""
        attention, values = self._token_to_image[index], shared.projected.values[index].transpose(1, 2)
        keys, positions = shared.projected.keys[index], self._positions.keys[index]
        queries = _heads(attention, attention.q_proj(tokens)) * attention.scaling  # (n, heads, t, channels)
        # a bias of the keys adds the same to all cells of a row, which the softmax takes away again
        weights = _logits(attention, queries, attention.k_proj, keys, positions, change).softmax(dim=-1)
        if change is None:
            gathered = _product(weights, values)
        else:
            sums = (weights.flatten(1, 2) @ change.shares.transpose(1, 2)).reshape(*weights.shape[:3], -1)
            gathered = sums @ _heads(attention, change.rows @ attention.v_proj.weight.T)
            gathered = gathered + _product(weights.mul_(change.scale[:, None]), values)
        result: Tensor = attention.out_proj(gathered.transpose(1, 2).flatten(2) + attention.v_proj.bias)
        return result

    def _image_logits(self, index: int, tokens: Tensor, shared: SharedCells, change: _Change | None) -> Tensor:
        """Attention logits (n, heads, t, cells) of cells that look at tokens (n, t, width)."""
        attention = self._image_to_token[index]
        queries, positions = shared.projected.queries[index], self._positions.queries[index]
        keys = _heads(attention, attention.k_proj(tokens)) * attention.scaling
        logits = _logits(attention, keys, attention.q_proj, queries, positions, change)
        bias = attention.q_proj.bias.reshape(attention.num_attention_heads, -1, 1)
        return logits.add_(keys @ bias)

    def _masks(self, tokens: Tensor, change: _Change, shared: SharedCells) -> Tensor:
        """Scale the cells inside the picture up twice, two by two, and compare each pixel with each mask's token."""
        decoder = self._decoder
        first, second, norm = decoder.upscale_conv1, decoder.upscale_conv2, decoder.upscale_layer_norm
        networks = decoder.output_hypernetworks_mlps[1:]
        weights = torch.stack([network(tokens[:, index]) for index, network in enumerate(networks)], dim=1)
        inside = change.inside(shared.frame, shared.grid)
        rows = inside.rows @ _two_by_two(first)
        rows[:, -1] += first.bias.repeat(4)
        further = _two_by_two(second)
        logits = []
        pieces = (torch.split(values, _SLICE, dim=-1) for values in (shared.upscaled.T, inside.scale, inside.shares))
        for upscaled, scale, shares in zip(*pieces, strict=True):
            wide = (upscaled.T * scale.transpose(1, 2)).baddbmm_(shares.transpose(1, 2), rows)
            wide = wide.reshape(len(wide), -1, len(first.bias))
            wide = decoder.activation(layer_norm(wide, wide.shape[-1:], norm.weight, norm.bias, norm.eps))
            wide = (wide @ further).reshape(len(wide), -1, len(second.bias)).add_(second.bias)
            logits.append(weights @ decoder.activation(wide).transpose(1, 2))
        masks = torch.cat(logits, dim=-1)[..., _row_by_row(shared.frame, weights.device)]
        height, width = shared.frame
        return masks.reshape(*weights.shape[:2], 4 * height, 4 * width)


def _logits(
    attention: Any, vectors: Tensor, projection: Any, cells: Tensor, positions: Tensor, change: _Change | None
) -> Tensor:
    """Attention logits (n, heads, t, cells), of each head's vectors (n, heads, t, channels) and its projected cells.

    Args:
        attention: Whose heads.
        vectors: Queries or keys.
        projection: The linear layer; its bias is left out.
        cells: (heads, channels, cells) that it made of the image's cells; with positions before the first layer.
        positions: (heads, channels, cells) that it made of their positions.
        change: What prompts made of the cells; None for nothing yet.
    """
    if change is None:
        return _product(vectors, cells)
    rows = _heads(attention, change.rows @ projection.weight.T)
    few = (vectors @ rows.transpose(2, 3)).flatten(1, 2)
    towards = (few @ change.shares).reshape(*vectors.shape[:3], -1).add_(_product(vectors, positions))
    return towards.addcmul_(_product(vectors, cells), change.scale[:, None])


def _written(attention: Any, logits: Tensor, tokens: Tensor, room: Tensor) -> Tensor:
    """What cells that look at tokens (n, t, width) get of them.

    Args:
        attention: Of cells to tokens.
        logits: (n, heads, t, cells).
        tokens: The tokens.
        room: Its first r get the shares; the last of them is 1 everywhere.

    Returns:
        Rows (n, r, width) that cells have those shares of.
    """
    n, heads, count, cells = logits.shape
    few = heads * (count - 1)
    room[:, :few].view(n, heads, count - 1, cells).copy_(logits.softmax(dim=2)[:, :, :-1])
    room[:, few] = 1
    values = _heads(attention, attention.v_proj(tokens))
    outputs = attention.out_proj.weight.reshape(-1, heads, values.shape[-1])
    given = torch.einsum("nhtd,whd->nhtw", values, outputs)
    last = given[:, :, -1:]
    everywhere = last.sum(dim=1) + attention.out_proj.bias
    return torch.cat([(given[:, :, :-1] - last).flatten(1, 2), everywhere], dim=1)


def _normed(
    norm: Any, cells: Sequence[Tensor], change: _Change | None, rows: Tensor, room: Tensor
) -> tuple[Sequence[Tensor], _Change]:
    """The cells with what was written to them, normed: as they are, some at a time, and as a change of the image's.

    Args:
        norm: The layer norm.
        cells: As they were.
        change: Likewise; None for the image's.
        rows: What was written.
        room: The shares before, those that were written, and two more for what the norm writes.
    """
    normed, means, scales = [], [], []
    for old, some in zip(cells, torch.split(room[:, -2 - rows.shape[1] : -2], _SLICE, dim=2), strict=True):
        written = torch.baddbmm(old.expand(len(rows), -1, -1), some.transpose(1, 2), rows)
        new, mean, scale = torch.native_layer_norm(written, [rows.shape[-1]], norm.weight, norm.bias, norm.eps)
        normed.append(new)
        means.append(mean.transpose(1, 2))
        scales.append(scale.transpose(1, 2))
    mean, scale = torch.cat(means, dim=2), torch.cat(scales, dim=2)
    room[:, :-2].mul_(scale)
    room[:, -2:-1] = mean * scale
    room[:, -1] = 1
    if change is not None:
        rows, scale = torch.cat([change.rows, rows], dim=1), change.scale * scale
    constant = torch.stack([-norm.weight, norm.bias]).expand(len(rows), -1, -1)
    return normed, _Change(scale, room, torch.cat([rows * norm.weight, constant], dim=1))


def _heads(attention: Any, rows: Tensor) -> Tensor:
    """(n, rows, heads * channels) to (n, heads, rows, channels)."""
    return rows.reshape(*rows.shape[:2], attention.num_attention_heads, -1).transpose(1, 2)


def _product(vectors: Tensor, shared: Tensor) -> Tensor:
    """(n, heads, t, k) times (heads, k, m), which is the same for all n: (n, heads, t, m)."""
    n, heads, count, _ = vectors.shape
    flat = vectors.transpose(0, 1).flatten(1, 2) @ shared
    return flat.reshape(heads, n, count, -1).transpose(0, 1)


def _two_by_two(convolution: Any) -> Tensor:
    """A transposed convolution of size and stride 2 as a matrix (width, 4 * channels), pixel by pixel."""
    weight: Tensor = convolution.weight.permute(0, 2, 3, 1).flatten(1)
    return weight


@lru_cache(maxsize=8)
def _row_by_row(frame: tuple[int, int], device: torch.device) -> Tensor:
    """Where the pixels of a picture stand, row by row, among those of cells that were divided twice, two by two."""
    # a pixel's row is its cell's, then the upper or lower half, then again; its column likewise
    divided = torch.arange(16 * frame[0] * frame[1], device=device).reshape(*frame, 2, 2, 2, 2)
    return divided.permute(0, 2, 4, 1, 3, 5).flatten()
