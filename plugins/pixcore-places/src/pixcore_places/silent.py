"""A model that says nothing, for runs in which a generator works on the expression alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixcore.components import AttentionExtractor, Capability, ModelAdapter
from pixcore.records import Request, Response
from pixcore_places.config import SilentConfig


class Silent(ModelAdapter[SilentConfig]):
    """Answers everything with an empty text."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text, though an empty one."""
        return frozenset({"text"})

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Give an empty text to each request."""
        return [Response("") for _ in requests]
