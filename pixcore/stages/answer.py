"""The first stage: the model answers, and attention is read while it does."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

from pixcore.components import AttentionExtractor, Context, ModelAdapter
from pixcore.config import ChosenComponent
from pixcore.errors import SampleError
from pixcore.masks import size_of
from pixcore.plugins import Kind
from pixcore.records import Response
from pixcore.stages import serialise
from pixcore.stages.base import Item, Stage
from pixcore.stages.memory import Room, ends_all, shortage
from pixcore.stages.serialise import Entry


class Loader:
    """Makes the model adapter when it is first needed, and frees it when the stage is over."""

    def __init__(self, component: ChosenComponent, context: Context) -> None:
        self.component = component
        self.room = Room("requests")
        self._context = context
        self._model: ModelAdapter[Any] | None = None

    def __call__(self) -> ModelAdapter[Any]:
        """The adapter."""
        if self._model is None:
            self._model = self.component.create(self._context)
        return self._model

    def free(self) -> None:
        """Let go of the model before the next one is loaded."""
        if self._model is not None:
            self._model.close()
            self._model = None
            gc.collect()


@dataclass(eq=False, kw_only=True)
class Answer(Stage):
    """The stage in which the model answers, while the extractor sees its attention."""

    loader: Loader
    beside: Sequence[tuple[Answer, Iterator[tuple[Item, Entry | Exception]]]] = field(default=(), init=False)

    name = "answer"
    revision = 1
    uses: ClassVar = {"model": Kind.MODEL, "extractor": Kind.EXTRACTOR}
    not_in_key = frozenset({"loader", "beside"})

    def response(self, item: Item) -> Response | None:
        """Give what the model said to an item, or None where it has said nothing yet."""
        entry = self.get(item)
        return None if entry is None else serialise.response_from_entry(entry)

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Answer in batches; one that fails is tried again one by one, one that memory is too small for is halved."""
        model = self.loader()
        looks = "attention" in model.capabilities and self.components["extractor"] is not None
        extractor: AttentionExtractor[Any] | None = self.part("extractor") if looks else None
        start = 0
        while start < len(items):
            batch = items[start : start + self.loader.room.of(self.batch_size)]
            try:
                outcomes = self._outcomes(model, batch, extractor)
            except Exception as error:
                if not self.loader.room.shrinks(error, len(batch)):
                    raise
                continue
            yield from zip(batch, outcomes, strict=True)
            start += len(batch)
            for other, made in self.beside:  # of the same samples, while the model has seen their images
                for item, outcome in islice(made, other.batch_size):
                    if isinstance(outcome, Entry):  # what fails is tried again in its own stage, which tells of it
                        with suppress(TypeError, ValueError, RecursionError):  # so is what can't be kept
                            other.keep(item, outcome)

    def _outcomes(
        self, model: ModelAdapter[Any], batch: Sequence[Item], extractor: AttentionExtractor[Any] | None
    ) -> Iterable[Entry | Exception]:
        """A record or an error for each item; raises what the next would fail with too, or that memory ran out."""
        try:
            responses = model.answer([item.request for item in batch], extractor)
            if len(responses) != len(batch):
                raise SampleError(f"{self.named('model')} gave {len(responses)} responses to {len(batch)} requests")
            for item, response in zip(batch, responses, strict=True):
                if any(one and size_of(one) != item.request.image.size for one in (*response.masks, response.mask)):
                    raise SampleError(f"{self.named('model')} gave a mask that is not {item.request.image.size} pixels")
            return [serialise.response_to_entry(response) for response in responses]
        except Exception as error:
            if ends_all(error) or (len(batch) > 1 and shortage(error) is not None):
                raise
            if len(batch) == 1:
                return [error]
        return (outcome for item in batch for outcome in self._outcomes(model, (item,), extractor))
