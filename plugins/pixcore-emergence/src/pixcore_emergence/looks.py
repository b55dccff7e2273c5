"""Look at one sample's phrases: where each begins, what it is about, and how well its best mask fits.

Many phrases are often as good as the best, and the first of equals stands early in the text by its being first. So
places and concepts are tie-aware: all phrases within `TIE` of the best IoU share the sample between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pixcore_scoring.evaluation import BINS
from pixcore_statistics.rows_in_file import Ints, RowsInFile

from pixcore.records import Candidate, Response, Sample
from pixcore_emergence.concepts import Concept
from pixcore_emergence.rules import classify

Floats = NDArray[np.float64]
Classifier = Callable[[str, str, Sample], Concept]

TIE = 0.02
"""IoU within which a phrase counts as good as the best."""

SUCCESS = 0.5
"""A mask above this IoU has found its object."""

CONCEPTS = tuple(Concept)


def by_rule(phrase: str, text: str, sample: Sample) -> Concept:
    """Classify a phrase offline; see `pixcore_emergence.rules`."""
    return classify(phrase, text=text, expression=sample.expression)


class Phrase(NamedTuple):
    """One phrase of an answer.

    Attributes:
        text: What it says.
        place: Where it begins, in percent of the text's characters.
        token: Where it begins, in percent of the tokens that add text; None where tokens are not known.
        concept: What it is about.
        iou: Of its best mask.
    """

    text: str
    place: float
    token: float | None
    concept: Concept
    iou: float


@dataclass(frozen=True)
class Look:
    """What one sample shows under one set of candidates: the run's own, or its control's.

    Attributes:
        first: The best phrase; the first of equals, as the released script takes it.
        iou: The best phrase's.
        place: Mean place of all phrases that are as good as the best, in percent of the text.
        places: (10,) their shares by tenth of the text; they sum to 1.
        concepts: (concepts,) their shares in the order of `CONCEPTS`.
        all_places: (10,) the same of all phrases, good or not: what place gives by itself.
        all_concepts: (concepts,) likewise.
        words: How many words the text has.
        phrases: How many phrases have masks.
    """

    first: Phrase
    iou: float
    place: float
    places: Floats
    concepts: Floats
    all_places: Floats
    all_concepts: Floats
    words: int
    phrases: int


_WIDTHS = {
    **{"iou": 1, "place": 1, "token": 1, "places": BINS, "concepts": len(CONCEPTS)},
    **{"all_places": BINS, "all_concepts": len(CONCEPTS), "words": 1, "phrases": 1},
}
_ENDS = dict(zip(_WIDTHS, accumulate(_WIDTHS.values()), strict=True))


class Looks:
    """What samples show, one after the other: numbers in a temporary file."""

    def __init__(self) -> None:
        self._rows = RowsInFile(sum(_WIDTHS.values()))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, cluster: int, look: Look) -> None:
        """Take in what one sample shows, and the number of what it is drawn together with."""
        token = np.nan if look.first.token is None else look.first.token
        shares = (*look.places, *look.concepts, *look.all_places, *look.all_concepts)
        self._rows.add(cluster, look.iou, look.place, token, *shares, look.words, look.phrases)

    def blocks(self, *names: str, found: bool = False) -> Iterator[tuple[Ints, list[Floats]]]:
        """Give some numbers of the samples, some samples at once.

        Args:
            names: Attributes of `Look`; "token" is the first phrase's, NaN where it is not known.
            found: Of those samples alone whose object was found.

        Yields:
            The clusters (n,), and what is under each name (n, k).
        """
        for clusters, values in self._rows.blocks():
            there = values[:, 0] > SUCCESS if found else slice(None)
            yield clusters[there], [values[there, _ENDS[name] - _WIDTHS[name] : _ENDS[name]] for name in names]

    def read(self, *names: str, found: bool = False) -> tuple[Ints, list[Floats]]:
        """Give some numbers of all samples at once; as `blocks`."""
        empty = np.zeros(0, np.int64), [np.zeros((0, _WIDTHS[name])) for name in names]
        clusters, values = zip(empty, *self.blocks(*names, found=found), strict=True)
        return np.concatenate(clusters), [np.concatenate(several) for several in zip(*values, strict=True)]


def look(
    sample: Sample, response: Response, candidates: Sequence[Candidate], ious: Sequence[Floats], classifier: Classifier
) -> Look | None:
    """Look at a sample's candidates.

    Args:
        sample: The sample.
        response: The answer that the candidates' phrases stand in.
        candidates: The candidates.
        ious: For each the IoUs of its masks.
        classifier: Says what a phrase is about.

    Returns:
        None where no candidate has a phrase of the answer and a mask.
    """
    text = response.text
    if not text:
        return None
    spoken = [index for index, token in enumerate(response.tokens) if token.end > token.start]
    phrases = [
        Phrase(
            group.phrase,
            place,
            100 * spoken.index(group.tokens[0]) / len(spoken) if group.tokens and group.tokens[0] in spoken else None,
            classifier(group.phrase, text, sample),
            float(values.max()),
        )
        for values, candidate in zip(ious, candidates, strict=True)
        if len(values) and (group := candidate.group) is not None and (place := group.place(text)) is not None
    ]
    if not phrases:
        return None
    top = max(phrase.iou for phrase in phrases)
    tied = [phrase for phrase in phrases if phrase.iou >= top - TIE]
    return Look(
        first=next(phrase for phrase in phrases if phrase.iou == top),
        iou=top,
        place=float(np.mean([phrase.place for phrase in tied])),
        places=_places(tied),
        concepts=_concepts(tied),
        all_places=_places(phrases),
        all_concepts=_concepts(phrases),
        words=len(text.split()),
        phrases=len(phrases),
    )


def shares_word(phrase: str, expression: str) -> bool:
    """Say whether a phrase names what is asked for: they share a word of more than three letters, or all."""
    words = {word.strip(".,!?\"'").lower() for word in phrase.split()}
    wanted = {word.strip(".,!?\"'").lower().removesuffix("'s") for word in expression.split()}
    return bool({word.removesuffix("'s") for word in words if len(word) > 3} & wanted) or words == wanted


def tenth(place: float) -> int:
    """Say in which tenth of the text a place (0 to 100) is."""
    return min(int(place // (100 / BINS)), BINS - 1)


def _places(phrases: Sequence[Phrase]) -> Floats:
    return np.bincount([tenth(phrase.place) for phrase in phrases], minlength=BINS) / len(phrases)


def _concepts(phrases: Sequence[Phrase]) -> Floats:
    return np.bincount([CONCEPTS.index(phrase.concept) for phrase in phrases], minlength=len(CONCEPTS)) / len(phrases)
