"""Compute a few rows of softmax(q·Kᵀ) as the model's own kernel does implicitly: the arithmetic of the tap."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pixcore.errors import ModelError

Tensor = torch.Tensor


def allowed_keys(
    mask: Tensor | None,
    rows: Sequence[int],
    queries: int,
    keys: int,
    *,
    causal: bool,
    lower_right: bool = False,
    window: int | None = None,
) -> Tensor | None:
    """Say which keys the kernel lets some query rows see, from the mask in any form that transformers hands a kernel.

    Args:
        mask: None, a 2-D padding mask (flash attention), or a 4-D boolean or additive mask over (queries, keys).
        rows: The rows of this call that are wanted, from 0.
        queries: Query rows of this call.
        keys: Keys of this call.
        causal: Whether the kernel masks the future by itself when it gets no 4-D mask.
        lower_right: The kernel aligns its own causal mask with the last key (flash attention), not the first (sdpa).
        window: The sliding window that the kernel applies by itself (flash attention).

    Returns:
        (batch or 1, heads or 1, rows, keys), boolean or additive; None if every key is allowed.
    """
    if mask is not None and mask.dim() == 4:
        return (mask if len(rows) == queries else mask[:, :, list(rows)])[..., :keys]
    if mask is not None and mask.dim() != 2:
        raise ModelError(f"the tap can't read an attention mask of shape {tuple(mask.shape)}")
    allowed: Tensor | None = None
    if (causal and queries > 1) or window is not None:
        device = mask.device if mask is not None else None
        position = torch.tensor(list(rows), device=device)[:, None] + (keys - queries if lower_right else 0)
        key = torch.arange(keys, device=device)[None, :]
        allowed = key <= position
        if window is not None:
            allowed = allowed & (key > position - window)
        allowed = allowed[None, None]
    if mask is not None:
        padding = mask[:, None, None, -keys:].bool()
        allowed = padding if allowed is None else allowed & padding
    return allowed


def allowed_at_once(masks: Sequence[Tensor | None], keys: int, device: torch.device) -> Tensor:
    """Say which keys some successive steps of one query row each may see, none of them a later step's.

    Args:
        masks: What the kernel got at each step: None, or (batch or 1, heads or 1, 1, keys so far), boolean or additive.
        keys: Keys at the last step; each step has one more than that before.
        device: Where a mask is made if there is none.

    Returns:
        (batch or 1, heads or 1, steps, keys), additive: scores take a sum in a tenth of the time of a fill.
    """
    steps, given = len(masks), [mask for mask in masks if mask is not None]
    if not given:
        return torch.full((steps, keys), -torch.inf, device=device).triu_(keys - steps + 1)[None, None]
    first = given[0]
    whole = first.new_full((*first.shape[:2], steps, keys), False if first.dtype == torch.bool else -torch.inf)
    for step, mask in enumerate(given):
        seen = keys - steps + 1 + step
        whole[:, :, step, :seen] = mask[:, :, 0, :seen]
    if whole.dtype != torch.bool:
        return whole
    return torch.zeros_like(whole, dtype=torch.float32).masked_fill_(~whole, -torch.inf)


def attention_rows(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    rows: Sequence[int],
    *,
    scaling: float | None,
    softcap: float | None = None,
    bias: Tensor | None = None,
    sinks: Tensor | None = None,
    heads: Sequence[int] | None = None,
) -> Tensor:
    """Take the softmax over all keys, in float32, of some query rows.

    Args:
        query: (batch, heads, queries, width).
        key: (batch, key heads, keys, width); each key head serves heads / key heads neighbouring query heads.
        mask: What `allowed_keys` returned.
        rows: The wanted query rows.
        scaling: What q·K is multiplied by; None for 1 / sqrt(width).
        softcap: Gemma 2's bound on the scores, or None.
        bias: (batch or 1, heads, queries, keys), what positions add to the scores (Inkling), or None.
        sinks: (batch or 1, heads, queries or 1, 1), a score of no key that takes its part of the mass (Inkling,
            GPT-OSS), or None.
        heads: The wanted query heads; None for all.

    Returns:
        (batch, n, rows, keys) float32.
    """
    batch, all_heads, queries, width = query.shape
    group = all_heads // key.shape[1]
    selected = query if len(rows) == queries else query[:, :, list(rows)]
    if heads is not None:
        selected, key, group = selected[:, list(heads)], key[:, [head // group for head in heads]], 1
        if mask is not None and mask.shape[1] > 1:
            mask = mask[:, list(heads)]
        bias, sinks = (None if each is None else each[:, list(heads)] for each in (bias, sinks))
    count = selected.shape[1]
    # the query heads that share a key head are stacked as rows of one product: nothing is repeated
    stacked = selected.reshape(batch, count // group, group * len(rows), width)
    scaled = stacked.float() * (scaling if scaling is not None else width**-0.5)
    scores = torch.matmul(scaled, key.float().transpose(-1, -2)).reshape(batch, count, len(rows), key.shape[2])
    # in place from here on: of many rows each new tensor costs as much as their product
    if softcap is not None:
        scores = scores.div_(softcap).tanh() * softcap
    if bias is not None:
        scores += bias[:, :, list(rows), : scores.shape[3]].to(scores)
    if mask is not None:
        mask = mask.to(scores.device)
        scores = scores.masked_fill_(~mask, -torch.inf) if mask.dtype == torch.bool else scores.add_(mask)
    if sinks is not None:
        sink = (sinks if sinks.shape[2] == 1 else sinks[:, :, list(rows)]).to(scores).expand(batch, -1, len(rows), -1)
        return torch.softmax(torch.cat([scores, sink], dim=-1), dim=-1)[..., :-1]
    return torch.softmax(scores, dim=-1, out=None if scores.requires_grad else scores)


def take_columns(rows: Tensor, columns: Tensor, valid: Tensor, offset: int) -> Tensor:
    """Cut rows to the visual tokens.

    Args:
        rows: (batch, heads, rows, keys).
        columns: (batch, cells) int64, positions in the padded sequence.
        valid: (batch, cells), False where a sample has fewer cells.
        offset: Position of the first key; those before it have left a sliding window, so nothing attends to them.

    Returns:
        (batch, heads, rows, cells) float32; 0 where there is no cell or no key.
    """
    index = columns - offset
    there = valid & (index >= 0)
    index = index.clamp(min=0)[:, None, None, :].expand(-1, rows.shape[1], rows.shape[2], -1)
    return rows.gather(3, index) * there[:, None, None, :]
