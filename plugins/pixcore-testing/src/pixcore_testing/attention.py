"""Hold extractors and map transforms to their contract."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import AttentionExtractor, MapTransform, Needs
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report, described, page_of

_LAYERS, _HEADS = 32, 32  # of LLaVA-1.5 7B, so that the layers and heads that a config names are there


def check_attention_extractor(extractor: AttentionExtractor[Any]) -> list[Finding]:
    """Hold an extractor to its contract: NumPy rows, a map for each step, nothing carried over to the next batch."""
    report = Report(page_of("extractor"))
    with report.step("needs"):
        needs = extractor.needs
        if not report.instance(needs, "needs", Needs):
            return report.findings
        for name in ("layers", "heads"):
            wanted = getattr(needs, name)
            report.expect(
                wanted is None or isinstance(wanted, tuple), f"needs.{name} is a tuple or None", described(wanted)
            )
        prompt = needs.reference_prompt
        report.expect(prompt is None or bool(prompt.strip()), "needs.reference_prompt is text or None", repr(prompt))
    if not report.broken:
        first = _extracted(report, extractor, steps=3)
        again = [] if report.broken else _extracted(report, extractor, steps=3)
        if not report.broken:
            with report.step("the same batch again"):
                same = all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
                report.expect(same, "nothing is carried over from one batch to the next", "other maps")
            _extracted(report, extractor, steps=1)
    return report.findings


def _extracted(report: Report, extractor: AttentionExtractor[Any], steps: int) -> list[NDArray[np.float32]]:
    """Two samples, the second with fewer visual tokens, through an extractor as an adapter would call it."""
    rng = np.random.default_rng(0)
    needs, layouts = extractor.needs, inputs.layouts()
    layers = sorted(_resolved(needs.layers, _LAYERS))
    heads, cells = len(_resolved(needs.heads, _HEADS)), max(layout.tokens for layout in layouts)
    with report.step(f"{steps} steps"):
        extractor.prepare([inputs.request(inputs.WIDE), inputs.request(inputs.WIDE, seed=1)], layouts)
        extractor.begin(2, len(layers), heads, cells)
        if needs.hidden_states:
            unembedding = rng.normal(size=(16, 50)).astype(np.float32)
            extractor.observe_tokens([list(range(3, 3 + steps))] * 2, lambda states: states @ unembedding)
            for layer in sorted(_resolved(needs.hidden_states, _LAYERS)):
                extractor.observe_hidden(layer, rng.normal(size=(2, cells, 16)).astype(np.float32))
        for _ in range(steps):
            for layer in layers:
                rows = rng.dirichlet(np.ones(cells + 5), size=(2, heads))[:, :, :cells].astype(np.float32)
                for index, layout in enumerate(layouts):
                    rows[index, :, layout.tokens :] = 0
                before = rows.copy()
                extractor.observe(layer, rows)
                report.expect(np.array_equal(rows, before), "observe changes no row that it is shown", "other values")
                if needs.gradients:
                    extractor.observe_gradients(layer, rng.normal(size=rows.shape).astype(np.float32))
            extractor.end_step()
        found = list(extractor.maps())
        if report.expect(len(found) == 2, "maps() gives one map a sample", f"{len(found)} for a batch of 2"):
            for own in found:
                report.array(own, "a map", (steps, cells), np.float32, "steps, visual tokens")
        return found
    return []


def _resolved(wanted: tuple[int, ...] | bool | None, count: int) -> tuple[int, ...]:
    return tuple(index % count for index in (wanted if isinstance(wanted, tuple) else range(count)))


def check_map_transform(transform: MapTransform[Any]) -> list[Finding]:
    """Hold a transform to its contract: same shape, a new array, finite for flat maps and single tokens too."""
    report = Report(page_of("transforms"))
    rng = np.random.default_rng(0)
    for layout, name in zip(inputs.layouts(), ("one padded grid", "tiles"), strict=True):
        reference = rng.random(layout.tokens, np.float32) + np.float32(0.01)
        random = rng.random((5, layout.tokens), np.float32)
        for kind, values in (("", random), (", one token", random[:1]), (", all zero", np.zeros_like(random))):
            with report.step(f"transform, {name}{kind}"):
                _check_transformed(report, transform, values.copy(), layout, reference)
        if not report.broken:
            with report.step(f"transform, {name}, again"):
                first = transform.transform(random.copy(), layout, reference)
                transform.transform(1 - random, layout, reference)
                same = np.array_equal(first, transform.transform(random.copy(), layout, reference))
                report.expect(same, "nothing is carried over from one response to the next", "other maps")
    return report.findings


def _check_transformed(
    report: Report, transform: MapTransform[Any], values: NDArray[np.float32], layout: Any, reference: Any
) -> None:
    before, reference_before = values.copy(), reference.copy()
    after = transform.transform(values, layout, reference)
    if isinstance(after, np.ndarray) and np.shares_memory(after, values):
        report.expect(False, "transform gives a new array", "one that shares memory with its input")
        return
    untouched = np.array_equal(values, before) and np.array_equal(reference, reference_before)
    report.expect(untouched, "transform changes no array that it is given", "other values")
    report.array(after, "what transform gives", values.shape, np.float32, "tokens, visual tokens")
