"""SAM's mask decoder with less arithmetic.

The decoder attends between a handful of tokens and thousands of image cells, for every prompt anew. Projecting the
cells is most of its work, and not needed: in `(W_q t) . (W_k x) = (W_k^T W_q t) . x` it is the few tokens that are
projected twice, and in `sum a (W_v x) = W_v (sum a x)` the few sums. Same numbers up to rounding, about half the
arithmetic; arrays stay cells-last-channels throughout, so that nothing is copied into another order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm


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

    def __call__(self, embedding: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            embedding: (1, width, grid, grid) of one image.
            sparse: (n, k, width) embedded points and boxes.

        Returns:
            Mask logits (n, 3, 4 grid, 4 grid) and predicted IoUs (n, 3).
        """
        grid = embedding.shape[-1]
        cells = (embedding[0].flatten(1).T + self._no_mask)[None]  # (1, cells, width), one for all at first
        given = torch.cat([self._outputs.expand(len(sparse), -1, -1), sparse], dim=1)
        transformer, tokens = self._decoder.transformer, given
        for layer in transformer.layers:
            tokens, cells = self._layer(layer, tokens, cells, given)
        looked = _to_cells(transformer.final_attn_token_to_image, tokens + given, cells, cells + self._positions)
        tokens = transformer.layer_norm_final_attn(tokens + looked)
        scores = self._decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
        return self._masks(tokens[:, 2 : 1 + self._decoder.num_mask_tokens], cells, grid), scores

    def _layer(self, layer: Any, tokens: Tensor, cells: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """One two-way block: tokens among themselves, tokens to cells, cells to tokens."""
        if layer.skip_first_layer_pe:
            tokens = layer.self_attn(tokens[:, None], tokens[:, None], tokens[:, None])[0][:, 0]
        else:
            placed = (tokens + given)[:, None]
            tokens = tokens + layer.self_attn(placed, placed, tokens[:, None])[0][:, 0]
        tokens = layer.layer_norm1(tokens)
        placed_cells = cells + self._positions
        tokens = layer.layer_norm2(
            tokens + _to_cells(layer.cross_attn_token_to_image, tokens + given, cells, placed_cells)
        )
        tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
        change = _from_cells(layer.cross_attn_image_to_token, placed_cells, tokens + given, tokens)
        return tokens, layer.layer_norm4(change.add_(cells))

    def _masks(self, tokens: Tensor, cells: Tensor, grid: int) -> Tensor:
        """Scale the cells up twice, two by two, and compare each pixel with each mask's token."""
        decoder = self._decoder
        n, norm = len(cells), decoder.upscale_layer_norm
        wide = _two_by_two(cells, decoder.upscale_conv1)  # (n, cells * 4, width / 4)
        wide = decoder.activation(layer_norm(wide, (wide.shape[-1],), norm.weight, norm.bias, norm.eps))
        wide = decoder.activation(_two_by_two(wide, decoder.upscale_conv2))  # (n, cells * 16, width / 8)
        networks = decoder.output_hypernetworks_mlps[1:]
        weights = torch.stack([network(tokens[:, index]) for index, network in enumerate(networks)], dim=1)
        logits = weights @ wide.transpose(1, 2)
        # a pixel's row is its cell's, then the upper or lower half, then again; its column likewise
        apart = logits.reshape(n, len(networks), grid, grid, 2, 2, 2, 2)
        masks: Tensor = apart.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(n, len(networks), 4 * grid, 4 * grid)
        return masks


def _to_cells(attention: Any, query: Tensor, cells: Tensor, placed: Tensor) -> Tensor:
    """What tokens (n, t, width) gather from cells (n or 1, cells, width); keys are the cells with their places."""
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


def _from_cells(attention: Any, placed: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What cells (n or 1, cells, width) gather from tokens (n, t, width)."""
    n, count, width = key.shape
    heads = attention.num_attention_heads
    keys = attention.k_proj(key).reshape(n, count, heads, -1)
    values = attention.v_proj(value).reshape(n, count, heads, -1)
    queries = attention.q_proj.weight.reshape(heads, -1, width)
    towards = torch.einsum("nthd,hdw->nwht", keys, queries).reshape(n, width, heads * count) * attention.scaling
    offset = torch.einsum("nthd,hd->nht", keys, attention.q_proj.bias.reshape(heads, -1)) * attention.scaling
    asked = (placed @ towards).add_(offset.reshape(n, 1, heads * count))
    shares = asked.reshape(n, -1, heads, count).softmax(dim=-1).reshape(n, -1, heads * count)
    outputs = attention.out_proj.weight.reshape(width, heads, -1)
    given = torch.einsum("nthd,whd->nhtw", values, outputs).reshape(n, heads * count, width)
    result: Tensor = (shares @ given).add_(attention.out_proj.bias)
    return result


def _two_by_two(cells: Tensor, convolution: Any) -> Tensor:
    """A transposed convolution of size and stride 2 as one product: (n, p, width) to (n, p * 4, channels)."""
    width, channels = convolution.weight.shape[:2]
    weight = convolution.weight.permute(0, 2, 3, 1).reshape(width, -1)
    result: Tensor = (cells @ weight).reshape(len(cells), -1, channels).add_(convolution.bias)
    return result
