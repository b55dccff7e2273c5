"""Share what the adapters of all pixel-level systems have in common: read when needed, text with masks or attention."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import torch
from pixcore_checkpoints.loading import loading
from pixcore_transformers.marks import check_marks
from torch import Tensor
from transformers import LlamaForCausalLM

from pixcore.components import AttentionExtractor, Capability, ModelAdapter
from pixcore.errors import ModelError, NotFiniteError
from pixcore.records import Request, Response, Token
from pixcore_segtoken.attending import Shown, read, reader_of
from pixcore_segtoken.config import SegmentingConfig
from pixcore_segtoken.language import generate


class Read(Protocol):
    """The part of a checkpoint that was read which all systems share."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, which has `marks`."""


ConfigT = TypeVar("ConfigT", bound=SegmentingConfig)
LoadedT = TypeVar("LoadedT", bound=Read)


def finite(logits: Tensor, dtype: torch.dtype) -> Tensor:
    """Mask logits of any shape, as they are.

    Args:
        logits: To be cut at 0, where what is not a number would silently be outside the mask.
        dtype: What the model computes in.

    Raises:
        NotFiniteError: Some are no numbers.
    """
    if not bool(logits.isfinite().all()):
        raise NotFiniteError("the mask logits", str(dtype).removeprefix("torch."))
    return logits


class MaskAdapter(ModelAdapter[ConfigT], Generic[ConfigT, LoadedT]):
    """A checkpoint that is read when it is first needed and answers with text and masks.

    With `attention: true` it answers with text alone and shows where its language model looks, as any other model
    does: nothing is segmented, and masks are mined from its attention.
    """

    @abstractmethod
    def load(self) -> LoadedT:
        """Read the checkpoint."""

    @abstractmethod
    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch of at least one request greedily, with masks."""

    @property
    @abstractmethod
    def language(self) -> LlamaForCausalLM:
        """The language model of the checkpoint."""

    @property
    @abstractmethod
    def ends(self) -> Sequence[int]:
        """The tokens that end an answer."""

    @abstractmethod
    def show(self, requests: Sequence[Request]) -> list[Shown]:
        """Make the prompts as the language model gets them."""

    @abstractmethod
    def spoken(self, token_ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
        """Write an answer, and say which token adds which characters."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text, and masks or attention."""
        return frozenset({"text", "attention"}) if self.config.attention else frozenset({"text", "masks"})

    @cached_property
    def loaded(self) -> LoadedT:
        """The checkpoint, read when it is first needed."""
        with loading(str(getattr(self.config, "checkpoint", type(self).__name__))):
            return self.load()

    def close(self) -> None:
        """Free the checkpoint's memory."""
        self.__dict__.pop("loaded", None)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Answer a batch greedily; see the class for what the fidelity changes.

        Raises:
            SampleError: A question spells a mark: it would become an image, a mask or an end, and no longer be text.
                The released code reads some of them as marks and drops others; under `published` that stays.
        """
        if extractor is not None and not self.config.attention:
            hint = "set extractor: null for this model, or attention: true for its attention in place of its masks"
            raise ModelError(f"{type(self).__name__} gives masks, not attention", hint=hint)
        if not self.context.published and requests:
            for request in requests:
                check_marks(self.loaded.tokenizer.marks, request.prompt, request.sample_id)
        if not requests:
            return []
        return self._attend(requests, extractor) if self.config.attention else self.respond(requests)

    @torch.no_grad()
    def _attend(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None) -> list[Response]:
        shown = self.show(requests)
        if extractor is None:
            return [self._told(tokens) for tokens in self._write(shown)]
        reader, references = reader_of(self.language, extractor), None
        if reader.needs.reference_prompt is not None:
            asked = [replace(request, prompt=reader.needs.reference_prompt) for request in requests]
            alone = self.show(asked)
            extractor.prepare(asked, [one.layout for one in alone])
            maps = read(reader, alone, lambda: self._write(alone, most=1), first=-1)
            references = [own[0] for own in maps]
        extractor.prepare(requests, [one.layout for one in shown])
        written: list[tuple[int, ...]] = []

        def write() -> Sequence[Sequence[int]]:
            written.extend(self._write(shown, extra_step=reader.own_row))
            return written

        maps = read(reader, shown, write)
        return [
            replace(
                self._told(tokens),
                maps=maps[index],
                layout=shown[index].layout,
                reference=None if references is None else references[index],
            )
            for index, tokens in enumerate(written)
        ]

    def _write(
        self, shown: Sequence[Shown], *, most: int | None = None, extra_step: bool = False
    ) -> list[tuple[int, ...]]:
        found = generate(
            self.language,
            [one.embedded for one in shown],
            max_new_tokens=most or self.config.max_new_tokens,
            stop_ids=self.ends,
            use_cache=not getattr(self.config, "recompute", False),
            extra_step=extra_step,
        )
        return [generation.token_ids for generation in found]

    def _told(self, token_ids: Sequence[int]) -> Response:
        text, tokens = self.spoken(token_ids)
        finish = "stop" if token_ids and token_ids[-1] in self.ends else "length"
        return Response(text, tokens, extra={"finish": finish})
