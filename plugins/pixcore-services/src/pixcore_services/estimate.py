"""What a run will still ask of paid services, told before anything is spent (`pixcore run --estimate`).

Records that are there cost nothing and are left out. Where nothing is proposed or answered yet, the number of masks
and the length of answers are taken from the samples that have some, else assumed; the table says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from pixcore.components import Executor, Judge, ModelAdapter, SelectionStrategy
from pixcore.runs.plan import Run
from pixcore.services import Expense
from pixcore.stages.answer import Answer
from pixcore.stages.base import Item, Stage
from pixcore.stages.choose import JudgeStage, Select
from pixcore_services.spending import summed

ASSUMED_MASKS = 24
"""Eight phrases with three masks each: what a caption of one or two sentences has."""

ASSUMED_ANSWER = "x" * 300
"""A free answer of one or two sentences, of which only the length matters."""


@dataclass(frozen=True)
class Line:
    """What one component will ask of a service.

    Attributes:
        label: The stage and the component.
        samples: Samples that it is still to be asked about.
        expense: Calls, images, tokens and price of all of them.
        basis: Where the figures come from.
    """

    label: str
    samples: int
    expense: Expense
    basis: str


def expected(job: Run) -> list[Line]:
    """Estimate what each component that asks a service will cost, one line each; empty where none does."""
    return [
        _line(stage, missing)
        for stage, (missing, _) in job.work().items()
        if isinstance(stage, Answer | Select | JudgeStage) and _asks(stage)
    ]


def _asks(stage: Stage) -> bool:
    """Whether a stage's component asks a service; a model's config says so, as importing an adapter takes its time."""
    if isinstance(stage, Answer):
        return bool(getattr(stage.components.one("model").config, "asks_service", False))
    return any(one.says("asks_service") for one in stage.components.every)


def _line(stage: Answer | Select | JudgeStage, items: Sequence[Item]) -> Line:
    if isinstance(stage, Answer):
        basis, expenses = _answers(stage, items)
    else:
        basis, expenses = _selection(stage, items) if isinstance(stage, Select) else _judge_costs(stage, items)
    every = list(expenses)
    total = summed(every, every[-1].model if every else "")
    return Line(stage.label, len(items), total, basis if items else "nothing left to ask")


def _answers(stage: Answer, items: Sequence[Item]) -> tuple[str, Iterator[Expense]]:
    model: ModelAdapter[Any] = stage.components.one("model").create(stage.context)
    return "answers of a length that the model's config says or assumes", (
        model.expected_cost(item.request) for item in items
    )


def _selection(stage: Select, items: Sequence[Item]) -> tuple[str, Iterator[Expense]]:
    strategy: SelectionStrategy[Any] = stage.components.one("strategy").create(stage.context)

    def masks(item: Item) -> int | None:
        candidates = stage.proposals.candidates(item)
        return None if candidates is None else sum(len(one.masks) for one in candidates)

    counts, basis = _known(items, masks, ASSUMED_MASKS, "masks a sample")
    pairs = zip(items, counts, strict=True)
    return basis, (strategy.expected_cost(item.sample, count) for item, count in pairs)


def _judge_costs(stage: JudgeStage, items: Sequence[Item]) -> tuple[str, Iterator[Expense]]:
    judge: Judge[Any] = stage.components.one("judge").create(stage.context)

    def length(item: Item) -> int | None:
        entry = stage.before.get(item)
        return None if entry is None else len(entry.body["text"])

    lengths, basis = _known(items, length, len(ASSUMED_ANSWER), "characters an answer")

    def expenses() -> Iterator[Expense]:
        for item, characters in zip(items, lengths, strict=True):
            sample = item.sample
            if sample.question is not None and sample.answer is not None:
                yield judge.expected_cost(sample.question, sample.options, sample.answer, "x" * characters)

    return basis, expenses()


def _known(
    items: Sequence[Item], measure: Callable[[Item], int | None], assumed: int, unit: str
) -> tuple[list[int], str]:
    measured = [measure(item) for item in items]
    known = [value for value in measured if value is not None]
    typical = round(float(np.mean(known))) if known else assumed
    if len(known) == len(items):
        basis = f"{typical} {unit} on average"
    elif known:
        basis = f"{typical} {unit}, from {len(known)} of {len(items)} samples"
    else:
        basis = f"{assumed} {unit} assumed: none is computed yet"
    return [typical if value is None else value for value in measured], basis


@dataclass(frozen=True)
class Left:
    """What one stage will still compute.

    Attributes:
        label: The stage.
        records: How many are missing.
        seconds: What each took of those that are there.
        known: How many those are.
        gpus: How many GPUs each holds who makes them; None where the machine decides.
    """

    label: str
    records: int
    seconds: float
    known: int
    gpus: float | None

    @property
    def hours(self) -> float:
        """Hours of one process."""
        return self.records * self.seconds / 3600

    @property
    def gpu_hours(self) -> float:
        """Hours of a whole GPU, where it is known who holds how many."""
        return self.hours * (self.gpus or 0.0)


def left(job: Run) -> list[Left]:
    """Say how long what is missing will take, as the records that are there took; stages that have none are left out.

    Hours are of one process, or one actor: what several share is through in as much less time.
    """
    chosen = (one.create(job.context) for one in job.resolved.components.several("executor"))
    executor: Executor[Any] | None = next(chosen, None)
    found = []
    for stage, (missing, there) in job.work().items():
        known = there + sum(stage.failure(item) is not None for item in missing)
        if missing and known:
            gpus = executor.gpus_of(stage) if executor is not None else None
            found.append(Left(stage.label or stage.name, len(missing), stage.store.seconds / known, known, gpus))
    return found


def hours(lines: Sequence[Left]) -> Table:
    """Put what a run will still compute into a table, with the hours of GPUs where the executor knows them."""
    by_gpu = any(line.gpus is not None for line in lines)
    result = Table(title="What this run will still compute", title_justify="left")
    result.add_column("stage")
    ours = "hours of one actor" if by_gpu else "hours of one GPU or process"
    for heading in ("records", "seconds each", ours, *(["GPU hours"] if by_gpu else []), "measured on"):
        result.add_column(heading, justify="right")
    for line in lines:
        gpus = [f"{line.gpu_hours:.2f}"] if by_gpu else []
        figures = (f"{line.records:,}", f"{line.seconds:.3g}", f"{line.hours:.2f}", *gpus, f"{line.known:,}")
        result.add_row(line.label, *figures)
    result.add_section()
    gpus = [f"{sum(line.gpu_hours for line in lines):.2f}"] if by_gpu else []
    result.add_row("together", "", "", f"{sum(line.hours for line in lines):.2f}", *gpus, "")
    return result


def table(lines: Sequence[Line], spent: Expense) -> Table:
    """Put the estimate into a table, with what earlier commands of the run have spent."""
    result = Table(title="What this run will still ask of services", title_justify="left")
    for heading in ("component", "model"):
        result.add_column(heading)
    for heading in ("samples", "calls", "images", "tokens in", "tokens out", "USD"):
        result.add_column(heading, justify="right")
    result.add_column("basis")
    for line in lines:
        result.add_row(line.label, line.expense.model, str(line.samples), *_figures(line.expense), line.basis)
    if len(lines) > 1:
        total = summed(line.expense for line in lines)
        result.add_section()
        result.add_row("together", "", "", *_figures(total), "")
    if spent.calls:
        result.add_section()
        result.add_row("spent before", "", "", *_figures(spent), "all commands of this run")
    return result


def _figures(expense: Expense) -> tuple[str, ...]:
    counts = (expense.calls, expense.images, expense.input_tokens, expense.output_tokens)
    price = (
        "price unknown" if expense.usd is None else f"{expense.usd:.2f}" if expense.usd >= 1 else f"{expense.usd:.4f}"
    )
    return (*(f"{count:,}" for count in counts), price)
