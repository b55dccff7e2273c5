"""Hold a model adapter to its contract: text, tokens, masks, attention as it is computed, geometry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pixcore_datasets import run_lengths

from pixcore.components import AttentionExtractor, Capability, ModelAdapter, ModelConfig, Needs, NoConfig
from pixcore.errors import DataError, ModelError, PixcoreError
from pixcore.geometry import VisualLayout
from pixcore.masks import iou
from pixcore.records import Image, Request, Response, Token
from pixcore.stages import serialise
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report, described, page_of
from pixcore_testing.geometry import check_geometry
from pixcore_testing.verification import MASK_AGREEMENT

Embeddings = Callable[[Image], NDArray[np.floating[Any]] | None]
"""What the visual embeddings of an image should be, computed without the adapter; None where nobody knows."""

_BEYOND = 4096  # no decoder has such a layer
_STILL = "a batch changes no sample's text"


class Recorder(AttentionExtractor[NoConfig]):
    """An extractor that keeps the mean map and reports every call that breaks the contract.

    Args:
        report: Where to.
        needs: What it asks for.

    Attributes:
        given: All maps that it gave.
    """

    def __init__(self, report: Report, needs: Needs | None = None) -> None:
        super().__init__(NoConfig())
        self.report = report
        self._needs = needs or Needs()
        self._expected = (0, 0, 0)
        self._layers = 0
        self._seen: list[int] = []
        self._step: list[NDArray[np.float32]] = []
        self._steps: list[NDArray[np.float32]] = []
        self._complained = False
        self.given: list[NDArray[np.float32]] = []

    @property
    def needs(self) -> Needs:
        """What it was made with."""
        return self._needs

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch."""
        self._expected, self._layers = (batch, heads, cells), layers
        self._seen, self._step, self._steps = [], [], []
        for name, given, wanted in (("heads", heads, self._needs.heads), ("layers", layers, self._needs.layers)):
            right = wanted is None or given == len(wanted)
            self._hold(right, f"begin({name}) is as many as needs.{name}", f"{given} for {len(wanted or ())} asked")

    def observe(self, layer: int, rows: Any) -> None:
        """Check one layer's rows."""
        self._hold("float32" in str(rows.dtype), "attention rows are float32", f"{rows.dtype} in layer {layer}")
        own = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, dtype=np.float32)
        promise = "attention rows are (batch, heads, visual tokens) as begin() said"
        if self._hold(own.shape == self._expected, promise, f"{own.shape} after {self._expected}"):
            held = bool(np.all(own >= 0) and np.all(own.sum(axis=2) <= 1.001))
            promise = "attention rows are a softmax over all keys, cut to the visual tokens"
            self._hold(held, promise, f"values from {own.min():.3g}, with sums up to {own.sum(axis=2).max():.3g}")
            self._step.append(own.mean(axis=1))
        ascending = not self._seen or layer > self._seen[-1]
        self._hold(ascending, "layers are observed in ascending order", f"{layer} after {self._seen[-1:]}")
        self._seen.append(layer)

    def end_step(self) -> None:
        """Check that all layers were seen."""
        whole = len(self._seen) == self._layers
        self._hold(whole, "a step shows as many layers as begin() said", f"{len(self._seen)} of {self._layers}")
        if self._step:
            self._steps.append(np.mean(self._step, axis=0))
        self._seen, self._step = [], []

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Give the mean over heads and layers."""
        batch, _, cells = self._expected
        self._hold(not self._seen, "end_step() ends every step before maps()", "maps() in the middle of a step")
        found = [np.zeros((0, cells), np.float32) for _ in range(batch)]
        if self._steps:
            found = list(np.stack(self._steps, axis=1))
        self.given += found
        return found

    def _hold(self, holds: bool, promise: str, seen: str) -> bool:
        if not holds and not self._complained:  # what follows from the first one is not told
            self._complained = True
            self.report.expect(False, promise, seen)
        return holds


def check_model_adapter(
    adapter: ModelAdapter[Any],
    *,
    geometry: bool = True,
    embeddings: Embeddings | None = None,
    asks: bool = False,
) -> list[Finding]:
    """Hold an adapter to `pixcore.components.ModelAdapter`.

    Args:
        adapter: One that can answer here and now, whatever nonsense it says: tiny random weights will do.
        geometry: Whether to run `check_geometry` too, which asks for some hundred embeddings.
        embeddings: (visual tokens, width) of an image by other code, such as the model's own processor: without them
            nobody can tell that red and blue are swapped.
        asks: Ask the service that it asks, which may cost.
    """
    report = Report(page_of("model"))
    with report.step("config"):
        report.instance(adapter.config, "an adapter's config", ModelConfig)
    if getattr(adapter.config, "asks_service", False) and not asks:
        report.note("answering asks a service and was not tried (--ask tries it)")
        return report.findings
    with report.step("capabilities"):
        allowed = set(get_args(Capability))
        given = adapter.capabilities
        right = isinstance(given, frozenset) and bool(given) and given <= allowed
        report.expect(right, f"capabilities are a frozenset out of {sorted(allowed)}", described(given))
    requests = [inputs.request(inputs.WIDE), inputs.request(inputs.TALL, "What is it?", seed=1)]
    plain: list[Response] = []
    with report.step("answer"):
        plain = _answered(report, adapter, requests)
        for asked, given_response in zip(requests, plain, strict=False):
            if not _check_response(report, adapter, asked, given_response):
                break
    if not report.broken:
        _check_steadiness(report, adapter, requests, plain)
    if not report.broken and not getattr(adapter.config, "by_sample", False):
        _check_memory(report, adapter, requests[0])
    if not report.broken:
        _check_probability(report, adapter, requests[0])
    if not report.broken and "attention" in adapter.capabilities:
        _check_attention(report, adapter, requests, plain)
    if not report.broken and embeddings is not None:
        with report.step("visual embeddings"):
            _check_embeddings(report, adapter, requests[0].image, embeddings)
    if not report.broken and geometry and "attention" in adapter.capabilities:
        with report.step("geometry"):
            for finding in check_geometry(adapter):
                report.add(finding)
    return report.findings


def _check_steadiness(
    report: Report, adapter: ModelAdapter[Any], requests: Sequence[Request], plain: Sequence[Response]
) -> None:
    with report.step("answer, again"):
        again = _answered(report, adapter, requests)
        promise = "the same request with the same seed gets the same text every time"
        said = _first_other(_texts(again), _texts(plain))
        if not report.expect(_texts(again) == _texts(plain), promise, said):
            return
        promise = "the same request with the same seed gets the same masks every time"
        if not report.expect(_same_masks(again, plain), promise, "other masks the second time"):
            return
    with report.step("answer, one by one"):
        alone = [response for asked in requests for response in adapter.answer([asked])]
        said = _first_other(_texts(alone), _texts(plain))
        if report.expect(_texts(alone) == _texts(plain), _STILL, said):
            report.expect(_same_masks(alone, plain), "a batch changes no sample's masks", "other masks alone")


def _same_masks(found: Sequence[Response], expected: Sequence[Response]) -> bool:
    """Whether responses have the same masks, but for pixels that other kernels round otherwise."""
    for one, other in zip(found, expected, strict=True):
        if (one.mask is None) != (other.mask is None) or len(one.masks) != len(other.masks):
            return False
        pairs = [*zip(one.masks, other.masks, strict=True)]
        pairs += [(one.mask, other.mask)] if one.mask is not None and other.mask is not None else []
        if any(iou([mine], [yours])[0, 0] < MASK_AGREEMENT for mine, yours in pairs):
            return False
    return True


def _check_memory(report: Report, adapter: ModelAdapter[Any], asked: Request) -> None:
    """Another picture under the name of one before it, which no memory may mistake for that one."""
    pixels = np.ascontiguousarray(asked.image.pixels()[::-1, ::-1])
    with report.step("answer, another image of the same name"):
        after = adapter.answer([replace(asked, image=Image.from_pixels(pixels, name=asked.image.name))])
        fresh = adapter.answer([replace(asked, image=Image.from_pixels(pixels, name="under another name"))])
        same = _texts(after) == _texts(fresh) and _same_masks(after, fresh)
        promise = "an image is known by its content (image.digest)"
        report.expect(same, promise, "what it makes of an image before it of the same name")


def _check_probability(report: Report, adapter: ModelAdapter[Any], asked: Request) -> None:
    with report.step("probability"):
        try:
            found = adapter.probability(asked.image, asked.prompt, ("Yes", "No"))
        except (NotImplementedError, PixcoreError):
            return  # an adapter may have none, and say so
        if report.array(found, "what probability gives", (2,), np.float64, "continuations"):
            within = bool(np.all(found >= 0) and np.all(found <= 1 + 1e-9))
            report.expect(within, "probabilities lie from 0 to 1", str(found.tolist()))


def _first_other(found: Sequence[str], expected: Sequence[str]) -> str:
    pairs = [(one, other) for one, other in zip(found, expected, strict=False) if one != other]
    if not pairs:
        return f"{len(found)} texts in place of {len(expected)}"
    shared = next((place for place, (one, other) in enumerate(zip(*pairs[0], strict=False)) if one != other), 0)
    start = max((shared or min(map(len, pairs[0]))) - 20, 0)
    one, other = (text[start : start + 50] for text in pairs[0])
    return f"{one!r} in place of {other!r}"


def _answered(
    report: Report, adapter: ModelAdapter[Any], requests: Sequence[Request], *extractor: Any
) -> list[Response]:
    responses = adapter.answer(requests, *extractor)
    if not report.instance(responses, "what answer gives", list):
        return []
    counted = f"{len(responses)} for {len(requests)} requests"
    report.expect(len(responses) == len(requests), "answer gives one response a request", counted)
    return [response for response in responses if report.instance(response, "a response", Response)]


def _texts(responses: Sequence[Response]) -> list[str]:
    return [response.text for response in responses]


def _check_response(report: Report, adapter: ModelAdapter[Any], asked: Request, response: Response) -> bool:
    """Whether a response holds; the first promise that it breaks is reported."""
    return (
        report.instance(response.text, "a response's text", str)
        and _check_tokens(report, response.text, response.tokens, exact=not adapter.context.published)
        and _check_masks(report, adapter, asked, response)
        and report.json(dict(response.extra), "a response's extra")
        and _check_kept(report, response)
    )


def _check_kept(report: Report, response: Response) -> bool:
    kept = serialise.response_from_entry(serialise.response_to_entry(response))
    same = (kept.text, kept.tokens) == (response.text, response.tokens)
    return report.expect(same, "a response is the same after it was stored", "another text or other tokens")


def _check_masks(report: Report, adapter: ModelAdapter[Any], asked: Request, response: Response) -> bool:
    if "masks" not in adapter.capabilities:
        promise = "only an adapter whose capabilities have 'masks' gives a mask"
        return report.expect(response.mask is None, promise, "a mask")
    promise = "a response of a model with masks has one, an empty one too"
    if not report.expect(response.mask is not None, promise, "None"):
        return False
    for mask in (response.mask, *response.masks):
        try:
            run_lengths.parse(mask, where="mask", size=asked.image.size)
        except DataError as error:
            return report.expect(False, "a mask is COCO RLE at the image's own size", str(error))
    spans = response.mask_spans
    counted = f"{len(spans)} for {len(response.masks)} masks"
    inside = all(0 <= start <= end <= len(response.text) for start, end in spans)
    outside = f"{spans} in a text of {len(response.text)} characters"
    return report.expect(
        len(spans) in (0, len(response.masks)), "mask_spans has one span a mask, or none", counted
    ) and report.expect(inside, "mask_spans lie in the text", outside)


def _check_tokens(report: Report, text: str, tokens: tuple[Token, ...], *, exact: bool) -> bool:
    """Whether tokens hold; the first promise that they break is reported."""
    if not report.instance(tokens, "a response's tokens", tuple):
        return False
    odd = [token for token in tokens if not isinstance(token, Token)]
    if not report.expect(not odd, "a response's tokens are Token alone", described(odd[:1])):
        return False
    if not exact:
        return True  # the published prefix rule gives spans that may cross
    promise = "a token's text is what stands from its start to its end in the response's text"
    for index, token in enumerate(tokens):
        inside = 0 <= token.start <= token.end <= len(text)
        there = text[token.start : token.end] if inside else "nothing"
        seen = f"token {index} {token.text!r} at {token.start} to {token.end}, where {there!r} stands"
        if not report.expect(inside and there == token.text, promise, seen):
            return False
    ordered = all(one.end <= other.start for one, other in pairwise(tokens))
    if not report.expect(ordered, "tokens follow each other in the text", "tokens that cross"):
        return False
    joined = "".join(token.text for token in tokens)
    seen = f"{joined[:40]!r} of {text[:40]!r}"
    return report.expect(not tokens or joined == text, "the tokens' texts join to the response's text", seen)


def _check_attention(
    report: Report, adapter: ModelAdapter[Any], requests: Sequence[Request], plain: Sequence[Response]
) -> None:
    tapped: list[Response] = []
    recorder = Recorder(report)
    with report.step("attention"):
        tapped = _answered(report, adapter, requests, recorder)
        other = _first_other(_texts(tapped), _texts(plain))
        report.expect(_texts(tapped) == _texts(plain), "reading attention does not change the text", other)
        if report.broken:
            return
        for asked, response in zip(requests, tapped, strict=False):
            if not _check_maps(report, adapter, asked, response):
                return
    if report.broken:
        return
    with report.step("attention"):
        if len(recorder.given) == len(tapped):  # a worker's extractor looks on in another process
            for response, given in zip(tapped, recorder.given, strict=True):
                _check_cut(report, response, given)
    with report.step("attention, one by one"):
        for asked, together in zip(requests, tapped, strict=False):
            (alone,) = _answered(report, adapter, [asked], Recorder(report))
            assert alone.maps is not None
            assert together.maps is not None
            close = alone.maps.shape == together.maps.shape and np.allclose(
                alone.maps, together.maps, atol=1e-2 * float(np.abs(alone.maps).max(initial=0.0))
            )
            report.expect(close, "a batch changes no sample's maps", "other maps alone")
    with report.step("attention, one layer and head"):
        _answered(report, adapter, requests[:1], Recorder(report, Needs(layers=(-1,), heads=(0,))))
    if report.broken:
        return
    with report.step("attention, a layer that is not there"), contextlib.suppress(PixcoreError):
        adapter.answer(requests[:1], Recorder(Report(), Needs(layers=(_BEYOND,))))
        promise = "a layer that the model does not have is refused with a ModelError"
        report.expect(False, promise, f"an answer for layer {_BEYOND}, with the maps of another")
    if not report.broken:
        _check_reference(report, adapter, requests[0])


def _check_maps(report: Report, adapter: ModelAdapter[Any], asked: Request, response: Response) -> bool:
    if not report.instance(response.layout, "the layout of a response with an extractor", VisualLayout):
        return False
    assert response.layout is not None
    shape = (len(response.tokens), response.layout.tokens)
    if not report.array(response.maps, "a response's maps", shape, np.float32, "tokens, visual tokens"):
        return False
    own = adapter.layout(asked.image)
    same = own.grids == response.layout.grids and np.array_equal(own.cell_of, response.layout.cell_of)
    return report.expect(same, "layout(image) is the layout of the image's response", "another one")


def _check_cut(report: Report, response: Response, given: NDArray[np.float32]) -> None:
    assert response.maps is not None
    steps, cells = response.maps.shape
    if report.expect(len(given) >= steps, "every token has a decoding step", f"{len(given)} steps, {steps} tokens"):
        promise = "row i of a response's maps is what the extractor's maps() say of token i"
        same = np.allclose(response.maps, given[:steps, :cells], rtol=1e-4, atol=1e-7)
        beside = {"before": response.maps[1:], "after": response.maps[:-1]}
        own = {"before": given[: steps - 1, :cells], "after": given[1:steps, :cells]}
        moved = [which for which in beside if steps > 2 and np.allclose(beside[which], own[which], rtol=1e-4)]
        report.expect(same, promise, f"the row of the token {moved[0]} it" if moved else "other values")


def _check_reference(report: Report, adapter: ModelAdapter[Any], asked: Request) -> None:
    with report.step("attention, a reference prompt"):
        try:
            (response,) = adapter.answer([asked], Recorder(report, Needs(reference_prompt="Describe the image.")))
        except ModelError:
            return  # an adapter may say that it has none, or give none
        if response.reference is not None:
            cells = adapter.layout(asked.image).tokens
            report.array(response.reference, "a response's reference", (cells,), np.float32, "visual tokens")


def _check_embeddings(report: Report, adapter: ModelAdapter[Any], image: Image, expected: Embeddings) -> None:
    promise = "visual_embeddings(image) is what the model's own code sees of the image"
    right = expected(image)
    if right is None:
        return
    given = adapter.visual_embeddings(image)
    if given.shape != right.shape:
        report.expect(False, promise, f"the shape {given.shape} in place of {right.shape}")
        return
    spread = 1e-2 * float(np.abs(right).max(initial=0.0))
    swapped = Image.from_pixels(np.ascontiguousarray(image.pixels()[..., ::-1]), name="red and blue swapped")
    other = expected(swapped)
    bgr = other is not None and np.allclose(given, other, atol=spread)
    seen = "what it sees with red and blue swapped (BGR)" if bgr else "other values"
    report.expect(np.allclose(given, right, atol=spread), promise, seen)
