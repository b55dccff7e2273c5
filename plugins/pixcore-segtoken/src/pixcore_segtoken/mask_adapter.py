"""Share what the adapters of all pixel-level systems have in common: read when needed, text and masks, no attention."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from pixcore_checkpoints.loading import loading
from pixcore_transformers.marks import check_marks
from torch import Tensor

from pixcore.components import AttentionExtractor, Capability, ModelAdapter, ModelConfig
from pixcore.errors import ModelError, NotFiniteError
from pixcore.records import Request, Response

ConfigT = TypeVar("ConfigT", bound=ModelConfig)
LoadedT = TypeVar("LoadedT")


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


def check_questions(marks: Sequence[str], requests: Sequence[Request]) -> None:
    """Refuse questions that spell a mark: it would become an image, a mask or an end, and no longer be text.

    The released code reads some of them as marks and drops others; under `published` that stays.

    Raises:
        SampleError: One holds a mark.
    """
    for request in requests:
        check_marks(marks, request.prompt, request.sample_id)


class MaskAdapter(ModelAdapter[ConfigT], Generic[ConfigT, LoadedT]):
    """A checkpoint that is read when it is first needed and answers with text and masks."""

    @abstractmethod
    def load(self) -> LoadedT:
        """Read the checkpoint."""

    @abstractmethod
    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch of at least one request greedily."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text and masks, no attention."""
        return frozenset({"text", "masks"})

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
        """Answer a batch greedily; see the class for what the fidelity changes."""
        if extractor is not None:
            raise ModelError(
                f"{type(self).__name__} gives masks, not attention", hint="set extractor: null for this model"
            )
        return self.respond(requests) if requests else []
