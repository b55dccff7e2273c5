"""Strategies choose among candidates, judges read answers: both are handed a lazy stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pixcore.components import Judge, SelectionStrategy
from pixcore.config import ChosenComponent
from pixcore.errors import SampleError
from pixcore.plugins import Kind
from pixcore.records import Candidate, Response, Sample, Selection, Verdict
from pixcore.stages.answer import Answer
from pixcore.stages.base import Item, Stage, with_memory
from pixcore.stages.propose import CandidateStage
from pixcore.stages.serialise import Entry
from pixcore.stages.store import content_key


class AskingStage(Stage):
    """A stage whose component may pay for its answers, and so has a memory beside the stages' records."""

    def made(self, component: ChosenComponent) -> Any:
        """Make a component that recalls what it was answered before."""
        return component.create(with_memory(self.context, self.root, component, fresh=self.on_record is not None))


@dataclass(eq=False, kw_only=True)
class Select(AskingStage):
    """The stage in which one strategy chooses among the candidates."""

    proposals: CandidateStage

    name = "select"
    revision = 1
    uses: ClassVar = {"strategy": Kind.SELECTIONS}

    @property
    def before(self) -> CandidateStage:
        """The candidates that it chooses from."""
        return self.proposals

    def key_of(self, item: Item) -> str:
        """Use the key with the ground truth, which strategies may see, and the candidates' key where it says more."""
        pool = self.proposals.key_of(item)
        return item.truth_key if pool == item.key else content_key([item.truth_key, pool])

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Hand the strategy a lazy stream, so that one that asks a server can overlap its calls."""
        strategy: SelectionStrategy[Any] = self.part("strategy")
        offered: deque[list[int]] = deque()  # how many masks each candidate had, of the samples in flight

        def stream() -> Iterator[tuple[Sample, Response, Sequence[Candidate]]]:
            for item in items:
                response, candidates = self.proposals.response(item), self.proposals.candidates(item)
                if response is None or candidates is None:
                    raise SampleError(f"sample {item.sample.id} has no candidates to choose from")
                strategy.reseed(item.entropy)
                offered.append([len(candidate.masks) for candidate in candidates])
                yield item.sample, response, candidates

        for item, outcome in zip(items, strategy.select_many(stream()), strict=True):
            masks = offered.popleft()
            if isinstance(outcome, Exception):
                yield item, outcome
            elif wrong := _misplaced(outcome, masks):
                yield item, SampleError(f"strategy {self.components.one('strategy').name!r} chose {wrong}")
            else:
                yield item, Entry(dict(vars(outcome)))


def _misplaced(outcome: Selection, offered: Sequence[int]) -> str:
    """What is wrong with a choice that names no mask which was offered; a record of it could never be scored."""
    if not isinstance(outcome, Selection):
        return f"a {type(outcome).__name__}, which is not a Selection"
    if not isinstance(outcome.score, (int, float, np.number, type(None))):
        return f"with the score {outcome.score!r}, which is no number"
    if outcome.outcome != "chosen":
        return "" if outcome.outcome in ("absent", "nothing") else f"{outcome.outcome!r}, which is no outcome"
    candidate, mask = outcome.candidate, outcome.mask
    if not (isinstance(candidate, int) and isinstance(mask, int)):
        return f"candidate {candidate!r}, mask {mask!r}, which are not both of Python's int"
    there = 0 <= candidate < len(offered) and 0 <= mask < offered[candidate]
    where = f"where {len(offered)} candidates with {list(offered)} masks are"
    return "" if there else f"candidate {candidate}, mask {mask}, {where}"


@dataclass(eq=False, kw_only=True)
class JudgeStage(AskingStage):
    """The stage in which a judge reads the answers."""

    answers: Mapping[str, Answer]

    name = "judge"
    revision = 1
    uses: ClassVar = {"judge": Kind.JUDGE}

    @property
    def before(self) -> Answer:
        """The answers that it reads, of one probing."""
        (answers,) = self.answers.values()
        return answers

    def key_of(self, item: Item) -> str:
        """Use the key with the right answer, which judges see."""
        return item.truth_key

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Hand the judge a lazy stream, so that one that asks a server can overlap its calls."""
        judge: Judge[Any] = self.part("judge")

        def stream() -> Iterator[tuple[str, Sequence[str], int, str]]:
            for item in items:
                entry, sample = self.before.get(item), item.sample
                if entry is None or sample.question is None or sample.answer is None:
                    raise SampleError(f"sample {sample.id} has no answer to grade")
                yield sample.question, sample.options, sample.answer, str(entry.body["text"])

        for item, outcome in zip(items, judge.grade_many(stream()), strict=True):
            if isinstance(outcome, Verdict) and isinstance(outcome.correct, (bool, np.bool_, type(None))):
                yield item, Entry(dict(vars(outcome)))
            else:
                said = f"judge {self.components.one('judge').name!r} gave {outcome!r}"
                wrong = SampleError(said, hint="not a Verdict whose correct is True, False or None")
                yield item, outcome if isinstance(outcome, Exception) else wrong
