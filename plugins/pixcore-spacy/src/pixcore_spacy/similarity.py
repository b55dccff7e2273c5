"""Choose by the similarity of phrases: the strategy `spacy-similarity`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pixcore_selection.phrases import phrases_of
from pixcore_selection.pick import cut_of, nothing_similar, pick_mask
from pixcore_selection.vectors import PhraseVectors

from pixcore.components import Context, SelectionStrategy
from pixcore.errors import SampleError
from pixcore.records import Candidate, Fidelity, Response, Sample, Selection
from pixcore_spacy.config import PipelineConfig, SpacySimilarityConfig
from pixcore_spacy.pipelines import facts_of, load, tell_of_shared_vectors

_ARTICLES = ("the ", "an ", "a ")


class Embedder:
    """Computes vectors of phrases, each once; what the run's store has kept needs no pipeline.

    Args:
        config: Which pipeline.
        context: The run.
    """

    def __init__(self, config: PipelineConfig, context: Context | None = None) -> None:
        self.facts = facts_of(config, context or Context())
        self._name = config.pipeline
        self._vectors = PhraseVectors(context or Context(), config.fingerprint(), self._compute)

    def _compute(self, texts: list[str]) -> Iterable[object]:
        return (document.vector for document in load(self._name).pipe(texts))

    def learn(self, phrases: Iterable[str]) -> None:
        """Embed phrases in one batch."""
        self._vectors.learn(map(bare, phrases))

    def vector(self, phrase: str) -> NDArray[np.float64]:
        """Average a phrase's words' vectors, without a leading article; of length 0 where nothing is left of it."""
        return self._vectors[bare(phrase)]

    def similarity(self, one: str, other: str) -> float:
        """Take the cosine of two phrases' vectors; 0 where one of them has none.

        The released code ends with an error where nothing is left of a phrase without its article.
        """
        a, b = self.vector(one), self.vector(other)
        if not a.size or not b.size:
            return 0.0
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / lengths if lengths > 0 else 0.0


def bare(phrase: str) -> str:
    """Strip a phrase of one leading article, in lower case (groundLMM `aas/utils.py`); a leading space keeps it."""
    lower = phrase.lower()
    for article in _ARTICLES:
        if lower.startswith(article):
            return lower[len(article) :]
    return lower


class SpacySimilarity(SelectionStrategy[SpacySimilarityConfig]):
    """Chooses the candidate whose phrase is most similar to the expression: attend-and-segment's choice.

    Below the threshold the object is taken for absent (PixFoundation `eval_nonpixLMM_iou.py:73-98`). Under
    `published` and `paper` the expression is the released file's, the last of equals wins, and similarities that are
    all negative choose nothing; under `corrected` the first of equals wins, and a similarity of 0.00 is no choice
    either. A merged candidate has the similarity of its best phrase. Similarities that came with predictions made
    elsewhere are taken as they are.
    """

    @cached_property
    def _rules(self) -> Fidelity:
        return self.config.fidelity or self.context.fidelity

    @cached_property
    def _cut(self) -> float | None:
        return cut_of(self.config.threshold, self._rules)

    @cached_property
    def _embedder(self) -> Embedder:
        embedder = Embedder(self.config, self.context)
        if self._cut is not None:
            tell_of_shared_vectors(self.config.pipeline, embedder.facts)
        return embedder

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by phrase; the similarities of all candidates are kept in the selection's details."""
        published, cut = self._rules.released, self._cut
        expression = sample.expression
        if published and sample.released_expression is not None:
            expression = sample.released_expression
        if expression is None:
            return Selection.nothing("no expression to compare phrases with")
        phrases = [phrases_of(candidate) for candidate in candidates]
        usable = [index for index, candidate in enumerate(candidates) if candidate.masks]
        if not usable:
            return Selection.nothing("no candidates")
        similarities = [candidate.similarity for candidate in candidates if candidate.similarity is not None]
        if len(similarities) < len(candidates):
            self._embedder.learn([expression, *(phrase for own in phrases for phrase in own)])
            similarities = [max(self._embedder.similarity(phrase, expression) for phrase in own) for own in phrases]
        if not np.isfinite(similarities).all():
            raise SampleError(f"spaCy's {self.config.pipeline} gave a similarity that is not a finite number")
        # under the released rules the last of equals wins, else the first
        best = max(reversed(usable) if published else usable, key=similarities.__getitem__)
        similarity = similarities[best]
        details = {"similarities": [round(value, 6) for value in similarities]}
        if published and similarity < 0:
            return Selection.nothing("all similarities are negative", score=similarity, details=details)
        if cut is not None and similarity < cut:
            reason = f"the best phrase, {phrases[best][0]!r}, is below {cut:g}"
            return Selection.absent(reason, score=similarity, details=details)
        if nothing_similar(similarity) and not published:
            return Selection.nothing("no phrase is similar to the expression", score=similarity, details=details)
        rule = self.config.mask or ("last" if published else "best-score")
        return Selection.chosen(
            best,
            pick_mask(candidates[best], rule),
            reason=f"{phrases[best][0]!r} is most similar to the expression",
            score=similarity,
            details=details,
        )
