"""Choosing among finished candidates by rules that need no model: what `pixcore score --select` knows by itself.

Under `published` each rule is the released evaluator's (eval_nonpixLMM_iou.py): candidates come in the order of its
file names, the last of equals wins, and an oracle looks at the ground truth before anything else. Under `corrected` the
first of equals wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pixcore.errors import DataError
from pixcore.figures.scores import candidate_ious
from pixcore.records import Candidate, Fidelity, Sample, Selection

SIMILARITY_CUT = 0.7
"""Below it the released evaluator takes the object for absent; it is made for en_core_web_lg's vectors."""

Rule = Callable[[Sample, Sequence[Candidate], Fidelity], Selection]


def oracle(
    sample: Sample,
    candidates: Sequence[Candidate],
    fidelity: Fidelity,
    *,
    ious: Sequence[NDArray[np.float64]] | None = None,
) -> Selection:
    """The mask with the highest IoU; "absent" where the ground truth is empty.

    An absent object is known before any candidate is looked at, so it scores 1 whatever the model did.
    """
    if sample.mask is None:
        return Selection.nothing("no ground truth")
    if sample.absent:
        return Selection.absent("the ground truth is empty")
    measured = candidate_ious(sample, candidates) if ious is None else ious
    if fidelity is Fidelity.CORRECTED:
        flat = np.concatenate([np.zeros(0), *measured])
        if not len(flat):
            return Selection.nothing("no candidates")
        owners = np.repeat(np.arange(len(measured)), [len(values) for values in measured])
        best = int(flat.argmax())
        index = int(owners[best])
        return Selection.chosen(index, best - int(np.flatnonzero(owners == index)[0]), score=float(flat[best]))
    chosen, score = None, 0.0
    for index, mask in _file_order(candidates):
        if measured[index][mask] >= score:
            chosen, score = (index, mask), float(measured[index][mask])
    return Selection.chosen(*chosen, score=score) if chosen else Selection.nothing("no candidates")


def similarity(sample: Sample, candidates: Sequence[Candidate], fidelity: Fidelity) -> Selection:
    """The phrase most similar to the expression, by the similarities that came with the predictions.

    Raises:
        DataError: A candidate came without one.
    """
    if any(candidate.similarity is None for candidate in candidates):
        raise DataError(
            f"sample {sample.id} has a candidate without similarity",
            hint='write "similarity" for every candidate, or select by another rule',
        )
    if fidelity is Fidelity.PUBLISHED:
        order, best, chosen = _file_order(candidates), 0.0, None
        for index, mask in order:
            value = candidates[index].similarity or 0.0
            if value >= best:
                best, chosen = value, (index, mask)
        if chosen is None:
            return Selection.nothing("no candidates" if not candidates else "all similarities are negative")
        if best < SIMILARITY_CUT:
            return Selection.absent(f"the best similarity is below {SIMILARITY_CUT}", score=best)
        return Selection.chosen(*chosen, score=best)
    usable = [index for index, candidate in enumerate(candidates) if candidate.masks]
    if not usable:
        return Selection.nothing("no candidates")
    index = max(usable, key=lambda i: candidates[i].similarity or 0.0)
    best = candidates[index].similarity or 0.0
    if best < SIMILARITY_CUT:
        return Selection.absent(f"the best similarity is below {SIMILARITY_CUT}", score=best)
    scores = candidates[index].scores
    return Selection.chosen(index, int(np.argmax(scores)) if scores else 0, score=best)


def mask_score(sample: Sample, candidates: Sequence[Candidate], fidelity: Fidelity) -> Selection:
    """The mask that its generator thinks best of; the first of equals.

    Raises:
        DataError: A candidate came without scores.
    """
    best: tuple[float, int, int] | None = None
    for index, candidate in enumerate(candidates):
        if len(candidate.scores) != len(candidate.masks):
            raise DataError(
                f"sample {sample.id} has a candidate without scores", hint='write "scores", one for each mask'
            )
        for mask, score in enumerate(candidate.scores):
            if best is None or score > best[0]:
                best = (score, index, mask)
    return Selection.chosen(best[1], best[2], score=best[0]) if best else Selection.nothing("no candidates")


RULES: Mapping[str, Rule] = {"oracle": oracle, "spacy-similarity": similarity, "mask-score": mask_score}
"""By the names that the strategies have in a config."""

UPPER_BOUNDS = frozenset({"oracle"})


def _file_order(candidates: Sequence[Candidate]) -> Iterator[tuple[int, int]]:
    """Masks in the order of the released scripts' file names, `{image}_{group:03d}_{mask:03d}.png`, sorted as text."""
    places = [(index, mask) for index, candidate in enumerate(candidates) for mask in range(len(candidate.masks))]
    if len(candidates) > 1000 or any(len(candidate.masks) > 1000 for candidate in candidates):
        places.sort(key=lambda place: f"{place[0]:03d}_{place[1]:03d}.png")
    return iter(places)
