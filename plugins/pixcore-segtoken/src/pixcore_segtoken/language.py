"""Drive a decoder-only language model from embeddings.

The published systems each assemble their own input embeddings and then run greedy decoding; most of them
recompute the whole sequence for every token. This is that loop once, for a batch, with a key-value cache.
Without rounding the two are equal; the tests hold them together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from pixcore_transformers.placing import working_device
from pixcore_transformers.streaming import tell
from torch import Tensor, nn
from transformers import DynamicCache, LlamaForCausalLM

from pixcore.errors import NotFiniteError


class Stop(Protocol):
    """A condition on the tokens so far, for systems that stop on decoded text."""

    def __call__(self, token_ids: Sequence[int]) -> bool:
        """Whether the answer is finished."""


@dataclass(frozen=True)
class Generation:
    """What was generated for one sample.

    Args:
        token_ids: The G new tokens, the stop token included when one ended the answer.
        states: (G, D), after the final norm; row i *predicted* token i. The state *at* token i (its input
            is token i) is row i + 1; the last token has none, as nothing was computed after it.
        prompt_states: (L, D) likewise for the prompt's positions; row L - 1 equals `states[0]`.
        logits: (G, V) float32, what was predicted before anything was forced; None unless asked for.
    """

    token_ids: tuple[int, ...]
    states: Tensor
    prompt_states: Tensor
    logits: Tensor | None = None


def splice(
    embedding: nn.Embedding, token_ids: Sequence[int], images: Sequence[Tensor], *, placeholder: int = -200
) -> Tensor:
    """Embed a prompt, with image features in place of the placeholder tokens.

    Args:
        embedding: The language model's token embedding.
        token_ids: n tokens, `placeholder` (LLaVA's is -200) once for every image.
        images: Features (t_i, D) in order of appearance.
        placeholder: The token id that stands for an image.

    Returns:
        (n - len(images) + sum t_i, D), in the embedding's dtype.

    Raises:
        ValueError: The placeholders are not as many as the images.
    """
    places = [index for index, token in enumerate(token_ids) if token == placeholder]
    if len(places) != len(images):
        raise ValueError(f"{len(places)} image placeholders in the prompt for {len(images)} images")
    device, dtype = working_device(embedding), embedding.weight.dtype
    pieces = []
    start = 0
    for place, image in zip([*places, len(token_ids)], [*images, None], strict=True):
        pieces.append(embedding(torch.tensor(list(token_ids[start:place]), dtype=torch.long, device=device)))
        if image is not None:
            pieces.append(image.to(device=device, dtype=dtype))
        start = place + 1
    return torch.cat(pieces)


@torch.no_grad()
def generate(
    language: LlamaForCausalLM,
    prompts: Sequence[Tensor],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int] = (),
    stop: Stop | None = None,
    forced: Sequence[Sequence[int]] | None = None,
    use_cache: bool = True,
    keep_logits: bool = False,
    extra_step: bool = False,
    positions: Sequence[Tensor] | None = None,
    adjust: Callable[[Sequence[Sequence[int]], Tensor], Tensor] | None = None,
) -> list[Generation]:
    """Decode a batch of prompts, given as embeddings, greedily.

    Args:
        language: Any Llama-shaped causal model of transformers.
        prompts: (L_i, D) each; shorter ones are padded on the left and masked.
        max_new_tokens: At most this many tokens each.
        stop_ids: A token among these ends an answer and is its last token.
        stop: A further condition, asked after every token.
        forced: Tokens to answer with instead of the likeliest, one sequence a sample; where a sequence
            ends, decoding goes on by itself.
        use_cache: False recomputes the whole sequence for every token, as LISA and GLaMM are published.
        keep_logits: Keep every step's logits (V floats a token).
        extra_step: Run the model once more after the last token, so that a tap sees that token's own row.
        positions: (axes, L_i) of each prompt, where they are not counted along it; what is written goes on behind the
            largest.
        adjust: Changes the scores (B, V), float32, by what each sample has written: a penalty for repetition.

    Returns:
        One `Generation` a prompt.

    Raises:
        NotFiniteError: The model gave logits that are no numbers.
        ValueError: `max_new_tokens` is below 1.
    """
    if not prompts:
        return []
    if max_new_tokens < 1:
        raise ValueError("max_new_tokens must be at least 1")
    batch = _Batch(language, prompts, positions, use_cache)
    prompt_states = hidden = batch.forward()
    tokens: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    states: list[Tensor] = []
    logits: list[Tensor] = []
    broken = torch.zeros((), dtype=torch.bool, device=hidden.device)
    for step in range(max_new_tokens):
        states.append(hidden[:, -1])
        step_logits = language.lm_head(hidden[:, -1]).float()
        broken = broken | ~step_logits.isfinite().all().to(broken.device)
        if keep_logits:
            logits.append(step_logits)
        if adjust is not None:
            step_logits = adjust(tokens, step_logits)
        chosen = step_logits.argmax(-1).tolist()
        for index, token in enumerate(chosen):
            if finished[index]:
                continue
            if forced is not None and step < len(forced[index]):
                token = chosen[index] = forced[index][step]
            tokens[index].append(token)
            finished[index] = token in stop_ids or (stop is not None and stop(tokens[index]))
        tell(lambda: [list(own) for own in tokens], step + 1, max_new_tokens)
        ended = all(finished) or step + 1 == max_new_tokens
        if not ended or extra_step:
            batch.append(chosen)
            hidden = batch.forward()
        if ended:
            break
    if bool(broken):
        raise NotFiniteError("the language model's logits", str(prompts[0].dtype).removeprefix("torch."))
    all_states = torch.stack(states, dim=1)
    all_logits = torch.stack(logits, dim=1) if keep_logits else None
    return [
        Generation(
            tuple(sample),
            all_states[index, : len(sample)],
            prompt_states[index, -len(prompts[index]) :],
            None if all_logits is None else all_logits[index, : len(sample)],
        )
        for index, sample in enumerate(tokens)
    ]


class _Batch:
    """Sequences of embeddings that grow together, and what the model keeps of them; arguments as of `generate`."""

    def __init__(
        self,
        language: LlamaForCausalLM,
        prompts: Sequence[Tensor],
        positions: Sequence[Tensor] | None,
        use_cache: bool,
    ) -> None:
        lengths = [len(prompt) for prompt in prompts]
        longest = max(lengths)
        self._model, self._use_cache = language.model, use_cache
        self._cache = DynamicCache(config=language.config) if use_cache else None
        self._inputs = torch.stack([nn.functional.pad(own, (0, 0, longest - len(own), 0)) for own in prompts])
        self._mask = torch.tensor([[0] * (longest - n) + [1] * n for n in lengths], device=self._inputs.device)
        self._padded = min(lengths) < longest
        self._given = None if positions is None else _padded_positions(positions, longest)

    def forward(self) -> Tensor:
        """Give the final states (B, S, D): of the prompts, then of the new token, or of all where there is no cache."""
        states: Tensor = self._model(
            inputs_embeds=self._inputs,
            # Without padding the model may use its faster kernels for a plain causal mask.
            attention_mask=self._mask if self._padded else None,
            position_ids=_positions(self._mask, self._given)[..., -self._inputs.shape[1] :],
            past_key_values=self._cache,
            use_cache=self._use_cache,
        ).last_hidden_state
        return states

    def append(self, token_ids: Sequence[int]) -> None:
        """Go on with a token each."""
        new = self._model.embed_tokens(torch.tensor(token_ids, device=self._inputs.device))[:, None]
        self._inputs = new if self._use_cache else torch.cat([self._inputs, new], dim=1)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(token_ids), 1)], dim=1)


def _padded_positions(positions: Sequence[Tensor], longest: int) -> Tensor:
    """Stack positions (axes, L_i) to (axes, B, longest), padded on the left."""
    return torch.stack([nn.functional.pad(own, (longest - own.shape[1], 0)) for own in positions], dim=1)


def _positions(mask: Tensor, given: Tensor | None) -> Tensor:
    """Say where each place of a sequence stands: (B, S) counted along it, or (axes, B, S) as its prompt is `given`."""
    if given is None:
        return (mask.cumsum(1) - 1).clamp(min=0)
    written = mask.shape[1] - given.shape[2]
    next_ones = given.amax(dim=(0, 2))[:, None] + torch.arange(1, written + 1, device=mask.device)
    return torch.cat([given, next_ones.expand(len(given), -1, -1)], dim=2)
