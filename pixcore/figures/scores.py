"""Scoring one sample: is the answer right, and how well does the chosen mask fit?

All IoUs come from run lengths (`pixcore.masks.iou`): no mask is decoded. A run's figures: `pixcore.figures.summary`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore.figures.rows import ANSWERS_ALONE, RowSpec
from pixcore.masks import RLE
from pixcore.records import Candidate, Fidelity, ProtocolResult, Sample, SampleResult, Score, Selection


def candidate_ious(sample: Sample, candidates: Sequence[Candidate]) -> list[NDArray[np.float64]]:
    """Measure all masks of all candidates against a sample's ground truth in one call.

    Returns:
        For each candidate the IoU of each of its masks, (m,) float64.

    Raises:
        DataError: A mask has another size than the ground truth.
        ValueError: The sample has no ground truth.
    """
    if sample.mask is None:
        raise ValueError(f"sample {sample.id} has no ground truth mask")
    return _ious(tuple(candidates), sample.mask["counts"], *sample.mask["size"])


@lru_cache(maxsize=4)  # once for a strategy that sees the truth, and for the score
def _ious(candidates: tuple[Candidate, ...], counts: str, height: int, width: int) -> list[NDArray[np.float64]]:
    values = masks.iou([mask for one in candidates for mask in one.masks], [RLE(size=[height, width], counts=counts)])
    values.flags.writeable = False
    ends = accumulate(len(one.masks) for one in candidates)
    return [values[end - len(one.masks) : end, 0] for one, end in zip(candidates, ends, strict=True)]


def measured(sample: Sample, result: ProtocolResult) -> ProtocolResult:
    """Measure a result's candidates, and those of its controls, against the ground truth, once for all that asks."""
    if sample.mask is None or result.error is not None:
        return result
    ious = tuple(candidate_ious(sample, result.candidates)) if result.candidates else None
    controls = {name: tuple(candidate_ious(sample, pool)) for name, pool in result.controls.items()}
    return replace(result, ious=ious, control_ious=controls)


def predicted_mask(sample: Sample, selection: Selection, candidates: Sequence[Candidate]) -> RLE | None:
    """Give the mask that a selection stands for: a candidate's, the empty one for "absent", None for neither."""
    if not selection.gives_mask:
        return None
    if selection.outcome == "absent":
        return masks.empty(masks.size_of(sample.mask) if sample.mask is not None else sample.image.size)
    if selection.candidate is None or selection.mask is None:
        raise ValueError(f"sample {sample.id}: a selection that chose names a candidate and a mask")
    return candidates[selection.candidate].masks[selection.mask]


def is_correct(sample: Sample, result: ProtocolResult) -> bool | None:
    """Say whether an answer counts as right.

    Returns:
        None where nobody grades the probing, or graded, or the sample has no answer; False where the sample failed or
        the judge could not tell.
    """
    if sample.answer is None or not result.graded:
        return None
    if result.error is not None:
        return False
    return None if result.verdict is None else bool(result.verdict.correct)


def score_result(
    sample: Sample, result: ProtocolResult, selection: Selection | None, *, control: str | None = None
) -> Score:
    """Score one sample under one protocol and one selection; an empty mask of what is absent is wholly right.

    Args:
        sample: The sample.
        result: What was said and found, `measured` or not.
        selection: What was chosen; None scores the response's own mask.
        control: Whose candidates it was chosen from, by the control's name; None: the result's own.

    Returns:
        The score; a failed sample has an IoU of 0 where there is a ground truth.
    """
    correct = is_correct(sample, result)
    if result.error is not None:
        iou = 0.0 if sample.mask is not None else None
        return Score(sample.id, result.protocol, correct, iou, iou, 0, result.error)
    chosen_from = result.pool(control)
    if sample.mask is None and selection is not None and selection.outcome == "absent":
        return Score(sample.id, result.protocol, correct, None, None, 0)  # an empty mask, of whatever size
    mask = _own_mask(result) if selection is None else predicted_mask(sample, selection, chosen_from)
    covered = masks.area(mask) if mask is not None else 0
    if sample.mask is None:
        return Score(sample.id, result.protocol, correct, None, None, covered)
    if selection is None:
        return Score(sample.id, result.protocol, correct, _against_truth(mask, sample.mask), None, covered)
    known = result.ious if control is None else result.control_ious.get(control)
    ious = candidate_ious(sample, chosen_from) if known is None else known
    if selection.outcome == "chosen":
        value = float(ious[selection.candidate or 0][selection.mask or 0])
    else:
        value = _against_truth(mask, sample.mask)
    # choosing nothing is open to an oracle too: where the object is absent it is the right choice
    best = float(np.max(np.concatenate([[float(sample.absent)], *ious])))
    return Score(sample.id, result.protocol, correct, value, best, covered)


def score_protocol(sample: Sample, result: ProtocolResult, rows: Iterable[RowSpec]) -> dict[str, Score]:
    """Score one sample under one protocol for every row that it has a selection or a mask for.

    A failed sample gets a score in every row of masks, so that it counts as a failure in every figure.
    """
    scores: dict[str, Score] = {}
    for row in rows:
        selection = result.selections.get(row.key)
        scored = result.error is not None or selection is not None or (row.own_masks and _own_mask(result) is not None)
        if scored and row.key != ANSWERS_ALONE:
            scores[row.key] = score_result(sample, result, selection, control=row.pool)
    return scores


def score_sample(sample: Sample, results: Mapping[str, ProtocolResult], rows: Sequence[RowSpec]) -> SampleResult:
    """Score one sample under all its protocols; the results come back `measured`, with their `scores`."""
    known = {protocol: measured(sample, result) for protocol, result in results.items()}
    scored = {protocol: replace(one, scores=score_protocol(sample, one, rows)) for protocol, one in known.items()}
    return SampleResult(sample, scored)


def grounded(sample: Sample, fidelity: Fidelity) -> bool:
    """Say whether a sample counts in the table's mIoU.

    It needs a ground truth and, but for the paper's first release, an expression. Under `corrected` its object must be
    there: whether a model notices that an object is absent is measured on its own, as precision and recall.
    """
    if sample.mask is None or (sample.expression is None and fidelity is not Fidelity.PAPER):
        return False
    return fidelity.released or not sample.absent


def _own_mask(result: ProtocolResult) -> RLE | None:
    return result.response.mask if result.response is not None else None


def _against_truth(mask: RLE | None, truth: RLE) -> float:
    return 0.0 if mask is None else float(masks.iou([mask], [truth])[0, 0])
