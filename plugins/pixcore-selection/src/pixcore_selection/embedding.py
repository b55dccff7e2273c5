"""Choose by embedded phrases: the strategy `embedding`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pixcore.components import Context, SelectionStrategy
from pixcore.errors import ModelError, PluginError, first_line
from pixcore.records import Candidate, Response, Sample, Selection
from pixcore_selection.config import EmbeddingConfig
from pixcore_selection.phrases import choose_by_similarity, phrases_of
from pixcore_selection.vectors import PhraseVectors


class Embedding(SelectionStrategy[EmbeddingConfig]):
    """Chooses the phrase nearest to the expression in the space of a sentence-transformers model.

    What spaCy's word vectors do in attend-and-segment, by a model that was trained to compare phrases. A candidate
    without a phrase, to which such a model gives a vector all the same, has a similarity of 0. Of equals the one whose
    mask has the highest score, then the first.
    """

    def __init__(self, config: EmbeddingConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        # with the name: of models that are not on this machine yet, fingerprints are alike
        self._vectors = PhraseVectors(self.context, f"{config.model} {config.fingerprint()}", self._embed)

    @cached_property
    def _model(self) -> Any:
        return _load(self.config)

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by the cosine of phrase and expression."""
        if sample.expression is None:
            return Selection.nothing("no expression to compare phrases with")
        phrases = [[phrase for phrase in phrases_of(candidate) if phrase.strip()] for candidate in candidates]
        self._vectors.learn([sample.expression, *(phrase for own in phrases for phrase in own)])
        wanted = self._vectors[sample.expression]
        similarities = [max((float(self._vectors[one] @ wanted) for one in own), default=0.0) for own in phrases]
        return choose_by_similarity(candidates, similarities, self.config.threshold, self.config.mask)

    def _embed(self, phrases: list[str]) -> list[Any]:
        """Embed each alone: in a batch its last bits would follow from the others, which other processes don't have."""
        return [self._model.encode(one, normalize_embeddings=True, show_progress_bar=False) for one in phrases]


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
            config.model,
            revision=config.revision,
            device=config.device,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # a torch without CUDA asserts that it has it
        raise ModelError(
            f"can't load the sentence-transformers model {config.model!r} on {config.device}: {first_line(error)}",
            hint="model: a folder, or a name on the hub; device: cpu, or cuda where there is a GPU",
        ) from error
