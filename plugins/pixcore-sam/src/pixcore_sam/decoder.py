"""SAM's mask decoder with less arithmetic.

The decoder attends between a handful of tokens and thousands of image cells, for every prompt anew. Two facts save most
of its projections, with the same numbers up to rounding:

- until the first layer has written to them, the cells are the same for all prompts of an image, and so are their keys,
  values and queries;
- later, in `(W_q t) . (W_k x) = (W_k^T W_q t) . x` it is the few tokens that are projected twice, and in
  `sum a (W_v x) = W_v (sum a x)` the few sums.

Cells stand in rows and channels in columns throughout, so that nothing is copied into another order, and attention
from cells to tokens is kept token by token, because a softmax over seven neighbours in memory is slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm


@dataclass(frozen=True, eq=False)
class SharedCells:
    """An image's cells before any prompt has changed them.

    Attributes:
        cells: (1, cells, width).
        keys: (heads, cells, channels), for tokens that look at cells; the cells' places are in them.
        values: (heads, cells, channels), likewise.
        queries: (heads, cells, channels), for cells that look at tokens.
        grid: Cells in a row of the image.
    """

    cells: Tensor
    keys: Tensor
    values: Tensor
    queries: Tensor
    grid: int


class FewTokens:
    """Decodes prompts with the weights of transformers' `SamMaskDecoder`: three masks each.

    Args:
        model: A `SamModel`.
    """

    def __init__(self, model: Any) -> None:
        self._decoder = model.mask_decoder
        self._positions = model.get_image_wide_positional_embeddings()[0].flatten(1).T.contiguous()  # (cells, width)
        self._no_mask = model.prompt_encoder.no_mask_embed.weight.reshape(1, -1)
        self._outputs = torch.cat([self._decoder.iou_token.weight, self._decoder.mask_tokens.weight])

    def shared(self, embedding: Tensor) -> SharedCells:
        """What all prompts of an image have in common; ``embedding`` is (1, width, grid, grid)."""
        cells = embedding[0].flatten(1).T + self._no_mask
        placed = cells + self._positions
        first = self._decoder.transformer.layers[0]
        looked_at, looking = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        keys, values = looked_at.k_proj(placed), looked_at.v_proj(cells)
        heads = (_by_head(looked_at, keys), _by_head(looked_at, values), _by_head(looking, looking.q_proj(placed)))
        return SharedCells(cells[None], *heads, embedding.shape[-1])

    def __call__(self, shared: SharedCells, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            shared: The image.
            sparse: (n, k, width) embedded points and boxes.

        Returns:
            Mask logits (n, 3, 4 grid, 4 grid) and predicted IoUs (n, 3).
        """
        given = torch.cat([self._outputs.expand(len(sparse), -1, -1), sparse], dim=1)
        transformer, tokens, cells = self._decoder.transformer, given, shared.cells
        for index, layer in enumerate(transformer.layers):
            tokens, cells = self._layer(layer, tokens, cells, given, shared if index == 0 else None)
        looked = _to_cells(transformer.final_attn_token_to_image, tokens + given, cells, cells + self._positions)
        tokens = transformer.layer_norm_final_attn(tokens + looked)
        scores = self._decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
        return self._masks(tokens[:, 2 : 1 + self._decoder.num_mask_tokens], cells, shared.grid), scores

    def _layer(
        self, layer: Any, tokens: Tensor, cells: Tensor, given: Tensor, shared: SharedCells | None
    ) -> tuple[Tensor, Tensor]:
        """One two-way block: tokens among themselves, tokens to cells, cells to tokens."""
        if layer.skip_first_layer_pe:
            tokens = layer.self_attn(tokens[:, None], tokens[:, None], tokens[:, None])[0][:, 0]
        else:
            placed = (tokens + given)[:, None]
            tokens = tokens + layer.self_attn(placed, placed, tokens[:, None])[0][:, 0]
        tokens = layer.layer_norm1(tokens)
        looking, looked_at = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        if shared is not None:
            gathered = _to_shared(looking, tokens + given, shared)
        else:
            placed_cells = cells + self._positions
            gathered = _to_cells(looking, tokens + given, cells, placed_cells)
        tokens = layer.layer_norm2(tokens + gathered)
        tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
        keys = looked_at.k_proj(tokens + given)
        if shared is not None:
            asked = _asked_by_shared(looked_at, keys, shared)
        else:
            asked = _asked(looked_at, keys, placed_cells)
        change = _from_cells(looked_at, asked, looked_at.v_proj(tokens))
        return tokens, layer.layer_norm4(change.add_(cells))

    def _masks(self, tokens: Tensor, cells: Tensor, grid: int) -> Tensor:
        """Scale the cells up twice, two by two, and compare each pixel with each mask's token."""
        decoder = self._decoder
        norm = decoder.upscale_layer_norm
        wide = _two_by_two(cells, decoder.upscale_conv1)  # (n, cells * 4, width / 4)
        wide = decoder.activation(layer_norm(wide, (wide.shape[-1],), norm.weight, norm.bias, norm.eps))
        wide = decoder.activation(_two_by_two(wide, decoder.upscale_conv2))  # (n, cells * 16, width / 8)
        networks = decoder.output_hypernetworks_mlps[1:]
        weights = torch.stack([network(tokens[:, index]) for index, network in enumerate(networks)], dim=1)
        logits = weights @ wide.transpose(1, 2)
        masks: Tensor = logits[..., _row_by_row(grid, logits.device)]
        return masks.reshape(len(cells), len(networks), 4 * grid, 4 * grid)


def _to_cells(attention: Any, query: Tensor, cells: Tensor, placed: Tensor) -> Tensor:
    """What tokens (n, t, width) gather from cells (n, cells, width); keys are the cells with their places."""
    n, count, width = query.shape
    heads = attention.num_attention_heads
    asked = attention.q_proj(query).reshape(n, count, heads, -1)
    keys = attention.k_proj.weight.reshape(heads, -1, width)
    # a bias of the keys adds the same to all cells of a row, which the softmax takes away again
    towards = torch.einsum("nthd,hdw->nhtw", asked, keys).reshape(n, heads * count, width) * attention.scaling
    shares = (towards @ placed.transpose(1, 2)).softmax(dim=-1)
    gathered = (shares @ cells).reshape(n, heads, count, width)
    values = attention.v_proj.weight.reshape(heads, -1, width)
    answers = torch.einsum("nhtw,hdw->nthd", gathered, values).reshape(n, count, -1) + attention.v_proj.bias
    result: Tensor = attention.out_proj(answers)
    return result


def _to_shared(attention: Any, query: Tensor, shared: SharedCells) -> Tensor:
    """What tokens (n, t, width) gather from cells that are the same for all n."""
    n, count, _ = query.shape
    asked = _by_head(attention, attention.q_proj(query).flatten(0, 1)) * attention.scaling  # (heads, n * t, channels)
    shares = (asked @ shared.keys.transpose(1, 2)).softmax(dim=-1)
    result: Tensor = attention.out_proj((shares @ shared.values).transpose(0, 1).reshape(n, count, -1))
    return result


def _asked_by_shared(attention: Any, keys: Tensor, shared: SharedCells) -> Tensor:
    """How much cells that are the same for all n ask for tokens, of which ``keys`` (n, t, channels) are given."""
    n, count, _ = keys.shape
    towards = _by_head(attention, keys.flatten(0, 1)) * attention.scaling
    asked: Tensor = towards @ shared.queries.transpose(1, 2)
    return asked.reshape(len(towards), n, count, -1).transpose(0, 1)


def _asked(attention: Any, keys: Tensor, placed: Tensor) -> Tensor:
    """How much cells with their places (n, cells, width) ask for tokens: (n, heads, t, cells)."""
    n, count, _ = keys.shape
    heads = attention.num_attention_heads
    keys = keys.reshape(n, count, heads, -1)
    queries = attention.q_proj.weight.reshape(heads, keys.shape[-1], -1)
    towards = torch.einsum("nthd,hdw->nhtw", keys, queries).flatten(1, 2) * attention.scaling
    offset = torch.einsum("nthd,hd->nht", keys, attention.q_proj.bias.reshape(heads, -1)) * attention.scaling
    asked: Tensor = towards @ placed.transpose(1, 2)
    return asked.reshape(n, heads, count, -1).add_(offset[..., None])


def _from_cells(attention: Any, asked: Tensor, value: Tensor) -> Tensor:
    """What cells gather from tokens: (n, cells, width), of (n, heads, t, cells) and values (n, t, channels)."""
    n, heads, count, cells = asked.shape
    shares = asked.softmax(dim=2).reshape(n, heads * count, cells)
    values = value.reshape(n, count, heads, -1)
    outputs = attention.out_proj.weight.reshape(-1, heads, values.shape[-1])
    given = torch.einsum("nthd,whd->nhtw", values, outputs).flatten(1, 2)
    result: Tensor = (shares.transpose(1, 2) @ given).add_(attention.out_proj.bias)
    return result


def _by_head(attention: Any, rows: Tensor) -> Tensor:
    """(rows, heads * channels) to (heads, rows, channels)."""
    return rows.reshape(len(rows), attention.num_attention_heads, -1).transpose(0, 1).contiguous()


def _two_by_two(cells: Tensor, convolution: Any) -> Tensor:
    """A transposed convolution of size and stride 2 as one product: (n, p, width) to (n, p * 4, channels)."""
    width, channels = convolution.weight.shape[:2]
    weight = convolution.weight.permute(0, 2, 3, 1).reshape(width, -1)
    result: Tensor = (cells @ weight).reshape(len(cells), -1, channels).add_(convolution.bias)
    return result


@lru_cache(maxsize=8)
def _row_by_row(grid: int, device: torch.device) -> Tensor:
    """Where the pixels of a picture stand, row by row, among those of cells that were divided twice, two by two."""
    # a pixel's row is its cell's, then the upper or lower half, then again; its column likewise
    divided = torch.arange(16 * grid * grid, device=device).reshape(grid, grid, 2, 2, 2, 2)
    return divided.permute(0, 2, 4, 1, 3, 5).flatten()
