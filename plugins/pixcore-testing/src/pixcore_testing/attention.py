"""Hold extractors and map transforms to their contract."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import AttentionExtractor, MapTransform, Needs
from pixcore.errors import PixcoreError
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
        for name, allowed in (("query", ("predicting", "emitted")), ("prefill_row", (-1, -2))):
            wanted = getattr(needs, name)
            report.expect(wanted in allowed, f"needs.{name} is one of {allowed}", described(wanted))
        prompt = needs.reference_prompt
        report.expect(prompt is None or bool(prompt.strip()), "needs.reference_prompt is text or None", repr(prompt))
    if not report.broken:
        first = _extracted(report, extractor, "3 steps")
        again = [] if report.broken else _extracted(report, extractor, "the same batch again")
        if not report.broken:
            with report.step("the same batch again"):
                same = all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
                report.expect(same, "nothing is carried over from one batch to the next", "other maps")
            _extracted(report, extractor, "1 step", steps=(0,))
        if not report.broken:
            _check_alone(report, extractor, first)
    return report.findings


def _check_alone(report: Report, extractor: AttentionExtractor[Any], together: Sequence[NDArray[np.float32]]) -> None:
    """Whether a sample, a step and the steps at once have the maps that they have in a batch, step by step."""
    for index, layout in enumerate(inputs.layouts()):
        where = f"sample {index + 1} of 2 alone"
        alone = _extracted(report, extractor, where, samples=(index,))
        if report.broken:
            return
        with report.step(where):
            same = _close(alone[0], together[index][:, : layout.tokens])
            report.expect(same, "a batch changes no sample's maps, and padding none", "other maps alone")
    if not report.broken and getattr(extractor, "stepwise", False) is True:
        later = _extracted(report, extractor, "the last 2 of 3 steps", steps=(1, 2))
        if report.broken:
            return
        with report.step("the last 2 of 3 steps"):
            same = all(_close(one, other[1:]) for one, other in zip(later, together, strict=True))
            promise = "stepwise is True only where each step stands alone"
            report.expect(same, promise, "another map without the steps before")
    if not report.broken and hasattr(extractor, "observe_steps"):
        for count in (3, 2):
            where = f"observe_steps of {count} steps"
            once = _extracted(report, extractor, where, at_once=count)
            if report.broken:
                return
            with report.step(where):
                same = all(map(_close, once, together))
                report.expect(same, "observe_steps gives the maps that observe gives", "other maps")


def _close(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-4 * float(np.abs(other).max()))


def _extracted(
    report: Report,
    extractor: AttentionExtractor[Any],
    where: str,
    *,
    samples: tuple[int, ...] = (0, 1),
    steps: tuple[int, ...] = (0, 1, 2),
    at_once: int = 0,
) -> list[NDArray[np.float32]]:
    """Two samples, the first with fewer visual tokens, or one, through an extractor as an adapter would call it.

    Args:
        report: Where mistakes go.
        extractor: The extractor.
        where: What is looked at.
        samples: Which samples are in the batch; each has the same attention in every batch.
        steps: Which decoding steps are seen, likewise.
        at_once: So many of the last steps are shown at once.
    """
    rng = np.random.default_rng(0)
    needs, batch = extractor.needs, list(samples)
    sizes = [layout.tokens for layout in inputs.layouts()]
    layers, heads = sorted(_resolved(needs.layers, _LAYERS)), len(_resolved(needs.heads, _HEADS))
    cells = max(sizes[index] for index in samples)
    # (steps, layers, samples, heads, visual tokens), of all of them whichever are seen
    rows = rng.dirichlet(np.ones(max(sizes) + 5), size=(3, len(layers), 2, heads))[..., : max(sizes)].astype(np.float32)
    gradients = rng.normal(size=rows.shape if needs.gradients else 0).astype(np.float32)
    unembedding, hidden = rng.normal(size=(16, 50)).astype(np.float32), sorted(_resolved(needs.hidden_states, _LAYERS))
    states = rng.normal(size=(len(hidden) if needs.hidden_states else 0, 2, max(sizes), 16)).astype(np.float32)
    for index, size in enumerate(sizes):
        rows[:, :, index, :, size:] = 0
    with report.step(where):
        requests = [inputs.request(inputs.WIDE, seed=index) for index in samples]
        extractor.prepare(requests, [inputs.layouts()[index] for index in samples])
        extractor.begin(len(samples), len(layers), heads, cells)
        if needs.hidden_states:
            extractor.observe_tokens([[3 + step for step in steps]] * len(samples), lambda seen: seen @ unembedding)
            for layer, own in zip(hidden, states, strict=True):
                extractor.observe_hidden(layer, own[batch, :cells])
        for step in steps[: len(steps) - at_once]:
            for place, layer in enumerate(layers):
                shown = rows[step, place][batch, :, :cells]
                before = shown.copy()
                extractor.observe(layer, shown)
                report.expect(np.array_equal(shown, before), "observe changes no row that it is shown", "other values")
                if needs.gradients:
                    extractor.observe_gradients(layer, gradients[step, place][batch, :, :cells])
            extractor.end_step()
        if at_once:
            for place, layer in enumerate(layers):
                seen: Any = rows[list(steps[-at_once:]), place][:, batch, :, :cells].transpose(1, 2, 0, 3)
                extractor.observe_steps(layer, seen.copy())  # type: ignore[attr-defined]
            extractor.end_step()
        found = list(extractor.maps())
        counted = f"{len(found)} for a batch of {len(samples)}"
        if report.expect(len(found) == len(samples), "maps() gives one map a sample", counted):
            for own in found:
                report.array(own, "a map", (len(steps), cells), np.float32, "steps, visual tokens")
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
        with report.step(f"transform, {name}, no reference"), contextlib.suppress(PixcoreError):
            transform.transform(random.copy(), layout, None)  # one that needs a reference says so in a line
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
