"""Hold a model adapter to its contract: text, tokens, masks, attention as it is computed, geometry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pixcore import masks
from pixcore.components import AttentionExtractor, Capability, ModelAdapter, ModelConfig, Needs, NoConfig
from pixcore.geometry import VisualLayout
from pixcore.records import Request, Response, Token
from pixcore.stages import serialise
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report
from pixcore_testing.geometry import check_geometry


class Recorder(AttentionExtractor[NoConfig]):
    """An extractor that keeps the mean map and reports every call that breaks the contract.

    Args:
        report: Where to.
        needs: What it asks for.
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

    @property
    def needs(self) -> Needs:
        """What it was made with."""
        return self._needs

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch."""
        self._expected, self._layers = (batch, heads, cells), layers
        self._seen, self._step, self._steps = [], [], []
        wanted = self._needs.heads
        self._hold(wanted is None or heads == len(wanted), f"begin(heads={heads}) for {len(wanted or ())} heads asked")
        wanted = self._needs.layers
        self._hold(wanted is None or layers == len(wanted), f"begin(layers={layers}) for {len(wanted or ())} asked")

    def observe(self, layer: int, rows: Any) -> None:
        """Check one layer's rows."""
        self._hold("float32" in str(rows.dtype), f"rows of layer {layer} are {rows.dtype}, not float32")
        own = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, dtype=np.float32)
        shape = f"rows of layer {layer} have the shape {own.shape}, begin() said {self._expected}"
        if self._hold(own.shape == self._expected, shape):
            held = bool(np.all(own >= 0) and np.all(own.sum(axis=2) <= 1.001))
            self._hold(held, f"rows of layer {layer} are no part of a softmax over all keys")
            self._step.append(own.mean(axis=1))
        self._hold(not self._seen or layer > self._seen[-1], f"layer {layer} is observed after {self._seen[-1:]}")
        self._seen.append(layer)

    def end_step(self) -> None:
        """Check that all layers were seen."""
        self._hold(
            len(self._seen) == self._layers, f"a step shows {len(self._seen)} layers, begin() said {self._layers}"
        )
        if self._step:
            self._steps.append(np.mean(self._step, axis=0))
        self._seen, self._step = [], []

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """The mean over heads and layers."""
        batch, _, cells = self._expected
        self._hold(not self._seen, "maps() is called in the middle of a step")
        if not self._steps:
            return [np.zeros((0, cells), np.float32) for _ in range(batch)]
        return list(np.stack(self._steps, axis=1))

    def _hold(self, holds: bool, message: str) -> bool:
        if not holds and not self._complained:  # the first one says it; the rest would repeat it for each step
            self._complained = True
            self.report.expect(False, message)
        return holds


def check_model_adapter(adapter: ModelAdapter[Any], *, geometry: bool = True) -> list[Finding]:
    """Hold an adapter to `pixcore.components.ModelAdapter`.

    Args:
        adapter: One that can answer here and now, whatever nonsense it says: tiny random weights will do.
        geometry: Whether to run `check_geometry` too, which asks for some hundred embeddings.
    """
    report = Report()
    with report.step("config"):
        report.instance(adapter.config, "an adapter's config", ModelConfig)
    with report.step("capabilities"):
        allowed = set(get_args(Capability))
        given = adapter.capabilities
        report.expect(
            isinstance(given, frozenset) and bool(given) and given <= allowed,
            f"capabilities should be a frozenset out of {sorted(allowed)}, is {given!r}",
        )
    requests = [inputs.request(inputs.WIDE), inputs.request(inputs.TALL, "What is it?", seed=1)]
    plain: list[Response] = []
    with report.step("answer"):
        plain = _answered(report, adapter, requests)
        for asked, given_response in zip(requests, plain, strict=False):
            _check_response(report, adapter, asked, given_response)
    if len(plain) == len(requests):
        with report.step("answer, again"):
            again = _answered(report, adapter, requests)
            report.expect(_texts(again) == _texts(plain), "the same requests with the same seeds give another text")
        with report.step("answer, one by one"):
            alone = [response for asked in requests for response in adapter.answer([asked])]
            report.expect(_texts(alone) == _texts(plain), "a batch changes a sample's text")
    if "attention" in adapter.capabilities and len(plain) == len(requests):
        _check_attention(report, adapter, requests, plain)
        if geometry:
            with report.step("geometry"):
                report.findings += check_geometry(adapter)
    return report.findings


def _answered(
    report: Report, adapter: ModelAdapter[Any], requests: Sequence[Request], *extractor: Any
) -> list[Response]:
    responses = adapter.answer(requests, *extractor)
    if not report.instance(responses, "answer's result", list):
        return []
    report.expect(len(responses) == len(requests), f"{len(requests)} requests give {len(responses)} responses")
    return [response for response in responses if report.instance(response, "a response", Response)]


def _texts(responses: Sequence[Response]) -> list[str]:
    return [response.text for response in responses]


def _check_response(report: Report, adapter: ModelAdapter[Any], asked: Request, response: Response) -> None:
    report.instance(response.text, "text", str)
    _check_tokens(report, response.text, response.tokens, exact=not adapter.context.published)
    if "masks" in adapter.capabilities:
        if report.expect(response.mask is not None, "a pixel-level model's response needs a mask, an empty one too"):
            masks.parse(response.mask, where="mask", size=asked.image.size)
        for index, mask in enumerate(response.masks):
            masks.parse(mask, where=f"masks[{index}]", size=asked.image.size)
        spans = response.mask_spans
        report.expect(
            len(spans) in (0, len(response.masks)), f"{len(response.masks)} masks have {len(spans)} mask_spans"
        )
        inside = all(0 <= start <= end <= len(response.text) for start, end in spans)
        report.expect(inside, f"mask_spans {spans} should lie in the text of {len(response.text)} characters")
    else:
        report.expect(response.mask is None, "a response has a mask, and capabilities lacks 'masks'")
    if report.json(dict(response.extra), "extra"):
        kept = serialise.response_from_entry(serialise.response_to_entry(response))
        report.expect(
            (kept.text, kept.tokens) == (response.text, response.tokens), "a response does not survive storage"
        )


def _check_tokens(report: Report, text: str, tokens: tuple[Token, ...], *, exact: bool) -> None:
    report.instance(tokens, "tokens", tuple)
    if not report.expect(all(isinstance(token, Token) for token in tokens), "tokens should hold Token alone"):
        return
    if not exact:
        return  # the published prefix rule gives spans that may cross
    for index, token in enumerate(tokens):
        where = f"token {index} ({token.text!r}, characters {token.start} to {token.end})"
        if not report.expect(0 <= token.start <= token.end <= len(text), f"{where} lies outside the text"):
            return
        if not report.expect(text[token.start : token.end] == token.text, f"{where} is not what stands there"):
            return
    ordered = all(one.end <= other.start for one, other in pairwise(tokens))
    report.expect(ordered, "tokens should follow each other in the text")
    joined = "".join(token.text for token in tokens)
    report.expect(not tokens or joined == text, f"the tokens' texts join to {joined[:40]!r}, the text is {text[:40]!r}")


def _check_attention(
    report: Report, adapter: ModelAdapter[Any], requests: Sequence[Request], plain: Sequence[Response]
) -> None:
    tapped: list[Response] = []
    with report.step("attention"):
        tapped = _answered(report, adapter, requests, Recorder(report))
        report.expect(_texts(tapped) == _texts(plain), "reading attention changes the text")
        for asked, response in zip(requests, tapped, strict=False):
            if not report.instance(response.layout, "a tapped response's layout", VisualLayout):
                continue
            assert response.layout is not None
            report.array(response.maps, "maps", (len(response.tokens), response.layout.tokens), np.float32)
            with report.step("layout"):
                own = adapter.layout(asked.image)
                same = own.grids == response.layout.grids and np.array_equal(own.cell_of, response.layout.cell_of)
                report.expect(same, "layout(image) is another one than a response's")
    with report.step("attention, one by one"):
        for asked, together in zip(requests, tapped, strict=False):
            (alone,) = _answered(report, adapter, [asked], Recorder(report))
            if alone.maps is not None and together.maps is not None and alone.maps.shape == together.maps.shape:
                close = np.allclose(alone.maps, together.maps, atol=1e-2 * float(np.abs(alone.maps).max(initial=0.0)))
                report.expect(close, "a batch changes a sample's maps")
    with report.step("attention, one layer and head"):
        _answered(report, adapter, requests[:1], Recorder(report, Needs(layers=(-1,), heads=(0,))))
