"""Generate by transformers' own `generate`, with choices that do not depend on a sample's neighbours in the batch."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from pixcore.errors import ModelError, NotFiniteError
from pixcore_transformers.streaming import tell

Tensor = torch.Tensor

# a text that is replayed is padded on the right, and masked there: its rows do not see what follows
logging.getLogger("transformers.generation.utils").addFilter(lambda record: "right-padding" not in record.getMessage())


@dataclass(frozen=True)
class Settings:
    """How to generate.

    Attributes:
        max_new_tokens: At most so many, the end token included.
        end: Ids that end an answer.
        temperature: 0 is greedy.
        top_p: Sample among the likeliest tokens of this mass; None for all.
        top_k: Sample among so many of the likeliest tokens; None for all.
        repetition_penalty: As transformers has it; 1 is none.
        extra_steps: Forward passes after the last token is known: one lets the tap see that token's own row.
        cache: Keep keys and values for the next step; a single pass needs none.
    """

    max_new_tokens: int
    end: tuple[int, ...]
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float = 1.0
    extra_steps: int = 0
    cache: bool = True


def generate(
    model: PreTrainedModel,
    inputs: Mapping[str, Tensor],
    settings: Settings,
    seeds: Sequence[int],
    *,
    forced: Tensor | None = None,
    scores: list[Tensor] | None = None,
) -> list[list[int]]:
    """Generate answers to a batch.

    Args:
        model: Any generative model of transformers.
        inputs: What the processor gave, prompts padded on the left.
        settings: How to generate.
        seeds: One a sample, for sampling.
        forced: (batch, steps), tokens to write instead of the likeliest.
        scores: Gets each step's scores (batch, vocabulary), as the model gave them.

    Returns:
        For each sample its new tokens up to and with the end token.

    Raises:
        ModelError: Its own `generate` asks no processor.
        NotFiniteError: The model gave logits that are no numbers.
    """
    length = inputs["input_ids"].shape[1]
    checked = Checked()
    processors: list[LogitsProcessor] = [checked]
    if settings.repetition_penalty != 1.0:
        processors.append(Unrepeated(settings.repetition_penalty, inputs["attention_mask"]))
    if scores is not None:
        processors.append(Kept(scores))
    if forced is not None:
        processors.append(Forced(forced, length))
    elif settings.temperature > 0:
        processors.append(Sampler(settings, seeds))
    # an architecture's own way (Janus's, for pictures that it makes) may leave the processors out
    ours = type(model).__module__.startswith("transformers.")
    write = partial(GenerationMixin.generate, model) if ours else model.generate
    sequences = write(
        **inputs,
        **_all_rows(model, inputs["input_ids"].device),
        generation_config=_generation_config(model, settings),
        logits_processor=LogitsProcessorList(processors),
        stopping_criteria=StoppingCriteriaList([Ended(settings, length)]),
    )
    if not checked.asked:
        raise ModelError(
            f"{type(model).__name__} writes in a way of its own, which follows no settings",
            hint="its `generate` must pass `logits_processor` on to transformers'",
        )
    if checked.broken:
        raise NotFiniteError("the model's logits", str(model.dtype).removeprefix("torch."))
    new = sequences[:, length:].tolist()
    return [cut_at_end(tokens[: settings.max_new_tokens], settings.end) for tokens in new]


def _all_rows(model: PreTrainedModel, device: torch.device) -> dict[str, Tensor]:
    """What has every layer compute the whole prompt, of which Gemma 4's that share keys compute the last row alone."""
    shared = getattr(model.config.get_text_config(decoder=True), "num_kv_shared_layers", None)
    return {"logits_to_keep": torch.tensor([-1], device=device)} if shared else {}


def _generation_config(model: PreTrainedModel, settings: Settings) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=settings.max_new_tokens + settings.extra_steps,
        do_sample=False,  # sampling is a processor's noise, so that it depends on the sample's own seed alone
        num_beams=1,
        # what is not said here transformers takes from the checkpoint, and would penalise beside `Unrepeated` once more
        repetition_penalty=1.0,
        use_cache=settings.cache,
        # no token ends a sequence for transformers, which would pad it from there on: `Ended` stops all at once
        eos_token_id=model.config.get_text_config().vocab_size,
        pad_token_id=0,
        disable_compile=True,  # the tap is Python that looks which rows are wanted
    )


def cut_at_end(tokens: Sequence[int], end: Sequence[int]) -> list[int]:
    """Cut tokens behind the first that ends an answer."""
    for index, token in enumerate(tokens):
        if token in end:
            return list(tokens[: index + 1])
    return list(tokens)


def end_tokens(model: PreTrainedModel, tokenizer: Any) -> tuple[int, ...]:
    """List the ids that end an answer: the checkpoint's generation config has the last word."""
    found = model.generation_config.eos_token_id
    if found is None:
        found = tokenizer.eos_token_id
    if found is None:
        return ()
    return tuple(found) if isinstance(found, (list, tuple)) else (int(found),)


class Ended(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """Stops when every sample has an end token, some steps later; tells how many tokens there are."""

    def __init__(self, settings: Settings, prompt: int) -> None:
        self.end, self.prompt, self.extra_steps = settings.end, prompt, settings.extra_steps
        self.most = settings.max_new_tokens

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """(batch,) the same for all."""
        tell(lambda: self._written(input_ids), input_ids.shape[1] - self.prompt, self.most)
        new = input_ids[:, self.prompt : input_ids.shape[1] - self.extra_steps]
        end = torch.tensor(self.end, dtype=new.dtype, device=new.device)
        return torch.isin(new, end).any(dim=1).all().expand(len(new))

    def _written(self, input_ids: Tensor) -> list[list[int]]:
        return [cut_at_end(own[: self.most], self.end) for own in input_ids[:, self.prompt :].tolist()]


class Sampler(LogitsProcessor):  # type: ignore[misc]
    """Samples by a greedy choice of disturbed scores (the Gumbel-max trick), each sample with its own generator."""

    def __init__(self, settings: Settings, seeds: Sequence[int]) -> None:
        self.temperature = settings.temperature
        # in transformers' own order
        self.narrowing = [
            *([] if settings.top_k is None else [TopKLogitsWarper(settings.top_k)]),
            *([] if settings.top_p is None else [TopPLogitsWarper(settings.top_p)]),
        ]
        # on the CPU, so that a seed means the same on every device
        self.generators = [torch.Generator().manual_seed(seed % 2**63) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Disturb scores (batch, vocabulary)."""
        return self.disturbed(scores, range(len(self.generators)))

    def disturbed(self, scores: Tensor, samples: Sequence[int]) -> Tensor:
        """Disturb scores (n, vocabulary) of some of the samples."""
        scores = scores / self.temperature
        for narrow in self.narrowing:
            scores = narrow(None, scores)
        generators = [self.generators[sample] for sample in samples]
        noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=own) for own in generators])
        return scores - noise.to(scores.device).log()


class Checked(LogitsProcessor):  # type: ignore[misc]
    """Notes whether any step's scores are no numbers, and changes nothing."""

    def __init__(self) -> None:
        self._broken: Tensor | None = None

    def __call__(self, input_ids: Tensor | None, scores: Tensor) -> Tensor:
        """Look at scores (batch, vocabulary); a token that a model rules out may have -inf."""
        broken = (scores.isnan() | scores.isposinf()).any() | ~scores.isfinite().any(dim=-1).all()
        self._broken = broken if self._broken is None else self._broken | broken
        return scores

    @property
    def asked(self) -> bool:
        """Whether any step's scores were shown to it."""
        return self._broken is not None

    @property
    def broken(self) -> bool:
        """Whether any were; asked once, as a GPU has to be waited for."""
        return self._broken is not None and bool(self._broken)


class Unrepeated(LogitsProcessor):  # type: ignore[misc]
    """Penalises repetition as transformers does, but blind to padding: a neighbour's length must not change a token."""

    def __init__(self, penalty: float, mask: Tensor) -> None:
        self.penalty, self.mask = penalty, mask.bool()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Penalise in scores (batch, vocabulary) what stands in the prompt or was written."""
        new, words = input_ids.shape[1] - self.mask.shape[1], scores.shape[1]
        there = torch.nn.functional.pad(self.mask, (0, new), value=True) & sayable(input_ids, words)
        seen = torch.zeros_like(scores, dtype=torch.int)
        seen.scatter_add_(1, input_ids.clamp(0, words - 1), there.int())
        return penalised(scores, seen > 0, self.penalty)


def sayable(ids: Tensor, words: int) -> Tensor:
    """Mark the ids that a vocabulary of so many words has: a placeholder for what is no text may lie beside it."""
    return (ids >= 0) & (ids < words)


def penalised(scores: Tensor, used: Tensor, penalty: float) -> Tensor:
    """Penalise in scores (batch, vocabulary) the tokens that were used, (batch, vocabulary) bool."""
    return torch.where(used, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


class Kept(LogitsProcessor):  # type: ignore[misc]
    """Keeps the scores and changes nothing."""

    def __init__(self, steps: list[Tensor]) -> None:
        self.steps = steps

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Keep scores (batch, vocabulary)."""
        self.steps.append(scores)
        return scores


class Forced(LogitsProcessor):  # type: ignore[misc]
    """Writes given tokens, whatever the scores say."""

    def __init__(self, tokens: Tensor, prompt: int) -> None:
        self.tokens, self.prompt = tokens, prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Leave one token possible; past the last given one, any."""
        step = input_ids.shape[1] - self.prompt
        if step >= self.tokens.shape[1]:
            return scores
        chosen = self.tokens[:, step, None]
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)
