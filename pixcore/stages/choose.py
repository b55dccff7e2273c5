"""Strategies choose among candidates, judges read answers: both are handed a lazy stream."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, ClassVar

import numpy as np

from pixcore.components import Judge, SelectionStrategy
from pixcore.config import ChosenComponent
from pixcore.errors import PixcoreError, PluginError, SampleError, describe
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

    @abstractmethod
    def asked(self, items: Sequence[Item]) -> Iterator[tuple[Any, str]]:
        """Give what the component makes of each item, with what is wrong with it, "" where it can be a record."""

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Keep what the component makes of the items; where it miscounts, nobody can tell whose each is."""
        named = self.named(*self.uses)
        try:
            for place, (item, found) in enumerate(zip_longest(items, self.asked(items))):
                if item is None or found is None:
                    for one in items[:place]:
                        self.store.clear(self.key_of(one))
                    said = f"{named} gave {'more' if item is None else 'fewer'} results than {len(items)}"
                    raise PluginError(said, hint="whose each is can't be told, so that none is kept")
                outcome, wrong = found
                if not isinstance(getattr(outcome, "details", {}), Mapping):
                    wrong = "gave details that are no mapping"
                if not isinstance(outcome, Exception):
                    outcome = SampleError(f"{named} {wrong}") if wrong else Entry(dict(vars(outcome)))
                yield item, outcome
        except PixcoreError:
            raise
        except Exception as error:  # of its own loop over the samples, and so no sample's failure
            raise PluginError(f"{named} failed: {describe(error)}", hint="--traceback shows where") from error


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

    def asked(self, items: Sequence[Item]) -> Iterator[tuple[Any, str]]:
        """Have the strategy choose from a lazy stream, so that one that asks a server can overlap its calls."""
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

        for outcome in strategy.select_many(stream()):
            yield outcome, _misplaced(outcome, offered.popleft() if offered else ())


def _misplaced(outcome: object, offered: Sequence[int]) -> str:
    """What is wrong with a choice that names no mask which was offered; a record of it could never be scored."""
    if not isinstance(outcome, Selection):
        return f"chose a {type(outcome).__name__}, which is not a Selection"
    if not isinstance(outcome.score, (int, float, np.number, type(None))):
        return f"chose with the score {outcome.score!r}, which is no number"
    if outcome.outcome != "chosen":
        return "" if outcome.outcome in ("absent", "nothing") else f"chose {outcome.outcome!r}, which is no outcome"
    candidate, mask = outcome.candidate, outcome.mask
    if not (isinstance(candidate, int | np.integer) and isinstance(mask, int | np.integer)):
        return f"chose candidate {candidate!r}, mask {mask!r}, which are not both whole numbers"
    there = 0 <= candidate < len(offered) and 0 <= mask < offered[candidate]
    where = f"where {len(offered)} candidates with {list(offered)} masks are"
    return "" if there else f"chose candidate {candidate}, mask {mask}, {where}"


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
        return next(iter(self.answers.values()))

    def key_of(self, item: Item) -> str:
        """Use the key with the right answer, which judges see."""
        return item.truth_key

    def asked(self, items: Sequence[Item]) -> Iterator[tuple[Any, str]]:
        """Have the judge read a lazy stream, so that one that asks a server can overlap its calls."""
        judge: Judge[Any] = self.part("judge")

        def stream() -> Iterator[tuple[str, Sequence[str], int, str]]:
            for item in items:
                entry, sample = self.before.record(item), item.sample
                if sample.question is None or sample.answer is None:
                    raise SampleError(f"sample {sample.id} has no question to grade an answer to")
                yield sample.question, sample.options, sample.answer, str(entry.body["text"])

        for one in judge.grade_many(stream()):
            sound = isinstance(one, Verdict) and one.error is None and isinstance(one.correct, bool | np.bool_ | None)
            yield one, "" if sound else f"gave {one!r}: a Verdict has no error, and its correct is True, False or None"
