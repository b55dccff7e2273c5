"""Turn one sample's results into compact JSON data, which the report's scripts draw.

What is large is made small: images are scaled down to what a screen shows, masks are kept once each as COCO RLE at
a display size, relevance maps as one byte a cell of their own grid. All figures are measured before, at full size.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_pictures.drawing import data_uri, fitted, mask_at
from pixcore_pictures.heat import scaled

from pixcore import masks
from pixcore.errors import PixcoreError
from pixcore.figures.scores import candidate_ious
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.masks import RLE
from pixcore.records import (
    Candidate,
    Image,
    PointPrompt,
    ProtocolResult,
    Response,
    Sample,
    SampleResult,
    Selection,
    Token,
    TokenGroup,
)
from pixcore_report.page import plain


@dataclass(frozen=True)
class Display:
    """How large things are kept; all in pixels or cells.

    Attributes:
        image: The longer side of an image.
        mask: The longer side of a mask.
        map: The longer side of a relevance map that does not lie on one small grid of its own.
        candidates: Whether every candidate is kept, or only the chosen masks.
        particulars: Whether tokens, and the candidates of controls, are kept as well.
    """

    image: int = 640
    mask: int = 256
    map: int = 36
    candidates: bool = True
    particulars: bool = False


def sample_payload(
    result: SampleResult,
    *,
    controls: Mapping[str, str] | None = None,
    display: Display | None = None,
) -> dict[str, Any]:
    """Collect everything that a sample's card shows.

    Args:
        result: The sample under all its protocols.
        controls: For rows of controls the name of the one whose candidates their selections refer to.
        display: How large things are kept.

    Returns:
        JSON data; `templates/card.js` reads it.
    """
    display = display or Display()
    sample = result.sample
    data = _sample_data(result, display)
    size = (data["width"], data["height"])
    pool = _MaskPool(size, display.mask)
    data["truth"] = None if sample.mask is None or sample.absent else pool.add(sample.mask)
    data["protocols"] = {
        str(protocol): _protocol_data(one, sample, pool, size, controls or {}, display)
        for protocol, one in result.by_probing.items()
    }
    data["mask_size"], data["masks"] = pool.shape, pool.counts
    return data


def sample_index(result: SampleResult, strategies: Sequence[str]) -> dict[str, Any]:
    """Collect what filters, sorting and the search read of a sample without opening its card."""
    sample = result.sample
    texts: list[str] = [sample.id, sample.question or "", sample.expression or "", sample.pair or "", *sample.options]
    texts += sample.categories.values()
    states = {}
    for protocol, one in result.by_probing.items():
        texts += [one.error or "", one.response.text if one.response else ""]
        texts += [candidate.group.phrase for candidate in one.candidates if candidate.group and not one.response]
        states[str(protocol)] = {
            "answer": answer_state(one),
            "failed": has_failed(one),
            "iou": [None if name not in one.scores else one.scores[name].iou for name in strategies],
        }
    return {
        "id": sample.id,
        "pair": sample.pair,
        "categories": dict(sample.categories),
        "absent": sample.absent,
        "text": "\n".join(text for text in texts if text),
        "protocols": states,
    }


def has_failed(result: ProtocolResult) -> bool:
    """Say whether anything failed: the answer, its candidates, a strategy, the judge."""
    judge = result.verdict is not None and result.verdict.error is not None
    return result.error is not None or judge or any(one.outcome == "failed" for one in result.selections.values())


def answer_state(result: ProtocolResult) -> str | None:
    """Say whether the answer was "right", "wrong" or "undecided" (counts as wrong); None where none was asked."""
    if result.verdict is not None:
        return {True: "right", False: "wrong", None: "undecided"}[result.verdict.correct]
    for score in result.scores.values():
        if score.correct is not None:
            return "right" if score.correct else "wrong"
    return None


def text_pieces(text: str, tokens: Sequence[Token], groups: Sequence[TokenGroup | None]) -> list[tuple[str, list[int]]]:
    """Cut a response's text into its tokens, each with the candidates that it belongs to.

    Spans may overlap or run backwards, as they do under `published`; a character belongs to the last token that
    claims it. Where a group names no tokens (predictions made elsewhere) its span of characters decides.

    Returns:
        Pieces of text that together are the whole text, with indices into `groups`.
    """
    owner: list[int] = [-1] * len(text)
    for index, token in enumerate(tokens):
        for place in range(max(token.start, 0), min(token.end, len(text))):
            owner[place] = index
    by_token: dict[int, list[int]] = {}
    spans: list[tuple[int, TokenGroup]] = []
    for index, group in enumerate(groups):
        if group is None:
            continue
        known = [number for number in group.tokens if 0 <= number < len(tokens)]
        for number in known:
            by_token.setdefault(number, []).append(index)
        if not known and group.start < group.end:
            spans.append((index, group))
    edges = {0, *(edge for _, group in spans for edge in (group.start, group.end))}
    cuts = [place for place in range(len(text)) if place in edges or owner[place] != owner[place - 1]]
    return [
        (text[start:end], by_token.get(owner[start], []) + [i for i, one in spans if one.start <= start < one.end])
        for start, end in pairwise([*cuts, len(text)])
    ]


def quantise(values: NDArray[np.float32]) -> str:
    """Write relevance as one byte a cell between its own smallest and largest value, in base64."""
    finite = np.where(np.isfinite(values), values, 0.0).astype(np.float64)
    low, high = float(finite.min()), float(finite.max())
    scaled = (finite - low) / (high - low) if high > low else np.zeros_like(finite)
    return base64.b64encode(np.round(scaled * 255).astype(np.uint8).tobytes()).decode()


def image_uri(image: Image, longest: int) -> str:
    """Turn an image into a data URI, no side longer than `longest` pixels."""
    pixels = image.pil()
    pixels = pixels.resize(fitted(pixels.size, longest), PILImage.Resampling.LANCZOS)
    return data_uri(pixels, "webp", quality=82, method=1)  # a slower search saves a hundredth


def _sample_data(result: SampleResult, display: Display) -> dict[str, Any]:
    sample, trouble = result.sample, None
    try:
        image: str | None = image_uri(sample.image, display.image)
        width, height = sample.image.size
    except PixcoreError as error:
        image, trouble = None, error.message
        width, height = next((masks.size_of(rle) for rle in _all_masks(result)), (1, 1))
    return {
        "id": sample.id,
        "image": image,
        "image_error": trouble,
        "width": width,
        "height": height,
        "question": sample.question,
        "options": list(sample.options),
        "answer": sample.answer,
        "expression": sample.expression,
        "absent": sample.absent,
        "pair": sample.pair,
        "categories": dict(sample.categories),
        "extra": plain(sample.extra),
    }


def _all_masks(result: SampleResult) -> Iterator[RLE]:
    """Give all masks that a sample has, each as large as its image: its own, and those that were found."""
    if result.sample.mask is not None:
        yield result.sample.mask
    for one in result.by_probing.values():
        for candidate in (*one.candidates, *_own_candidates(one.response)):
            yield from candidate.masks


def _protocol_data(
    result: ProtocolResult,
    sample: Sample,
    pool: _MaskPool,
    size: tuple[int, int],
    controls: Mapping[str, str],
    display: Display,
) -> dict[str, Any]:
    response = result.response
    candidates = result.candidates or _own_candidates(response)
    kept = candidates if display.candidates else ()
    ious: Sequence[NDArray[np.float64]] | None = result.ious
    if ious is None and sample.mask is not None:
        ious = candidate_ious(sample, candidates)
    maps = ShownMaps.of_response(response, size, display.map) if kept else None
    verdict = result.verdict
    data = {
        "prompt": result.prompt,
        "error": result.error,
        "notice": str(response.extra.get("notice", "")) if response else "",
        "answer": answer_state(result),
        "verdict": None if verdict is None else verdict.error or verdict.reason,
        "pieces": text_pieces(response.text, response.tokens, [c.group for c in kept]) if response else None,
        "grid": None if maps is None else [maps.grid.rows, maps.grid.cols, *maps.grid.box],
        "candidates": [
            _candidate_data(candidate, index, pool, None if ious is None else ious[index])
            | {"map": maps.of(candidate.map) if maps and candidate.map is not None else None}
            for index, candidate in enumerate(kept)
        ],
        "picks": _picks(result, sample, candidates, pool, controls),
    }
    return data | (_particulars(result, sample, pool, kept) if display.particulars else {})


def _candidate_data(
    candidate: Candidate, index: int, pool: _MaskPool, ious: NDArray[np.float64] | None
) -> dict[str, Any]:
    return {
        "phrase": _phrase(candidate, index),
        "merged": list(candidate.merged),
        "point": _point_data(candidate.point),
        "masks": [pool.add(rle) for rle in candidate.masks],
        "scores": [round(score, 4) for score in candidate.scores],
        "ious": None if ious is None else np.round(ious, 4).tolist(),
        "similarity": None if candidate.similarity is None else round(candidate.similarity, 4),
    }


def _particulars(
    result: ProtocolResult, sample: Sample, pool: _MaskPool, candidates: Sequence[Candidate]
) -> dict[str, Any]:
    response, controls = result.response, {}
    for name, drawn in result.controls.items():
        ious = candidate_ious(sample, drawn) if sample.mask is not None else [None] * len(drawn)
        controls[name] = [
            _candidate_data(one, at, pool, own) for at, (one, own) in enumerate(zip(drawn, ious, strict=True))
        ]
    return {
        "text": response.text if response is not None else None,
        "tokens": [response.text[one.start : one.end] for one in response.tokens] if response is not None else [],
        "groups": [list(one.group.tokens) if one.group is not None else [] for one in candidates],
        "controls": controls,
    }


def _picks(
    result: ProtocolResult,
    sample: Sample,
    candidates: Sequence[Candidate],
    pool: _MaskPool,
    controls: Mapping[str, str],
) -> dict[str, Any]:
    picks: dict[str, Any] = {}
    for name, selection in result.selections.items():
        control = controls.get(name)
        score = result.scores.get(name)
        picks[name] = {
            "outcome": selection.outcome,
            "candidate": None if control is not None else selection.candidate,
            "mask": None,
            "iou": None if score is None else score.iou,
            "reason": selection.reason,
            "score": None if selection.score is None else round(selection.score, 4),
            "details": plain(selection.details),
        } | _chosen(selection, candidates if control is None else result.pool(control), pool)
    response = result.response
    for name, score in result.scores.items():
        if name not in picks and response is not None and response.mask is not None:
            drawn = masks.area(response.mask) > 0
            picks[name] = {
                "outcome": "chosen" if drawn else "nothing",
                "candidate": None,
                "mask": pool.add(response.mask) if drawn else None,
                "phrase": "the model's own mask",
                "point": None,
                "iou": score.iou,
                "reason": "" if drawn else "the model segmented nothing",
                "score": None,
                "details": {},
            }
    return picks


def _chosen(selection: Selection, candidates: Sequence[Candidate], pool: _MaskPool) -> dict[str, Any]:
    index, mask = selection.candidate, selection.mask
    if selection.outcome != "chosen" or index is None or mask is None or not 0 <= index < len(candidates):
        return {}
    candidate = candidates[index]
    if not 0 <= mask < len(candidate.masks):
        return {}
    return {
        "mask": pool.add(candidate.masks[mask]),
        "phrase": _phrase(candidate, index),
        "point": _point_data(candidate.point),
    }


def _own_candidates(response: Response | None) -> tuple[Candidate, ...]:
    """The masks that a pixel-level MLLM gave with its text, as candidates to look at."""
    if response is None:
        return ()
    found = []
    for index, rle in enumerate(response.masks):
        group = None
        if index < len(response.mask_spans):
            start, end = response.mask_spans[index]
            group = TokenGroup((), response.text[start:end], start, end)
        found.append(Candidate(group, None, (rle,), ()))
    return tuple(found)


def _phrase(candidate: Candidate, index: int) -> str:
    if candidate.group is not None and candidate.group.phrase.strip():
        return candidate.group.phrase
    return f"candidate {index + 1}"


def _point_data(prompt: PointPrompt | None) -> dict[str, Any] | None:
    if prompt is None:
        return None
    points = [
        [round(float(x), 2), round(float(y), 2), int(label)]
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True)
    ]
    return {"at": points, "box": None if prompt.box is None else [round(float(v), 2) for v in prompt.box]}


@dataclass
class _MaskPool:
    """The masks of one sample, each kept once, scaled down to `longest` pixels for display."""

    size: tuple[int, int]
    longest: int
    counts: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(width, height) at which masks are kept."""
        return fitted(self.size, self.longest)

    def add(self, rle: RLE) -> int:
        """Index of a mask in `counts`."""
        key = rle["counts"]
        if key not in self._places:
            self._places[key] = len(self.counts)
            self.counts.append(self._scaled(rle)["counts"])
        return self._places[key]

    def _scaled(self, rle: RLE) -> RLE:
        if masks.size_of(rle) == self.shape:
            return rle
        return masks.encode(mask_at(rle, self.shape))


@dataclass
class ShownMaps:
    """How a response's maps are shown: on one grid that is small enough to embed.

    Attributes:
        layout: Where visual tokens lie, in pixels of the image, or of the grid where maps are `resampled`.
        grid: Where the shown cells lie in the image.
        resampled: Whether the grid is none of the layout's own.
    """

    layout: VisualLayout
    grid: VisualGrid
    resampled: bool

    @classmethod
    def of_response(cls, response: Response | None, size: tuple[int, int], longest: int) -> ShownMaps | None:
        """Choose how to show a response's maps; None where it has none."""
        if response is None or response.layout is None:
            return None
        layout = response.layout
        if len(layout.grids) == 1 and layout.grids[0].cells <= longest**2:
            return cls(layout, layout.grids[0], resampled=False)
        # several tiles, or one large grid: what they show of the image, on one grid over the image
        cols, rows = fitted(size, longest)
        small = scaled(layout, cols / size[0], rows / size[1])
        return cls(small, VisualGrid.stretched(rows, cols, size), resampled=True)

    def values(self, relevance: NDArray[np.floating]) -> NDArray[np.float32]:
        """Lay one value for each visual token on the grid: (rows, cols)."""
        if self.resampled:
            return self.layout.to_image(relevance, (self.grid.cols, self.grid.rows))
        return self.layout.cell_values(relevance)[0]

    def of(self, relevance: NDArray[np.floating]) -> str:
        """Write a map as `quantise` does."""
        return quantise(self.values(relevance))

    def packed(self, relevance: NDArray[np.floating]) -> list[Any]:
        """Give a map's least and largest value, and its cells between them as `quantise` writes them."""
        values = self.values(relevance)
        finite = np.where(np.isfinite(values), values, 0.0)
        return [float(finite.min()), float(finite.max()), quantise(finite)]
