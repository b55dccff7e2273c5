"""Vectors of phrases, each computed once a store: what strategies that compare phrases have in common."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pixcore.components import Context
from pixcore.stages.store import content_key


class PhraseVectors:
    """Vectors that a model gives to texts, kept in the run's store beside its records.

    A second strategy that stands on the same model, or the same one with another threshold, finds every text of the run
    there, and no model is loaded.

    Args:
        context: The run; without a memory each text is computed once a strategy.
        model: What the vectors depend on besides the text: the model with its version or fingerprint.
        compute: Gives a vector for each of several texts, in order; called for what is nowhere yet.
    """

    def __init__(self, context: Context, model: str, compute: Callable[[list[str]], Iterable[object]]) -> None:
        self._context, self._model, self._compute = context, model, compute
        self._known: dict[str, NDArray[np.float64]] = {}

    def learn(self, texts: Iterable[str]) -> None:
        """Find the vectors of texts, those that are nowhere yet in one batch."""
        recall, remember = self._context.recall, self._context.remember
        new = []
        for text in sorted(set(texts) - self._known.keys()):
            kept = recall(self._key(text)) if recall is not None else None
            if kept is None:
                new.append(text)
            else:
                self._known[text] = np.frombuffer(base64.b64decode(kept), "<f4").astype(np.float64)
        for text, vector in zip(new, self._compute(new) if new else (), strict=True):
            single = np.asarray(vector, "<f4")
            self._known[text] = single.astype(np.float64)
            if remember is not None:
                remember(self._key(text), base64.b64encode(single.tobytes()).decode("ascii"))

    def __getitem__(self, text: str) -> NDArray[np.float64]:
        """Give a text's vector."""
        if text not in self._known:
            self.learn([text])
        return self._known[text]

    def _key(self, text: str) -> str:
        return content_key(["vector", self._model, text])
