"""A run as four tables: its samples, its rows' choices, its candidates and its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_notebook.grounding import candidate_lines
from pixcore_notebook.runs import SampleView

from pixcore.figures.rows import RowSpec
from pixcore.records import ProtocolResult, Response, SampleResult

Line = Mapping[str, Any]

_NAMED = ("sample_id", "probing")
TABLES = {
    "samples": (*_NAMED,),
    "choices": (
        *(*_NAMED, "row", "control_of", "pool", "outcome", "candidate", "mask", "reason", "score"),
        *("iou", "best_iou", "predicted_area", "error"),
    ),
    "candidates": (
        *(*_NAMED, "pool", "candidate", "phrase", "x", "y", "mask", "pixels", "score", "iou", "chosen_by"),
        *("height", "width", "counts"),
    ),
    "tokens": (*_NAMED, "token", "id", "text", "start", "end", "candidates", "peak", "peak_x", "peak_y"),
}
"""The tables with the columns that are there whatever a run holds."""


def lines_of(result: SampleResult, rows: Sequence[RowSpec]) -> Iterator[tuple[str, Line]]:
    """Give what a sample adds to each table, as the table's name and a line."""
    for line in SampleView(result, rows).lines():
        yield "samples", line
    for name, one in result.by_probing.items():
        named = {"sample_id": result.sample.id, "probing": str(name)}
        for table, lines in (("choices", _choices(one, rows)), ("candidates", _candidates(one, rows))):
            yield from ((table, {**named, **line}) for line in lines)
        if one.response is not None:
            yield from (("tokens", {**named, **line}) for line in _tokens(one, one.response))


def _choices(one: ProtocolResult, rows: Sequence[RowSpec]) -> Iterator[Line]:
    for row in rows:
        selection, score = one.selections.get(row.key), one.scores.get(row.key)
        if selection is None and score is None:
            continue
        line: dict[str, Any] = {"row": row.key, "control_of": row.control_of, "pool": row.pool}
        if selection is not None:
            line |= {"outcome": selection.outcome, "candidate": selection.candidate, "mask": selection.mask}
            line |= {"reason": selection.reason, "score": selection.score}
        if score is not None:
            line |= {"iou": score.iou, "best_iou": score.best_iou, "predicted_area": score.predicted_area}
        yield line | {"error": one.error}


def _candidates(one: ProtocolResult, rows: Sequence[RowSpec]) -> Iterator[Line]:
    """The run's own candidates, then those of each control, as the notebook tells of them, with their masks."""
    for pool in (None, *one.controls):
        choices = {row.key: one.selections[row.key] for row in rows if row.pool == pool and row.key in one.selections}
        places = {key: (choice.candidate, choice.mask) for key, choice in choices.items()}
        candidates = one.pool(pool)
        ious = one.ious if pool is None else one.control_ious.get(pool)
        rles = (mask for candidate in candidates for mask in candidate.masks)
        for line, rle in zip(candidate_lines(candidates, places, ious), rles, strict=True):
            height, width = rle["size"]
            yield {**line, "pool": pool, "height": height, "width": width, "counts": rle["counts"]}


def _tokens(one: ProtocolResult, response: Response) -> Iterator[Line]:
    owners: dict[int, list[str]] = {}
    for number, candidate in enumerate(one.candidates):
        for place in candidate.group.tokens if candidate.group is not None else ():
            owners.setdefault(place, []).append(str(number))
    for number, token in enumerate(response.tokens):
        line = {"token": number, "id": token.id, "text": token.text, "start": token.start, "end": token.end}
        peak = _peak(response, response.maps[number]) if response.maps is not None else {}
        yield {**line, "candidates": ", ".join(owners.get(number, ())), **peak}


def _peak(response: Response, values: NDArray[np.float32]) -> dict[str, float]:
    """The largest value of a token's map, and the middle of its cell in the image, if it lies there."""
    if not values.size or response.layout is None:
        return {}
    place = int(np.argmax(values))
    box = response.layout.cell_box(place)
    where = {"peak_x": (box[0] + box[2]) / 2, "peak_y": (box[1] + box[3]) / 2} if box is not None else {}
    return {"peak": float(values[place]), **where}
