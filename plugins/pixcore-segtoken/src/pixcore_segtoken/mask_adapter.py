"""Share what the adapters of all pixel-level systems have in common: read when needed, text with masks or attention."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Generic, Protocol, TypeVar

import torch
from pixcore_checkpoints.loading import loading
from pixcore_transformers.marks import check_marks
from pixcore_transformers.streaming import HALF_CHARACTER, in_making, whole_part, written_by_now
from torch import Tensor
from transformers import LlamaForCausalLM

from pixcore.components import AttentionExtractor, Capability, ModelAdapter
from pixcore.errors import ModelError, NotFiniteError
from pixcore.records import Request, Response, Token
from pixcore_segtoken.attending import Shown, read, reader_of
from pixcore_segtoken.config import SegmentingConfig
from pixcore_segtoken.language import Generation, generate
from pixcore_segtoken.text import spoken


class Read(Protocol):
    """The part of a checkpoint that was read which all systems share."""

    @property
    def language(self) -> LlamaForCausalLM:
        """The Llama that speaks."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, which has `marks`."""


ConfigT = TypeVar("ConfigT", bound=SegmentingConfig)
LoadedT = TypeVar("LoadedT", bound=Read)

_HALF_MARK = re.compile(HALF_CHARACTER.pattern + r"|<[^>]*\Z|\[[^\]]*\Z")


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
    does: nothing is segmented, and masks are mined from its attention. With `attention: with-masks` one answer has
    both: its text is then what was said, as `spoken` writes it token by token, under every fidelity.
    """

    _writing: Sequence[Shown] = ()

    @abstractmethod
    def load(self) -> LoadedT:
        """Read the checkpoint."""

    @abstractmethod
    def segment(self, request: Request, shown: Shown, generation: Generation) -> Response:
        """Make the response of what was generated for a prompt: its text as the fidelity asks for, and its masks."""

    @abstractmethod
    def show(self, requests: Sequence[Request]) -> list[Shown]:
        """Make the prompts as the language model gets them."""

    @property
    def language(self) -> LlamaForCausalLM:
        """The language model of the checkpoint."""
        return self.loaded.language

    @property
    def ends(self) -> Sequence[int]:
        """The tokens that end an answer: the end token."""
        return [self.loaded.tokenizer.eos]

    def spoken(self, token_ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
        """Write an answer, and say which token adds which characters: without any special token."""
        return spoken(self.loaded.tokenizer, token_ids)

    def begun(self, shown: Shown, token_ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
        """Write the beginning of an answer to a prompt as `segment` will write the whole."""
        return self.spoken(token_ids)

    def dictated(self, requests: Sequence[Request]) -> Sequence[Sequence[int]] | None:
        """Give the tokens that each answer begins with, whatever the model would say; None: it speaks by itself."""
        return None

    def adjust(self, shown: Sequence[Shown], written: Sequence[Sequence[int]], scores: Tensor) -> Tensor:
        """Change the scores (B, V) of the next tokens by what was asked and written; they stay as they are here."""
        return scores

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text, and masks or attention."""
        looks, masks = bool(self.config.attention), self.config.attention is not True
        return frozenset({"text", *(("attention",) if looks else ()), *(("masks",) if masks else ())})

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
            hint = "extractor: null for this model, or attention: true in place of its masks, or attention: with-masks"
            raise ModelError(f"{type(self).__name__} gives masks, not attention", hint=hint)
        if not self.context.published and requests:
            for request in requests:
                check_marks(self.loaded.tokenizer.marks, request.prompt, request.sample_id)
        if not requests:
            return []
        return self._answer(requests, extractor)

    def partial(self) -> list[Response]:
        """Give what is written by now of each answer in the making, without masks; none where none is.

        As `pixcore_transformers.adapter.Adapter.partial`. Half a mark, which a published text loses once it is whole,
        is held back.
        """
        return [self._by_now(*each) for each in zip(self._writing, written_by_now(), strict=False)]

    def _by_now(self, shown: Shown, written: tuple[Sequence[int], dict[str, Any]]) -> Response:
        write = self.spoken if self.config.attention else partial(self.begun, shown)
        half = _HALF_MARK if self.context.published else HALF_CHARACTER
        tokens, fields = whole_part(*written, lambda some: write(some)[0], half)
        return Response(*write(tokens), maps=fields.get("maps"), layout=fields.get("layout"))

    def replay(
        self, requests: Sequence[Request], texts: Sequence[str], extractor: AttentionExtractor[Any]
    ) -> list[Response]:
        """Give the maps of text from elsewhere, token by token, and no masks: it has no [SEG].

        Raises:
            ModelError: The config asks for no attention.
        """
        if not self.config.attention:
            message = f"{type(self).__name__} replays a text for its attention alone"
            raise ModelError(message, hint="attention: true, or attention: with-masks")
        ids = [[*self.loaded.tokenizer.plain(text), self.ends[0]] for text in texts]
        return self._answer(requests, extractor, ids) if requests else []

    @torch.no_grad()
    def _answer(
        self,
        requests: Sequence[Request],
        extractor: AttentionExtractor[Any] | None,
        forced: Sequence[Sequence[int]] | None = None,
    ) -> list[Response]:
        shown = self.show(requests)
        masks = forced is None and "masks" in self.capabilities
        most = None if forced is None else max(map(len, forced))
        forced = self.dictated(requests) if forced is None else forced
        if extractor is None:
            with in_making([one.layout for one in shown]):
                told = self._write(shown, forced=forced)
            return [self._told(*each, masks=masks) for each in zip(requests, shown, told, strict=True)]
        reader, references = reader_of(self.language, extractor), None
        if reader.needs.reference_prompt is not None:
            asked = [replace(request, prompt=reader.needs.reference_prompt) for request in requests]
            alone = self.show(asked)
            extractor.prepare(asked, [one.layout for one in alone])
            maps = read(reader, alone, lambda: _ids(self._write(alone, most=1)), first=-1)
            references = [own[0] for own in maps]
        extractor.prepare(requests, [one.layout for one in shown])
        written: list[Generation] = []

        def write() -> Sequence[Sequence[int]]:
            written.extend(self._write(shown, most=most, extra_step=reader.own_row, forced=forced))
            return _ids(written)

        maps = read(reader, shown, write)
        return [
            replace(
                self._told(requests[index], shown[index], generation, masks=masks),
                maps=maps[index],
                layout=shown[index].layout,
                reference=None if references is None else references[index],
            )
            for index, generation in enumerate(written)
        ]

    def _write(
        self,
        shown: Sequence[Shown],
        *,
        most: int | None = None,
        extra_step: bool = False,
        forced: Sequence[Sequence[int]] | None = None,
    ) -> list[Generation]:
        positions = [one.positions for one in shown if one.positions is not None]
        self._writing = shown
        try:
            return generate(
                self.language,
                [one.embedded for one in shown],
                max_new_tokens=most or self.config.max_new_tokens,
                stop_ids=self.ends,
                forced=forced,
                use_cache=not getattr(self.config, "recompute", False),
                extra_step=extra_step,
                positions=positions or None,
                adjust=partial(self.adjust, shown),
            )
        finally:
            self._writing = ()

    def _told(self, request: Request, shown: Shown, generation: Generation, *, masks: bool) -> Response:
        own = self.segment(request, shown, generation) if masks else None
        if own is not None and not self.config.attention:
            return own
        ids = generation.token_ids
        text, tokens = self.spoken(ids)
        if own is None:
            return Response(text, tokens, extra={"finish": "stop" if ids and ids[-1] in self.ends else "length"})
        return replace(own, text=text, tokens=tokens, mask_spans=own.mask_spans if own.text == text else ())


def _ids(generations: Sequence[Generation]) -> list[tuple[int, ...]]:
    return [generation.token_ids for generation in generations]
