"""Cambrian-1 behind its towers: connector, language model, and the samplers between its layers.

The towers' features come in as tensors (`towers` makes them), so the model runs with any encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from pixcore_segtoken.language import Generation, generate, splice
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from pixcore_cambrian.geometry import Content, content, content_mask
from pixcore_cambrian.sampler import Sampler


@dataclass(frozen=True)
class CambrianSizes:
    """The sizes of a model, as a published config.json gives them.

    Args:
        language: The Llama's config.
        tower_widths: Channels of each tower's features.
        tower_tokens: Tokens of each tower (a square number), in the same order.
        width: `vision_hidden_size`.
        query_tokens: Queries of each group of the connector (square numbers).
        image_tokens: Cells of the final grid, a square number.
        connector_depth: Layers of the connector.
        sampler_layers: Decoder layers after which a sampler rewrites the image's states. One beyond the last layer has
            weights in the checkpoint and is never called.
        image_position: The index at which the samplers take the image to begin, wherever it is.
    """

    language: LlamaConfig
    tower_widths: tuple[int, ...]
    tower_tokens: tuple[int, ...]
    width: int
    query_tokens: tuple[int, ...]
    image_tokens: int
    connector_depth: int
    sampler_layers: tuple[int, ...]
    image_position: int

    @property
    def side(self) -> int:
        """Side of the final grid."""
        return isqrt(self.image_tokens)

    def factors(self, tokens: int) -> list[int]:
        """Count, for each tower, its cells along one side of a cell of a grid with so many tokens."""
        return [isqrt(tower) // isqrt(tokens) for tower in self.tower_tokens]


@dataclass(frozen=True)
class Placed:
    """The towers' features sorted to the cells of a grid, all images' kept cells after each other.

    Args:
        features: One (n, k_i, width) a tower.
        masks: One (n, k_i) bool a tower, True where there is image.
        context: (n, 1, width), each image's mean of the first tower.
    """

    features: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    context: Tensor

    def read_by(self, sampler: nn.Module, queries: Tensor) -> Tensor:
        """Let a sampler's queries (n, 1, w) read these."""
        out: Tensor = sampler(queries, self.context, self.features, torch.cat(self.masks, dim=1))
        return out


@dataclass(frozen=True)
class Seen:
    """What the model makes of a batch of images before the language model.

    Args:
        tokens: For each image (rows * (cols + 1), D): its cells, the newline embedding after every row.
        contents: For each image, the kept cells.
        placed: What the samplers inside the language model read.
        projected: The towers' features after their projections, (B, t_i, width).
        queries: For each query group, (B * queries, 1, width) after the connector.
        grid: (B, image_tokens, D), the language model's image tokens on the whole padded grid.
    """

    tokens: tuple[Tensor, ...]
    contents: tuple[Content, ...]
    placed: Placed
    projected: tuple[Tensor, ...]
    queries: tuple[Tensor, ...]
    grid: Tensor


class Cambrian(nn.Module):
    """Connector, Llama and in-model samplers."""

    def __init__(self, sizes: CambrianSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, hidden = sizes.width, sizes.language.hidden_size
        feature_widths = [width] * len(sizes.tower_widths)
        self.tower_projections = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, width), nn.GELU(), nn.Linear(width, width), nn.LayerNorm(width))
            for channels in sizes.tower_widths
        )
        self.query = nn.Parameter(torch.zeros(len(sizes.query_tokens), width))
        self.connectors = nn.ModuleList(
            Sampler(width, width, feature_widths, sizes.factors(tokens), width, sizes.connector_depth)
            for tokens in sizes.query_tokens
        )
        self.projector = nn.Sequential(
            nn.Linear(width * len(sizes.query_tokens), hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )
        self.newline = nn.Parameter(torch.zeros(hidden))
        self.samplers = nn.ModuleList(
            Sampler(hidden, width, feature_widths, sizes.factors(sizes.image_tokens), width, 1)
            for _ in sizes.sampler_layers
        )
        self.language = LlamaForCausalLM(sizes.language)

    @torch.no_grad()
    def see(self, features: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]) -> Seen:
        """Connect the towers' features to the language model.

        Args:
            features: One (B, t_i, c_i) a tower.
            image_sizes: (width, height) of each original image.
        """
        projected = tuple(project(tower) for project, tower in zip(self.tower_projections, features, strict=True))
        context = projected[0].mean(1)
        side = self.sizes.side
        queries, groups = [], []
        for index, (connector, tokens) in enumerate(zip(self.connectors, self.sizes.query_tokens, strict=True)):
            whole = [Content(0, isqrt(tokens), 0, isqrt(tokens))] * len(image_sizes)
            placed = self._place(projected, context, isqrt(tokens), image_sizes, whole)
            start = self.query[index].expand(len(placed.context), 1, -1)
            read = placed.read_by(connector, start)
            queries.append(read)
            groups.append(_resize(read.reshape(len(image_sizes), tokens, -1), side))
        grid = self.projector(torch.cat(groups, dim=-1))
        contents = [content(side, *size) for size in image_sizes]
        tokens_of = [self._with_newlines(cells, kept) for cells, kept in zip(grid, contents, strict=True)]
        return Seen(
            tuple(tokens_of),
            tuple(contents),
            self._place(projected, context, side, image_sizes, contents),
            projected,
            tuple(queries),
            grid,
        )

    def _with_newlines(self, cells: Tensor, kept: Content) -> Tensor:
        rows = kept.cut(torch.unflatten(cells, 0, (self.sizes.side, -1)))
        newline = self.newline.to(rows.dtype).expand(kept.rows, 1, -1)
        return torch.cat([rows, newline], dim=1).flatten(0, 1)

    def _place(
        self,
        projected: Sequence[Tensor],
        context: Tensor,
        side: int,
        image_sizes: Sequence[tuple[int, int]],
        kept: Sequence[Content],
    ) -> Placed:
        """Sort the towers' tokens into the kept cells of a side x side grid."""
        features, masks = [], []
        for tower in projected:
            fine = isqrt(tower.shape[1])
            factor = fine // side
            cells = [
                cut.cut(_blocks(torch.unflatten(image, 0, (fine, fine)), factor)).flatten(0, 1)
                for image, cut in zip(tower, kept, strict=True)
            ]
            inside = [
                cut.cut(_blocks(content_mask(fine, *size)[..., None], factor)).flatten(0, 1)[..., 0]
                for size, cut in zip(image_sizes, kept, strict=True)
            ]
            features.append(torch.cat(cells))
            mask = torch.cat(inside).to(tower.device)
            # A cell of padding alone reads everything; softmax over nothing would be NaN.
            masks.append(mask | ~mask.any(-1, keepdim=True))
        repeats = torch.tensor([cut.rows * cut.cols for cut in kept], device=context.device)
        return Placed(tuple(features), tuple(masks), context.repeat_interleave(repeats, 0)[:, None])

    def embed(self, token_ids: Sequence[int], image_tokens: Tensor) -> Tensor:
        """Embed a prompt, with the image in the place of -200."""
        return splice(self.language.model.embed_tokens, token_ids, [image_tokens])

    @torch.no_grad()
    def answer(
        self,
        prompts: Sequence[Sequence[int]],
        seen: Seen,
        *,
        max_new_tokens: int,
        stop_ids: Collection[int],
        forced: Sequence[Sequence[int]] | None = None,
        use_cache: bool = True,
        keep_logits: bool = False,
    ) -> list[Generation]:
        """Answer a batch greedily; see `pixcore_segtoken.language.generate`."""
        embedded = [self.embed(ids, tokens) for ids, tokens in zip(prompts, seen.tokens, strict=True)]
        longest = max(map(len, embedded))
        with self.sampling(seen, [longest - len(prompt) + self.sizes.image_position for prompt in embedded]):
            return generate(
                self.language,
                embedded,
                max_new_tokens=max_new_tokens,
                stop_ids=stop_ids,
                forced=forced,
                use_cache=use_cache,
                keep_logits=keep_logits,
            )

    @contextmanager
    def sampling(self, seen: Seen, starts: Sequence[int]) -> Iterator[None]:
        """Let the samplers rewrite the image's states between the decoder layers of every prefill, while it is open.

        Newline tokens keep their states.

        Args:
            seen: The images.
            starts: Index of each image's first token in the padded sequence. The published code takes
                `image_position` for it, not where the image is; the two agree for the published prompt.
        """
        rows = []
        for index, (start, kept) in enumerate(zip(starts, seen.contents, strict=True)):
            places = start + torch.arange(kept.rows * (kept.cols + 1)).reshape(kept.rows, -1)[:, :-1].flatten()
            rows.append(torch.stack([torch.full_like(places, index), places]))
        sample, position = torch.cat(rows, dim=1).to(self.newline.device)
        layers = self.language.model.layers
        handles = [
            # First of all hooks, so that whoever watches a layer sees what the next one gets.
            layers[layer].register_forward_hook(_rewrite(sampler, seen.placed, sample, position), prepend=True)
            for layer, sampler in zip(self.sizes.sampler_layers, self.samplers, strict=True)
            if layer < len(layers)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _rewrite(
    sampler: nn.Module, placed: Placed, sample: Tensor, position: Tensor
) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def hook(module: nn.Module, inputs: Any, states: Tensor) -> Tensor:
        # One row is a decoding step: the image is in the cache, already rewritten.
        if states.shape[1] > 1:
            states = states.clone()
            queries = states[sample, position].to(placed.context.device)
            states[sample, position] = placed.read_by(sampler, queries[:, None])[:, 0].to(states.device)
        return states

    return hook


def _blocks(grid: Tensor, factor: int) -> Tensor:
    """(rows, cols, c) to (rows / factor, cols / factor, factor * factor, c)."""
    blocks = torch.unflatten(torch.unflatten(grid, 0, (-1, factor)), 2, (-1, factor))
    return blocks.permute(0, 2, 1, 3, 4).flatten(2, 3)


def _resize(queries: Tensor, side: int) -> Tensor:
    """(B, q, w) on a square grid to (B, side * side, w), bilinear where the grids differ."""
    own = isqrt(queries.shape[1])
    if own == side:
        return queries
    grid = torch.unflatten(queries.transpose(1, 2), 2, (own, own)).float()
    resized = nn.functional.interpolate(grid, (side, side), mode="bilinear", align_corners=False)
    return resized.flatten(2).transpose(1, 2).to(queries.dtype)
