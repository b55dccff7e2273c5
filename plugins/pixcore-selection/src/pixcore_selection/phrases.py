"""Choose by comparing phrases with the expression."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from pixcore.components import SelectionStrategy
from pixcore.errors import SampleError
from pixcore.records import Candidate, Response, Sample, Selection, word_of
from pixcore_selection.config import PhraseOverlapConfig
from pixcore_selection.pick import MaskRule, best_score, nothing_similar, pick_mask

_ARTICLES = frozenset({"a", "an", "the"})
_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")  # no word that "the cat's ear" and "the boy's hat" have in common


class PhraseOverlap(SelectionStrategy[PhraseOverlapConfig]):
    """Chooses the candidate whose phrase shares most words with the expression.

    The overlap is Dice's coefficient of the two sets of words, in lower case and without articles and the s of
    a possessive: 1 for the same words, 0 for none in common; of a merged candidate that of its best phrase. Of equals
    the one whose mask has the highest score, then the first.
    """

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by the number of shared words."""
        if sample.expression is None:
            return Selection.nothing("no expression to compare phrases with")
        wanted = _words(sample.expression)
        overlaps = [max(_dice(_words(phrase), wanted) for phrase in phrases_of(candidate)) for candidate in candidates]
        return choose_by_similarity(candidates, overlaps, self.config.threshold, self.config.mask)


def phrases_of(candidate: Candidate) -> tuple[str, ...]:
    """List a candidate's phrase (empty where predictions came without one), and those of duplicates merged into it."""
    return (candidate.group.phrase if candidate.group is not None else "", *candidate.merged)


def choose_by_similarity(
    candidates: Sequence[Candidate], similarities: Sequence[float], threshold: float | None, rule: MaskRule
) -> Selection:
    """Choose the most similar candidate; of equals the one with the highest mask score, then the first.

    A similarity of 0.00, or a negative one, is no choice.

    Args:
        candidates: What to choose from.
        similarities: One for each.
        threshold: Below it the object is taken for absent; None: never.
        rule: Which of the chosen one's masks.

    Raises:
        SampleError: A similarity is no number.
    """
    usable = [index for index, candidate in enumerate(candidates) if candidate.masks]
    if not usable:
        return Selection.nothing("no candidates")
    if not np.isfinite(similarities).all():
        raise SampleError("a phrase's similarity is not a finite number")
    best = max(usable, key=lambda index: (similarities[index], _top_score(candidates[index]), -index))
    similarity, phrase = float(similarities[best]), phrases_of(candidates[best])[0]
    if threshold is not None and similarity < threshold:
        return Selection.absent(f"the best phrase, {phrase!r}, is below {threshold:g}", score=similarity)
    if nothing_similar(similarity):
        return Selection.nothing("no phrase is similar to the expression", score=similarity)
    reason = f"{phrase!r} is the most similar phrase ({similarity:.2f})"
    return Selection.chosen(best, pick_mask(candidates[best], rule), reason=reason, score=similarity)


def _top_score(candidate: Candidate) -> float:
    return float(candidate.scores[best_score(candidate)]) if candidate.scores else 0.0


def _words(text: str) -> frozenset[str]:
    plain = _POSSESSIVE.sub("", unicodedata.normalize("NFC", text.casefold()))
    return frozenset(re.findall(word_of(plain), plain)) - _ARTICLES


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 0.0
