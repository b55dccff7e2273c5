"""Choose by embedded phrases: the strategy `embedding`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixcore.components import Context, SelectionStrategy
from pixcore.errors import ModelError, PluginError
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.config import EmbeddingConfig
from pixcore_selection.phrases import choose_by_similarity, phrases_of


class Embedding(SelectionStrategy[EmbeddingConfig]):
    """Chooses the phrase nearest to the expression in the space of a sentence-transformers model.

    What spaCy's word vectors do in attend-and-segment, by a model that was trained to compare phrases. Of equals the
    one whose mask has the highest score, then the first.
    """

    def __init__(self, config: EmbeddingConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._model = _load(config)
        self._known: dict[str, Any] = {}

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by the cosine of phrase and expression."""
        if sample.expression is None:
            return Selection.nothing("no expression to compare phrases with")
        phrases = [phrases_of(candidate) for candidate in candidates]
        self._learn([sample.expression, *(phrase for own in phrases for phrase in own)])
        wanted = self._known[sample.expression]
        similarities = [max(float(self._known[phrase] @ wanted) for phrase in own) for own in phrases]
        return choose_by_similarity(candidates, similarities, self.config.threshold, self.config.mask)

    def _learn(self, phrases: Sequence[str]) -> None:
        """Embed what is not known yet, in one batch."""
        new = sorted(set(phrases) - self._known.keys())
        if new:
            vectors = self._model.encode(new, normalize_embeddings=True, show_progress_bar=False)
            self._known.update(zip(new, np.asarray(vectors, np.float64), strict=True))


def _load(config: EmbeddingConfig) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise PluginError(
            "the strategy 'embedding' needs sentence-transformers, which can't be imported",
            hint='pip install "pixcore-selection[embedding]"',
        ) from error
    try:
        return SentenceTransformer(
            str(Path(config.model).expanduser()),
            revision=config.revision,
            device=config.device,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(
            f"can't load the sentence-transformers model {config.model!r}: {first}",
            hint="name a folder, or a name on the hub",
        ) from error
