"""Hold selection strategies, benchmarks and judges to their contract."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from pixcore import masks
from pixcore.components import Benchmark, Judge, SelectionStrategy
from pixcore.records import Candidate, Image, Sample, Selection, Verdict
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report

_SAMPLES_AGAIN = 50  # samples that are asked for twice
_SAMPLES_OPENED = 5  # images of a benchmark that are decoded; the rest are only counted


def check_selection_strategy(strategy: SelectionStrategy[Any]) -> list[Finding]:
    """Hold a strategy to its contract: a legal choice from any candidates, blind to the ground truth unless marked."""
    report = Report()
    kind = type(strategy)
    with report.step("marks"):
        for mark in ("uses_ground_truth", "needs_model", "needs_maps", "asks_service"):
            report.instance(getattr(kind, mark), mark, bool)
    if _costs(report, strategy, "selecting"):
        return report.findings
    response, found = inputs.response(), inputs.candidates()
    cases: Mapping[str, tuple[Candidate, ...]] = {
        "three candidates": found,
        "no candidate": (),
        "masks alone": tuple(replace(own, group=None, point=None, stability=()) for own in found),
    }
    for name, own in cases.items():
        chosen: list[Any] = []
        for absent in (False, True):
            with report.step(f"select, {name}{', object absent' if absent else ''}"):
                strategy.reseed(7)
                selection = strategy.select(inputs.sample(absent=absent), copy.copy(response), own)
                _check_selection(report, selection, own)
                chosen.append((selection.outcome, selection.candidate, selection.mask))
        with report.step(f"select, {name}"):
            blind = kind.uses_ground_truth or len(chosen) < 2 or chosen[0] == chosen[1]
            report.expect(blind, "the choice depends on the ground truth, and uses_ground_truth is False")
    with report.step("select_many"):
        items = [(inputs.sample(), response, own) for own in cases.values()]
        results = list(strategy.select_many(iter(items)))
        report.expect(len(results) == len(items), f"{len(items)} samples give {len(results)} selections")
    return report.findings


def _check_selection(report: Report, selection: Any, candidates: Sequence[Candidate]) -> None:
    if not report.instance(selection, "the result", Selection):
        return
    outcome = selection.outcome
    report.expect(outcome in ("chosen", "absent", "nothing"), f"outcome {outcome!r} is none of chosen, absent, nothing")
    report.instance(selection.reason, "reason", str)
    report.json(dict(selection.details), "details")
    candidate, mask = selection.candidate, selection.mask
    if outcome != "chosen":
        report.expect(candidate is None and mask is None, f"{outcome!r} names candidate {candidate}, mask {mask}")
        return
    there = isinstance(candidate, int) and isinstance(mask, int) and 0 <= candidate < len(candidates)
    there = there and 0 <= mask < len(candidates[candidate].masks)
    report.expect(there, f"candidate {candidate}, mask {mask} is none of {len(candidates)} candidates")


def check_benchmark(benchmark: Benchmark[Any]) -> list[Finding]:
    """Hold a benchmark to its contract; its first images are opened."""
    report = Report()
    samples: list[Sample] = []
    with report.step("samples"):
        samples = list(benchmark.samples())
        if not report.expect(bool(samples), "a benchmark needs samples"):
            return report.findings
        report.expect(len(benchmark) == len(samples), f"len() says {len(benchmark)}, samples() gives {len(samples)}")
        ids = [sample.id for sample in samples]
        again = [sample.id for sample in islice(benchmark.samples(), _SAMPLES_AGAIN)]
        report.expect(again == ids[:_SAMPLES_AGAIN], "samples() gives others, or another order, the second time")
        twice = [name for name, count in Counter(ids).items() if count > 1][:3]
        report.expect(not twice, f"samples need an id of their own; twice: {twice}")
        pairs = Counter(sample.pair for sample in samples if sample.pair is not None)
        alone = [pair for pair, count in pairs.items() if count < 2][:3]
        report.expect(not alone, f"a pair needs two samples; alone: {alone}")
    for index, sample in enumerate(samples):
        with report.step(f"sample {sample.id}"):
            _check_sample(report, sample, opened=index < _SAMPLES_OPENED)
    return report.findings


def _check_sample(report: Report, sample: Sample, *, opened: bool) -> None:
    report.expect(isinstance(sample.id, str) and bool(sample.id), f"an id should be text, is {sample.id!r}")
    report.instance(sample.image, "image", Image)
    report.expect(isinstance(sample.options, tuple), "options should be a tuple")
    if sample.answer is not None:
        there = 0 <= sample.answer < len(sample.options)
        report.expect(there, f"answer {sample.answer} is none of {len(sample.options)} options")
    for name in ("question", "expression"):
        text = getattr(sample, name)
        report.expect(text is None or bool(text.strip()), f"{name} should be text or None, is {text!r}")
    report.json(dict(sample.categories), "categories")
    report.json(dict(sample.extra), "extra")
    size = sample.image.size if opened else sample.image.known_size
    if opened:
        real = sample.image.pil().size
        report.expect(real == size, f"the image is {real} pixels, its size says {size}")
    if sample.mask is not None:
        masks.parse(sample.mask, where="mask", size=size)


def check_judge(judge: Judge[Any]) -> list[Finding]:
    """Hold a judge to its contract: a verdict on right, wrong, empty and endless answers."""
    report = Report()
    if _costs(report, judge, "grading"):
        return report.findings
    question, options = "Where is the red rectangle?", ("Left", "Right")
    answers = ("(a)", "The answer is Right.", "left", "", "I can't tell. " * 300, "左側です 🦋")
    items = [(question, options, 0, answer) for answer in answers]
    alone: list[Verdict] = []
    for item in items:
        with report.step(f"grade, {item[3][:24]!r}"):
            verdict = judge.grade(*item)
            if report.instance(verdict, "the result", Verdict):
                alone.append(verdict)
                right = verdict.correct in (True, False, None)
                report.expect(right, f"correct should be True, False or None, is {verdict.correct!r}")
                report.instance(verdict.reason, "reason", str)
                report.json(dict(verdict.details), "details")
    with report.step("grade_many"):
        together = list(judge.grade_many(iter(items)))
        report.expect(len(together) == len(items), f"{len(items)} answers give {len(together)} verdicts")
        if len(alone) == len(together) == len(items):
            same = [getattr(one, "correct", one) for one in together] == [verdict.correct for verdict in alone]
            report.expect(same, "grade_many gives other verdicts than grade")
    return report.findings


def _costs(report: Report, component: SelectionStrategy[Any] | Judge[Any], doing: str) -> bool:
    """Whether to leave out what would ask a service, or a model that there is none of here."""
    with report.step("service"):
        if component.asks_service:
            report.note(f"{doing} asks a service and was not tried")
            return True
        if getattr(component, "needs_model", False) and component.context.model is None:
            report.note(f"{doing} asks the run's model, of which there is none here, and was not tried")
            return True
    return False
