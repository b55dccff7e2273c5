"""Hold extractors and map transforms to their contract."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import AttentionExtractor, MapTransform, Needs
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report

_LAYERS, _HEADS = 32, 32  # of LLaVA-1.5 7B, so that the layers and heads that a config names are there


def check_attention_extractor(extractor: AttentionExtractor[Any]) -> list[Finding]:
    """Hold an extractor to its contract: NumPy rows, a map for each step, nothing carried over to the next batch."""
    report = Report()
    with report.step("needs"):
        if not report.instance(extractor.needs, "needs", Needs):
            return report.findings
        needs = extractor.needs
        first, second = _extracted(report, extractor, steps=3), _extracted(report, extractor, steps=3)
        for index, (one, other) in enumerate(itertools.zip_longest(first, second)):
            same = one is not None and other is not None and np.array_equal(one, other, equal_nan=True)
            report.expect(same, f"the same batch gives another map for sample {index} the second time")
        _extracted(report, extractor, steps=1)
        if needs.reference_prompt is not None:
            report.expect(bool(needs.reference_prompt.strip()), "needs.reference_prompt should be text, or None")
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
            for layer in range(_LAYERS):
                extractor.observe_hidden(layer, rng.normal(size=(2, cells, 16)).astype(np.float32))
        for _ in range(steps):
            for layer in layers:
                rows = rng.dirichlet(np.ones(cells + 5), size=(2, heads))[:, :, :cells].astype(np.float32)
                for index, layout in enumerate(layouts):
                    rows[index, :, layout.tokens :] = 0
                before = rows.copy()
                extractor.observe(layer, rows)
                report.expect(np.array_equal(rows, before), "observe changes the rows that it is shown")
                if needs.gradients:
                    extractor.observe_gradients(layer, rng.normal(size=rows.shape).astype(np.float32))
            extractor.end_step()
        found = list(extractor.maps())
        if report.expect(len(found) == 2, f"a batch of 2 gives {len(found)} maps"):
            for index, own in enumerate(found):
                report.array(own, f"maps()[{index}]", (steps, cells), np.float32)
        return found
    return []


def _resolved(wanted: tuple[int, ...] | None, count: int) -> tuple[int, ...]:
    return tuple(range(count)) if wanted is None else tuple(index % count for index in wanted)


def check_map_transform(transform: MapTransform[Any]) -> list[Finding]:
    """Hold a transform to its contract: same shape, a new array, finite for flat maps and single tokens too."""
    report = Report()
    rng = np.random.default_rng(0)
    for layout, name in zip(inputs.layouts(), ("one padded grid", "tiles"), strict=True):
        reference = rng.random(layout.tokens, np.float32) + np.float32(0.01)
        random = rng.random((5, layout.tokens), np.float32)
        for kind, values in (("", random), (", one token", random[:1]), (", all zero", np.zeros_like(random))):
            with report.step(f"transform, {name}{kind}"):
                before, reference_before = values.copy(), reference.copy()
                after = transform.transform(values, layout, reference)
                report.array(after, "the result", values.shape, np.float32)
                untouched = np.array_equal(values, before) and np.array_equal(reference, reference_before)
                report.expect(untouched, "transform changes its input")
                shared = isinstance(after, np.ndarray) and np.shares_memory(after, values)
                report.expect(not shared, "the result should be a new array, it shares memory with the input")
    return report.findings
