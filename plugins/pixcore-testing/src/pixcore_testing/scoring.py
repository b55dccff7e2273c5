"""Hold selection strategies, benchmarks and judges to their contract."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import islice
from typing import Any

import numpy as np
from pixcore_datasets import run_lengths

from pixcore.components import Benchmark, Judge, SelectionStrategy
from pixcore.errors import DataError
from pixcore.masks import decode, encode
from pixcore.records import Candidate, Image, Response, Sample, Selection, Verdict
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report, described, page_of

_SAMPLES_AGAIN = 50  # samples that are asked for twice
_SAMPLES_OPENED = 5  # images of a benchmark that are decoded; the rest are only counted
_MARKS = ("uses_ground_truth", "needs_model", "needs_maps", "asks_service")


def check_selection_strategy(strategy: SelectionStrategy[Any], *, asks: bool = False) -> list[Finding]:
    """Hold a strategy to its contract: a legal choice from any candidates, blind to the ground truth unless marked.

    Args:
        strategy: The strategy.
        asks: Ask the service that it asks, which may cost.
    """
    report = Report(page_of("selections"))
    kind = type(strategy)
    with report.step("marks"):
        for mark in _MARKS:
            report.instance(getattr(kind, mark), f"the mark {mark}", bool)
    if _costs(report, strategy, "selecting", asks=asks):
        return report.findings
    found = _served(strategy)
    cases: Mapping[str, tuple[Candidate, ...]] = {
        "three candidates": found,
        "no candidate": (),
        "masks alone": tuple(replace(own, group=None, point=None, stability=()) for own in found),
    }
    sample, absent = inputs.sample(), inputs.sample(absent=True)
    response = inputs.response(maps=kind.needs_maps)
    chosen: dict[str, list[Any]] = {name: [] for name in cases}
    for name, own in cases.items():
        for where, given in (("", sample), (", object absent", absent)):
            with report.step(f"select, {name}{where}"):
                selection = _selected(report, strategy, given, response, own)
                if _check_selection(report, selection, own):
                    chosen[name].append(_choice(selection))
    if report.broken:
        return report.findings
    for name, own in reversed([*cases.items()]):
        with report.step(f"select, {name}"):
            _check_steady(report, strategy, own, *chosen[name])
    if not report.broken:
        with report.step("select_many"):
            stream = _streamed(strategy, [(sample, response, own) for own in cases.values()])
            together = [_choice(one) for one in strategy.select_many(stream)]
            expected = [chosen[name][0] for name in cases]
            promise = "select_many gives one selection a sample, in order, as select does"
            report.expect(together == expected, promise, f"{together} in place of {expected}")
    return report.findings


def _check_steady(
    report: Report, strategy: SelectionStrategy[Any], own: Sequence[Candidate], first: Any, absent: Any
) -> None:
    """Whether a choice hangs on what it may hang on alone.

    Args:
        report: Where mistakes go.
        strategy: The strategy.
        own: The candidates.
        first: What it chose of them before other samples.
        absent: What it chose where the object is absent.
    """
    kind, sample, response = type(strategy), inputs.sample(), inputs.response(maps=strategy.needs_maps)

    def ask(sample: Sample, response: Response = response) -> Any:
        return _choice(_selected(report, strategy, sample, response, own))

    again = [ask(sample)]
    blind = [] if kind.uses_ground_truth else [absent, *map(ask, _truths(sample))]
    mapped = first if kind.needs_maps else ask(sample, inputs.response(maps=True))
    if any(one != first for one in (*blind, mapped)):
        again += [ask(sample), ask(sample)]  # does it change by itself?
    promise = "a sample and a seed give the same choice every time, whatever came before (self.rng is seeded)"
    if report.expect(all(one == first for one in again), promise, "another choice the second time"):
        promise = "a choice never depends on the ground truth, unless uses_ground_truth says so"
        report.expect(all(one == first for one in blind), promise, "another choice where the ground truth is another")
        promise = "a choice never depends on the response's maps, unless needs_maps says so"
        report.expect(mapped == first, promise, "another choice where there are maps")


def _choice(selection: Any) -> Any:
    if not isinstance(selection, Selection):
        return described(selection)
    return selection.outcome, selection.candidate, selection.mask


def _truths(sample: Sample) -> tuple[Sample, ...]:
    """A sample with other ground truths: elsewhere and with the other option as answer, and not known."""
    assert sample.mask is not None
    elsewhere = encode(np.roll(decode(sample.mask), 20, axis=1))  # where the second of three candidates is
    return replace(sample, mask=elsewhere, answer=1), replace(sample, mask=None, answer=None)


def _streamed(
    strategy: SelectionStrategy[Any], items: Sequence[tuple[Sample, Response, Sequence[Candidate]]]
) -> Iterator[tuple[Sample, Response, Sequence[Candidate]]]:
    """Items as a run hands them over: the strategy is seeded for each."""
    for item in items:
        strategy.reseed(7)
        yield item


def _served(strategy: SelectionStrategy[Any]) -> tuple[Candidate, ...]:
    """Candidates, with similarities for a strategy that refuses those without: they came with predictions."""
    found = inputs.candidates()
    try:
        strategy.select(inputs.sample(), inputs.response(maps=strategy.needs_maps), found)
    except DataError:
        return tuple(replace(own, similarity=share) for own, share in zip(found, (0.7, 0.2, 0.1), strict=True))
    except Exception:  # it is told where the same candidates are chosen among for good
        return found
    return found


def _selected(
    report: Report, strategy: SelectionStrategy[Any], sample: Sample, response: Response, own: Sequence[Candidate]
) -> Any:
    shown = copy.deepcopy(tuple(own))
    beside = sample.categories, sample.mask, sample.extra, response.extra
    before = copy.deepcopy(beside), _contents(shown)
    strategy.reseed(7)
    selection = strategy.select(sample, response, shown)
    same = before == (beside, _contents(shown))
    report.expect(same, "select changes nothing that it is shown: other strategies get the same", "other values")
    return selection


def _contents(candidates: Sequence[Candidate]) -> Any:
    return [(own.masks, own.scores, own.stability, own.group) for own in copy.deepcopy(list(candidates))]


def _check_selection(report: Report, selection: Any, candidates: Sequence[Candidate]) -> bool:
    """Whether a choice holds; the first promise that it breaks is reported."""
    if not report.instance(selection, "what select gives", Selection):
        return False
    outcome, candidate, mask = selection.outcome, selection.candidate, selection.mask
    promise = "outcome is chosen, absent or nothing (a strategy that fails raises)"
    if not report.expect(outcome in ("chosen", "absent", "nothing"), promise, described(outcome)):
        return False
    if not report.instance(selection.reason, "reason", str) or not report.json(dict(selection.details), "details"):
        return False
    score = selection.score
    finite = score is None or (isinstance(score, int | float | np.number) and bool(np.isfinite(score)))
    if not report.expect(finite, "score is a finite number, or None", described(score)):
        return False
    if outcome != "chosen":
        promise = "only an outcome 'chosen' names a candidate and a mask"
        return report.expect(candidate is None and mask is None, promise, f"{outcome!r} with {candidate}, {mask}")
    return report.index(candidate, "candidate", len(candidates), "the candidates") and report.index(
        mask, "mask", len(candidates[candidate].masks), "that candidate's masks"
    )


def check_benchmark(benchmark: Benchmark[Any]) -> list[Finding]:
    """Hold a benchmark to its contract; its first images are opened."""
    report = Report(page_of("benchmark"))
    samples: list[Any] = []
    with report.step("samples"):
        samples = list(benchmark.samples())
        report.expect(bool(samples), "a benchmark has samples", "none")
        for sample in samples[:1]:
            report.instance(sample, "what samples() yields", Sample)
    if report.broken:
        return report.findings
    with report.step("notes"):
        notes = benchmark.notes
        right = (
            isinstance(notes, Sequence) and not isinstance(notes, str) and all(isinstance(one, str) for one in notes)
        )
        report.expect(right, "notes are several lines, as a list or tuple of texts", described(notes))
    for index, sample in enumerate(samples):
        with report.step(f"sample {sample.id}"):
            _check_sample(report, sample, opened=index < _SAMPLES_OPENED)
    with report.step("samples"):
        report.expect(
            len(benchmark) == len(samples), "len() is the number of samples", f"{len(benchmark)} of {len(samples)}"
        )
        ids = [sample.id for sample in samples]
        again = list(islice(benchmark.samples(), _SAMPLES_AGAIN))
        named = [sample.id for sample in again]
        promise = "samples() gives the same samples in the same order every time"
        if report.expect(named == ids[:_SAMPLES_AGAIN], promise, f"{named[:3]} after {ids[:3]}") and not report.broken:
            changed = [
                f"other {', '.join(parts)} of {one.id}"
                for index, (one, other) in enumerate(zip(again, samples, strict=False))
                if (parts := _changed(one, other, opened=index < _SAMPLES_OPENED))
            ]
            report.expect(not changed, promise, "".join(changed[:1]))
        twice = [name for name, count in Counter(ids).items() if count > 1][:3]
        report.expect(not twice, "every sample has an id of its own", f"twice: {twice}")
        pairs = Counter(sample.pair for sample in samples if sample.pair is not None)
        alone = [pair for pair, count in pairs.items() if count < 2][:3]
        report.expect(not alone, "a pair has two samples", f"alone: {alone}")
    return report.findings


def _changed(one: Sample, other: Sample, *, opened: bool) -> list[str]:
    """Name what of a sample is another the second time; of the image, where it is opened, its bytes."""
    names = [field.name for field in fields(Sample) if field.name != "image"]
    image = ["image"] if opened and one.image.digest != other.image.digest else []
    return image + [name for name in names if getattr(one, name) != getattr(other, name)]


def _check_sample(report: Report, sample: Sample, *, opened: bool) -> None:
    report.expect(bool(sample.id), "a sample's id is not empty", described(sample.id))
    report.instance(sample.image, "a sample's image", Image)
    if sample.answer is not None:
        report.index(sample.answer, "a sample's answer", len(sample.options), "its options")
    for name in ("question", "expression", "pair"):
        text = getattr(sample, name)
        report.expect(text is None or bool(text.strip()), f"a sample's {name} is text, or None", described(text))
    report.json(dict(sample.extra), "a sample's extra")
    size = sample.image.size if opened else sample.image.known_size
    if opened:
        real = replace(sample.image, known_size=None).pil().size  # with it a wrong one is refused by the image itself
        promise = "an image's size is (width, height) of its pixels, upright"
        if not report.expect(real == size, promise, f"{size} of {real}"):
            return
    if sample.mask is not None:
        try:
            run_lengths.parse(sample.mask, where="mask", size=size)
        except DataError as error:
            report.expect(False, "a sample's mask is COCO RLE at the image's own size", str(error))


def check_judge(judge: Judge[Any], *, asks: bool = False) -> list[Finding]:
    """Hold a judge to its contract: a verdict on right, wrong, empty and endless answers.

    Args:
        judge: The judge.
        asks: Ask the service that it asks, which may cost.
    """
    report = Report(page_of("judge"))
    if _costs(report, judge, "grading", asks=asks):
        return report.findings
    question, options = "Where is the red rectangle?", ("Left", "Right")
    answers = ("(a)", "The answer is Right.", "left", "", "I can't tell. " * 300, "左側です 🦋")
    items = [(question, options, 0, answer) for answer in answers]
    alone: list[Verdict] = []
    for item in items:
        with report.step(f"grade, {item[3][:24]!r}"):
            verdict = judge.grade(*item)
            if report.instance(verdict, "what grade gives", Verdict):
                alone.append(verdict)
                given = verdict.correct
                known = given is None or isinstance(given, bool | np.bool_)
                report.expect(known, "correct is True, False or None", described(given))
                report.instance(verdict.reason, "reason", str)
                report.json(dict(verdict.details), "details")
    if report.broken:
        return report.findings
    with report.step("grade, again"):
        again = [judge.grade(*item).correct for item in reversed(items)][::-1]
        expected = [verdict.correct for verdict in alone]
        steady = report.expect(
            again == expected, "the same answer gets the same verdict every time", f"{again} after {expected}"
        )
    if steady:
        with report.step("grade_many"):
            together = [getattr(one, "correct", described(one)) for one in judge.grade_many(iter(items))]
            promise = "grade_many gives one verdict an answer, in order, as grade does"
            report.expect(together == expected, promise, f"{together} in place of {expected}")
    if not report.broken and not judge.asks_service:  # what a service says is its own
        with report.step("grade, the right option"):
            promise = "an answer that is the right option is right"
            seen = f"none of {answers[0]!r} and {answers[2]!r} where {options[0]!r} is right"
            report.expect(any(expected), promise, seen)
        with report.step("grade, the other option"):
            promise = "an answer with the text of a wrong option is not right"
            for right, wrong in ((0, 1), (1, 0)):
                judge.grade(question, options, wrong, options[wrong])
                verdict = judge.grade(question, options, right, options[wrong])
                seen = f"right: {options[wrong]!r} where {options[right]!r} is right"
                if not report.expect(not verdict.correct, promise, seen):
                    break
    return report.findings


def _costs(report: Report, component: SelectionStrategy[Any] | Judge[Any], doing: str, *, asks: bool) -> bool:
    """Whether to leave out what would ask a service, or a model that there is none of here."""
    with report.step("service"):
        if component.asks_service is True:
            if not asks:
                report.note(f"{doing} asks a service and was not tried (--ask tries it)")
            return not asks
        if getattr(component, "needs_model", False) is True and component.context.model is None:
            report.note(f"{doing} asks the run's model and was not tried (--model NAME tries it)")
            return True
    return False
