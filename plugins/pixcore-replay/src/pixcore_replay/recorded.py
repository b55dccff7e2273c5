"""Answer as a file says: the model `recorded`. An earlier run's predictions, or what another tool has written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pixcore.components import AttentionExtractor, Capability, ModelAdapter
from pixcore.errors import ModelError, SampleError, nearest
from pixcore.records import Request, Response
from pixcore_replay.config import RecordedConfig
from pixcore_replay.served import BLIND, words
from pixcore_replay.texts import Texts


class Recorded(ModelAdapter[RecordedConfig]):
    """Gives each sample the text that a file has for it. Its tokens are the words of the text."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """It gives text and nothing else."""
        return frozenset({"text"})

    @cached_property
    def texts(self) -> Texts:
        """The file's texts by sample and probing."""
        return self.config.read()

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Look the answers up.

        Raises:
            DataError: The file is not what it should be.
            SampleError: It has no text for a sample.
        """
        if extractor is not None:
            raise ModelError("a file of texts shows no attention", hint="a local checkpoint with text: FILE does")
        return [self._found(request) for request in requests]

    def _found(self, request: Request) -> Response:
        text = self.texts.get((request.sample_id, request.protocol))
        if text is None:
            ids = {sample for sample, probing in self.texts if probing == request.protocol}
            probings = sorted({probing for _, probing in self.texts})
            hint = nearest(request.sample_id, ids) if ids else f"its texts are of {', '.join(probings)}"
            if "0" in ids and request.sample_id.isdecimal():  # then every other text may be a neighbour's
                hint = "its ids count from 0: are they rows? id_field: names the field that has the samples' own"
            raise SampleError(
                f"{self.config.file.name} has no text for {request.sample_id!r} ({request.protocol})", hint=hint
            )
        return Response(text, words(text), extra={"file": self.config.file.name, "notice": BLIND})
