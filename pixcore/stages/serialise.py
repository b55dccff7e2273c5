"""Records as JSON and arrays, and back. No pickle: JSON text and NumPy's own format are all that is written.

Maps are kept as float16 with one float32 scale a token, so that a map keeps its relative precision (about 5e-4 of its
peak) however small the attention is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.geometry import Box, VisualGrid, VisualLayout
from pixcore.records import Candidate, PointPrompt, Response, Token, TokenGroup

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Entry:
    """One record as the store keeps it: JSON data and arrays.

    Attributes:
        body: JSON data.
        arrays: What would be clumsy as JSON.
    """

    body: Any
    arrays: Arrays = field(default_factory=dict)


def response_to_entry(response: Response) -> Entry:
    """Turn a response into an entry."""
    body: dict[str, Any] = {
        "text": response.text,
        "tokens": [[t.id, t.text, t.start, t.end] for t in response.tokens],
        "mask": response.mask,
        "masks": list(response.masks),
        "mask_spans": [list(span) for span in response.mask_spans],
        "extra": dict(response.extra),
    }
    arrays: Arrays = {}
    if response.maps is not None:
        arrays["maps"], arrays["scale"] = _shrink(response.maps)
    if response.reference is not None:
        arrays["reference"] = response.reference.astype(np.float32)
    if response.layout is not None:
        body["grids"] = [[grid.rows, grid.cols, list(grid.box)] for grid in response.layout.grids]
        arrays["grid_of"], arrays["cell_of"] = response.layout.grid_of, response.layout.cell_of
    return Entry(body, arrays)


def response_from_entry(entry: Entry) -> Response:
    """Make a response of its entry."""
    body, arrays = entry.body, entry.arrays
    layout = None
    if "grids" in body:
        grids = tuple((rows, cols, tuple(box)) for rows, cols, box in body["grids"])
        places = (arrays[name].astype(np.int32).tobytes() for name in ("grid_of", "cell_of"))
        layout = _layout(grids, *places)
    return Response(
        text=body["text"],
        tokens=tuple(Token(*token) for token in body["tokens"]),
        maps=_enlarge(arrays) if "maps" in arrays else None,
        layout=layout,
        reference=arrays.get("reference"),
        mask=body["mask"],
        masks=tuple(body["masks"]),
        mask_spans=tuple((start, end) for start, end in body["mask_spans"]),
        extra=body["extra"],
    )


@lru_cache(maxsize=16)
def _layout(grids: tuple[tuple[int, int, Box], ...], grid_of: bytes, cell_of: bytes) -> VisualLayout:
    """A layout, checked once for all the responses that have it: of a model with square inputs, every one."""
    places = np.frombuffer(grid_of, np.int32), np.frombuffer(cell_of, np.int32)
    return VisualLayout(tuple(VisualGrid(*grid) for grid in grids), *places)


def candidate_to_json(candidate: Candidate) -> dict[str, Any]:
    """Turn a candidate into the form that `predictions.jsonl` has, with what a reader elsewhere may ignore."""
    group, point = candidate.group, candidate.point
    return {
        **{name: getattr(group, name, None) for name in ("phrase", "start", "end", "root")},
        "tokens": list(group.tokens) if group else None,
        "similarity": candidate.similarity,
        "point": point_to_json(point) if point else None,
        "masks": list(candidate.masks),
        "scores": list(candidate.scores),
        "stability": list(candidate.stability),
        "merged": list(candidate.merged),
    }


def candidate_from_json(data: Mapping[str, Any], values: NDArray[np.float32] | None = None) -> Candidate:
    """Make a candidate of its JSON data, and of its map if there is one; missing keys have natural defaults."""
    group = None
    if data.get("phrase") is not None:
        group = TokenGroup(
            tokens=tuple(data.get("tokens") or ()),
            phrase=data["phrase"],
            start=int(data.get("start") or 0),
            end=int(data.get("end") or 0),
            root=data.get("root"),
        )
    return Candidate(
        group=group,
        point=_point_from_json(data["point"]) if data.get("point") else None,
        masks=tuple(data["masks"]),
        scores=tuple(map(float, data.get("scores") or ())),
        stability=tuple(map(float, data.get("stability") or ())),
        similarity=data.get("similarity"),
        merged=tuple(data.get("merged") or ()),
        map=values,
    )


def point_to_json(point: PointPrompt) -> Any:
    """A single positive point is [x, y], as in predictions made elsewhere; anything more is spelt out."""
    coordinates = [[float(x), float(y)] for x, y in point.points]
    also = [point_to_json(one) for one in point.also]
    more = {key: value for key, value in (("text", point.text), ("also", also)) if value}
    if point.box is None and len(coordinates) == 1 and point.labels[0] == 1 and not more:
        return coordinates[0]
    return more | {
        "points": coordinates,
        "labels": [int(label) for label in point.labels],
        "box": list(point.box) if point.box is not None else None,
    }


def _point_from_json(data: Any) -> PointPrompt:
    if not isinstance(data, Mapping):
        return PointPrompt.at((float(data[0]), float(data[1])))
    box = data.get("box")
    points = np.asarray(data["points"], np.float32).reshape(-1, 2)
    labels, also = np.asarray(data["labels"], np.int8), tuple(map(_point_from_json, data.get("also", ())))
    return PointPrompt(points, labels, tuple(box) if box is not None else None, data.get("text"), also)


def candidates_to_entry(candidates: Sequence[Candidate]) -> Entry:
    """Turn the candidates of one response into an entry; all have a map, or none has."""
    arrays: Arrays = {}
    if maps := [candidate.map for candidate in candidates if candidate.map is not None]:
        arrays["maps"], arrays["scale"] = _shrink(np.stack(maps))
    return Entry([candidate_to_json(candidate) for candidate in candidates], arrays)


def candidates_from_entry(entry: Entry) -> tuple[Candidate, ...]:
    """Make the candidates of their entry."""
    maps = _enlarge(entry.arrays) if "maps" in entry.arrays else [None] * len(entry.body)
    return tuple(candidate_from_json(data, values) for data, values in zip(entry.body, maps, strict=True))


def _shrink(maps: NDArray[np.float32]) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    peaks = np.abs(maps).max(axis=1) if maps.size else np.zeros(len(maps), np.float32)
    scale = np.where(peaks > 0, peaks, 1.0).astype(np.float32)
    return (maps / scale[:, None]).astype(np.float16), scale


def _enlarge(arrays: Arrays) -> NDArray[np.float32]:
    return np.asarray(arrays["maps"].astype(np.float32) * arrays["scale"][:, None])
