"""The order in which records flow: answer, propose, select, score.

Each stage runs over the whole benchmark before the next one starts, reads the records of the stage before and keeps
its own, under a key made of everything that can change them. A stage whose records are all there makes no component:
nothing is loaded, nothing computed.
"""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from pixcore.candidates import merge_duplicates
from pixcore.components import (
    AttentionExtractor,
    Context,
    Judge,
    MapTransform,
    MaskGenerator,
    ModelAdapter,
    PointSelector,
    SelectionStrategy,
    TokenGrouper,
)
from pixcore.config import Part
from pixcore.errors import DataError, PixcoreError, SampleError, UserError
from pixcore.masks import encode_many, size_of
from pixcore.records import Candidate, MaskProposal, PointPrompt, Request, Response, Sample, Selection, TokenGroup
from pixcore.stages import serialise
from pixcore.stages.serialise import Entry
from pixcore.stages.store import StageStore, content_key

_NO_CANDIDATES = serialise.candidates_to_entry(())
# of a stage's records, as they are stored, kept for those who read them again; as objects they take several times that
_CACHE_BYTES = 16 * 2**20
_CHUNK = 32  # responses that a grouper is handed together


@dataclass(frozen=True, eq=False)
class Item:
    """One sample under one protocol: what every stage has one record for.

    Attributes:
        sample: The sample.
        request: What the model is asked about it.
        segmented: Whether its response is looked at for masks.
    """

    sample: Sample
    request: Request
    segmented: bool

    @cached_property
    def key(self) -> str:
        """Hash of what a model is shown and asked."""
        return content_key(
            {
                "image": self.request.image.digest,
                "prompt": self.request.prompt,
                "protocol": self.request.protocol.value,
                "expression": self.request.expression,
            }
        )

    @cached_property
    def truth_key(self) -> str:
        """Hash of that and of what the benchmark says is right: strategies and judges may see it."""
        sample = self.sample
        return content_key([self.key, sample.question, list(sample.options), sample.answer, sample.mask])

    @property
    def entropy(self) -> int:
        """A number from the content, so that randomness depends on neither the order nor the neighbours."""
        return int(self.key[:16], 16)


class Monitor(Interface):
    """Who is told how a run goes on."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """A stage starts with `done` of `total` records there already."""

    def advance(self, count: int = 1) -> None:
        """Records were made."""

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        """A sample failed; raises to stop the run."""

    def end(self) -> None:
        """The stage is over, or has been stopped."""


Decoded = TypeVar("Decoded")
Witness = Callable[[str, Item, Entry | None, Entry], None]


@dataclass(eq=False)
class Stage(ABC):
    """One stage of a run.

    Attributes:
        root: The folder of the stage stores.
        context: The run, as components may know it.
        label: What the progress bar says.
        witness: Makes every record anew, in place of those that are there, and hears of both: (label, item, the record
            of before, the new one).
    """

    root: Path
    context: Context
    label: str = ""
    witness: Witness | None = None
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _cache_left: int = field(default=_CACHE_BYTES, init=False, repr=False)

    name: ClassVar[str]
    revision: ClassVar[int]
    """Counted up whenever the stage itself makes other records from the same ingredients."""

    @property
    @abstractmethod
    def parts(self) -> Sequence[Part]:
        """The components at work."""

    @abstractmethod
    def ingredients(self) -> dict[str, Any]:
        """Everything but the sample that can change a record."""

    @abstractmethod
    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Make the records of the items, in order; a failed one gives its error."""

    def key_of(self, item: Item) -> str:
        """Under which key an item's record stands."""
        return item.key

    @cached_property
    def store(self) -> StageStore:
        """The stage's records."""
        shared = {"revision": self.revision, "fidelity": self.context.fidelity.value, "seed": self.context.seed}
        return StageStore(self.root, self.name, {**shared, **self.ingredients()})

    def run(self, items: Sequence[Item], monitor: Monitor) -> None:
        """Make what is missing; failures of earlier runs are tried again."""
        pending = self.pending(items)
        total = len({self.key_of(item) for item in items})
        started = time.perf_counter()
        try:
            monitor.begin(self.label or self.name, total, total - len(pending))
            for item, outcome in self.compute(pending) if pending else ():
                if isinstance(outcome, Exception):
                    self._fail(item, outcome, monitor)
                else:
                    if self.witness is not None:
                        self.witness(self.label or self.name, item, self.get(item), outcome)
                    self._keep(item, outcome, monitor)
                monitor.advance()
        finally:
            monitor.end()  # also when stopped: a bar that is left running leaves a terminal without its cursor
            if pending:
                self.store.spend(time.perf_counter() - started)

    def _keep(self, item: Item, record: Entry, monitor: Monitor) -> None:
        try:
            self.store.put(self.key_of(item), item.sample.id, record)
        except TypeError as error:  # what a plugin put in it is its sample's failure
            self._fail(item, SampleError(f"its record can't be kept: {error}"), monitor)

    def pending(self, items: Sequence[Item]) -> list[Item]:
        """Those whose record is missing, in order; of items with one key the first."""
        finished = self.store.finished() if self.witness is None else set()
        wanted = {self.key_of(item): item for item in reversed(items)}
        return [item for key, item in wanted.items() if key not in finished][::-1]

    def _fail(self, item: Item, error: Exception, monitor: Monitor) -> None:
        if isinstance(error, UserError) and not isinstance(error, DataError):
            raise error  # a missing plugin or weight, a full disk: no sample's fault, the next would fail alike
        self.store.put_failure(self.key_of(item), item.sample.id, describe(error))
        monitor.failed(self.name, item, error)

    def get(self, item: Item) -> Entry | None:
        """An item's record."""
        return self.store.get(self.key_of(item))

    def _decoded(self, item: Item, decode: Callable[[Entry], Decoded]) -> Decoded | None:
        """An item's record, turned back; kept while there is room, as every strategy and the report read it.

        Nothing makes way for another: what is read is read from the first item to the last, again and again. A record
        never changes, as its key says all that it was made of.
        """
        key = self.key_of(item)
        if key in self._cache:
            known: Decoded = self._cache[key]
            return known
        entry = self.store.get(key)
        if entry is None:
            return None
        decoded = decode(entry)
        if entry.size <= self._cache_left:
            self._cache[key] = decoded
            self._cache_left -= entry.size
        return decoded

    def failure(self, item: Item) -> str | None:
        """What went wrong with an item."""
        return self.store.failure(self.key_of(item))


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a list into batches, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def describe(error: Exception) -> str:
    """One line about an error."""
    if isinstance(error, PixcoreError):
        return str(error)
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


class Loader:
    """Makes the model adapter when it is first needed, and frees it when the stage is over."""

    def __init__(self, part: Part, context: Context) -> None:
        self.part = part
        self._context = context
        self._model: ModelAdapter[Any] | None = None

    def __call__(self) -> ModelAdapter[Any]:
        """The adapter."""
        if self._model is None:
            self._model = self.part.create(self._context)
        return self._model

    def free(self) -> None:
        """Let go of the model before the next one is loaded."""
        if self._model is not None:
            self._model.close()
            self._model = None
            gc.collect()


@dataclass(eq=False, kw_only=True)
class Answer(Stage):
    """The model answers; the extractor sees the attention while it does."""

    model: Loader
    extractor: Part | None
    batch_size: int

    name = "answer"
    revision = 1

    @property
    def parts(self) -> Sequence[Part]:
        """The model, and who reads its attention."""
        return [self.model.part, *([self.extractor] if self.extractor else [])]

    def ingredients(self) -> dict[str, Any]:
        """The model and the extractor."""
        return {
            "model": self.model.part.ingredients(),
            "extractor": self.extractor.ingredients() if self.extractor else None,
        }

    def response(self, item: Item) -> Response | None:
        """What the model said to an item."""
        return self._decoded(item, serialise.response_from_entry)

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Answer in batches; a batch that fails is tried again one by one, so that one sample costs no other."""
        model = self.model()
        extractor: AttentionExtractor[Any] | None = None
        if self.extractor is not None and "attention" in model.capabilities:
            extractor = self.extractor.create(self.context)
        for batch in batched(items, self.batch_size):
            try:
                answered = self._answer(model, batch, extractor)
            except Exception as error:
                if len(batch) == 1:
                    yield batch[0], error
                    continue
                for item in batch:
                    try:
                        yield item, self._answer(model, (item,), extractor)[0]
                    except Exception as own_error:
                        yield item, own_error
            else:
                yield from zip(batch, answered, strict=True)

    def _answer(
        self, model: ModelAdapter[Any], batch: Sequence[Item], extractor: AttentionExtractor[Any] | None
    ) -> list[Entry]:
        responses = model.answer([item.request for item in batch], extractor)
        if len(responses) != len(batch):
            raise SampleError(f"the model gave {len(responses)} responses to {len(batch)} requests")
        return [serialise.response_to_entry(response) for response in responses]


def group_maps(response: Response, groups: Sequence[TokenGroup], transforms: Iterable[MapTransform[Any]]) -> Any:
    """(groups, visual tokens) float32: each group's map, the mean over its tokens' transformed maps (paper 3.2).

    Args:
        response: One with maps.
        groups: Groups of its tokens.
        transforms: Applied to all its maps in order.
    """
    maps, layout = response.maps, response.layout
    if maps is None or layout is None:
        raise ValueError("the response has no maps")
    for transform in transforms:
        maps = transform.transform(maps, layout, response.reference)
    if not groups:
        return np.zeros((0, layout.tokens), np.float32)
    return np.stack([maps[list(group.tokens)].mean(axis=0) for group in groups]).astype(np.float32)


@dataclass(frozen=True)
class _Parts:
    """The components that turn maps into candidates."""

    grouper: TokenGrouper[Any]
    transforms: Sequence[MapTransform[Any]]
    selector: PointSelector[Any]
    generator: MaskGenerator[Any]


class Pool(Stage):
    """A stage that makes candidates."""

    def candidates(self, item: Item) -> tuple[Candidate, ...] | None:
        """An item's candidates."""
        return self._decoded(item, serialise.candidates_from_entry)


@dataclass(eq=False, kw_only=True)
class Propose(Pool):
    """Groups of tokens become points, points become candidate masks."""

    answers: Answer
    transforms: Sequence[Part]
    grouper: Part
    points: Part
    masks: Part
    merge_iou: float | None

    name = "propose"
    revision = 2

    @property
    def parts(self) -> Sequence[Part]:
        """What makes masks of maps."""
        return [self.grouper, *self.transforms, self.points, self.masks]

    def ingredients(self) -> dict[str, Any]:
        """The parts, and the answers that they work on."""
        return {
            "answers": self.answers.store.key,
            "transforms": [part.ingredients() for part in self.transforms],
            "grouper": self.grouper.ingredients(),
            "points": self.points.ingredients(),
            "masks": self.masks.ingredients(),
            "merge_iou": self.merge_iou,
        }

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Group several responses at once, then go image by image.

        The parts are made at the first response with maps: a model that segments by itself needs none of them.
        """
        parts: _Parts | None = None
        for chunk in batched(items, _CHUNK):
            responses = [self._response(item) for item in chunk]
            if parts is None and any(response.maps is not None for response in responses):
                parts = self._parts()
            if parts is None:
                yield from ((item, _NO_CANDIDATES) for item in chunk)
                continue
            for item, response, own in zip(chunk, responses, _grouped(parts.grouper, responses), strict=True):
                if isinstance(own, Exception):
                    yield item, own
                    continue
                try:
                    yield item, self._propose(item, response, own, parts)
                except Exception as error:  # recorded with its sample
                    yield item, error
        if parts is not None:
            parts.generator.close()

    def _parts(self) -> _Parts:
        return _Parts(
            self.grouper.create(self.context),
            [part.create(self.context) for part in self.transforms],
            self.points.create(self.context),
            self.masks.create(self.context),
        )

    def _response(self, item: Item) -> Response:
        response = self.answers.response(item)
        if response is None:
            raise SampleError(f"sample {item.sample.id} has no answer to look at")
        return response

    def _propose(self, item: Item, response: Response, groups: Sequence[TokenGroup], parts: _Parts) -> Entry:
        if response.maps is None or response.layout is None:
            return _NO_CANDIDATES
        image, truth = item.request.image, item.sample.mask
        if truth is not None and size_of(truth) != image.size:
            raise DataError(
                f"sample {item.sample.id} has a ground truth of {size_of(truth)} pixels for an image of {image.size}",
                hint="is it the mask of another image?",
            )
        parts.selector.reseed(item.entropy)
        maps = group_maps(response, groups, parts.transforms)
        prompts = [parts.selector.select(response.layout.to_image(values, image.size)) for values in maps]
        proposals = parts.generator.segment(image, prompts) if prompts else []
        found = [_candidate(*each) for each in zip(groups, maps, prompts, proposals, strict=True)]
        return serialise.candidates_to_entry(merge_duplicates(found, self.merge_iou) if self.merge_iou else found)


def _grouped(grouper: TokenGrouper[Any], responses: Sequence[Response]) -> Sequence[list[TokenGroup] | Exception]:
    """Group several responses; where that fails, one by one, so that one sample costs no other."""
    try:
        return grouper.group_many([(response.text, response.tokens) for response in responses])
    except Exception:
        return [_grouped_alone(grouper, response) for response in responses]


def _grouped_alone(grouper: TokenGrouper[Any], response: Response) -> list[TokenGroup] | Exception:
    try:
        return grouper.group_many([(response.text, response.tokens)])[0]
    except Exception as error:  # recorded with its sample
        return error


def _candidate(
    group: TokenGroup | None, values: NDArray[np.float32] | None, prompt: PointPrompt, proposal: MaskProposal
) -> Candidate:
    if not np.isfinite(proposal.scores).all():
        raise SampleError("the mask generator gave a score that is no finite number")
    return Candidate(
        group=group,
        point=prompt,
        masks=tuple(encode_many(proposal.masks)),
        scores=tuple(float(score) for score in proposal.scores),
        stability=tuple(float(value) for value in proposal.stability) if proposal.stability is not None else (),
        map=values,
    )


@dataclass(eq=False, kw_only=True)
class Control(Pool):
    """The matched control: as many prompts as the run's own candidates, from points that no attention chose."""

    proposals: Propose
    points: Part
    masks: Part

    name = "control"
    revision = 1

    @property
    def parts(self) -> Sequence[Part]:
        """What makes masks of nothing."""
        return [self.points, self.masks]

    def ingredients(self) -> dict[str, Any]:
        """The parts, and the candidates that are matched."""
        return {
            "proposals": self.proposals.store.key,
            "points": self.points.ingredients(),
            "masks": self.masks.ingredients(),
        }

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Draw as many prompts an image as it has candidates; where there are none, nothing is made."""
        selector: PointSelector[Any] = self.points.create(self.context)
        generator: MaskGenerator[Any] | None = None
        for item in items:
            try:
                own = self._matched(item)
                if own and generator is None:
                    generator = self.masks.create(self.context)
                yield item, self._draw(item, own, selector, generator) if generator else _NO_CANDIDATES
            except Exception as error:  # recorded with its sample
                yield item, error
        if generator is not None:
            generator.close()

    def _matched(self, item: Item) -> tuple[Candidate, ...]:
        own = self.proposals.candidates(item)
        if own is None:
            raise SampleError(f"sample {item.sample.id} has no candidates to match")
        return own

    def _draw(
        self,
        item: Item,
        own: Sequence[Candidate],
        selector: PointSelector[Any],
        generator: MaskGenerator[Any],
    ) -> Entry:
        width, height = item.request.image.size
        nowhere = np.zeros((height, width), np.float32)
        selector.reseed(item.entropy)
        prompts = [selector.select(nowhere) for _ in own]
        proposals = generator.segment(item.request.image, prompts) if prompts else []
        drawn = [
            _candidate(match.group, match.map, prompt, proposal)
            for match, prompt, proposal in zip(own, prompts, proposals, strict=True)
        ]
        return serialise.candidates_to_entry(drawn)


@dataclass(eq=False, kw_only=True)
class Select(Stage):
    """One strategy chooses among the candidates."""

    answers: Answer
    proposals: Pool
    strategy: Part

    name = "select"
    revision = 1

    @property
    def parts(self) -> Sequence[Part]:
        """The strategy."""
        return [self.strategy]

    def ingredients(self) -> dict[str, Any]:
        """The strategy, and the candidates that it chooses from."""
        return {"proposals": self.proposals.store.key, "strategy": self.strategy.ingredients()}

    def key_of(self, item: Item) -> str:
        """Strategies may see the ground truth."""
        return item.truth_key

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Hand the strategy a lazy stream, so that one that asks a server can overlap its calls."""
        context = with_memory(self.context, self.root, self.strategy, fresh=self.witness is not None)
        strategy: SelectionStrategy[Any] = self.strategy.create(context)
        offered: deque[list[int]] = deque()  # how many masks each candidate had, of the samples in flight

        def stream() -> Iterator[tuple[Sample, Response, Sequence[Candidate]]]:
            for item in items:
                response, candidates = self.answers.response(item), self.proposals.candidates(item)
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
                yield item, SampleError(f"strategy {self.strategy.name!r} chose {wrong}")
            else:
                yield item, Entry(serialise.selection_to_json(outcome))
        strategy.close()


def _misplaced(outcome: Selection, offered: Sequence[int]) -> str:
    """What is wrong with a choice that names no mask which was offered; a record of it could never be scored."""
    if not isinstance(outcome, Selection):
        return f"a {type(outcome).__name__}, which is no Selection"
    if outcome.outcome != "chosen":
        return ""
    candidate, mask = outcome.candidate, outcome.mask
    if not (isinstance(candidate, int) and isinstance(mask, int)):
        return f"candidate {candidate!r}, mask {mask!r}, which are not both of Python's int"
    if 0 <= candidate < len(offered) and 0 <= mask < offered[candidate]:
        return ""
    return f"candidate {candidate}, mask {mask}, where {len(offered)} candidates with {list(offered)} masks are"


@dataclass(eq=False, kw_only=True)
class Grade(Stage):
    """The judge reads the answers."""

    answers: Mapping[str, Answer]
    judge: Part

    name = "score"
    revision = 1

    @property
    def parts(self) -> Sequence[Part]:
        """The judge."""
        return [self.judge]

    def ingredients(self) -> dict[str, Any]:
        """The judge, and the answers that it reads."""
        return {
            "answers": {protocol: answers.store.key for protocol, answers in sorted(self.answers.items())},
            "judge": self.judge.ingredients(),
        }

    def key_of(self, item: Item) -> str:
        """Judges see the right answer."""
        return item.truth_key

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Hand the judge a lazy stream."""
        context = with_memory(self.context, self.root, self.judge, fresh=self.witness is not None)
        judge: Judge[Any] = self.judge.create(context)

        def stream() -> Iterator[tuple[str, Sequence[str], int, str]]:
            for item in items:
                entry = self.answers[item.request.protocol].get(item)
                sample = item.sample
                if entry is None or sample.question is None or sample.answer is None:
                    raise SampleError(f"sample {sample.id} has no answer to grade")
                yield sample.question, sample.options, sample.answer, str(entry.body["text"])

        for item, outcome in zip(items, judge.grade_many(stream()), strict=True):
            if isinstance(outcome, Exception):
                yield item, outcome
            else:
                yield item, Entry(serialise.verdict_to_json(outcome))
        judge.close()


def with_memory(context: Context, root: Path, part: Part, *, fresh: bool = False) -> Context:
    """The context of a component that pays for its answers: they are kept beside the stages' records.

    One file serves all components of a distribution, whatever their options and version, because an answer's own key
    says everything about the question.

    Args:
        context: The run's.
        root: The folder of the stage stores.
        part: The component.
        fresh: Forget what was answered before this call; it is still replaced only by a new answer.
    """
    store = StageStore(root, "exchanges", {"distribution": part.registration.distribution})
    if not fresh:
        return replace(context, recall=store.recall, remember=store.remember)
    renewed: set[str] = set()

    def recall(key: str) -> Any:
        return store.recall(key) if key in renewed else None

    def remember(key: str, value: Any) -> None:
        store.remember(key, value)
        renewed.add(key)

    return replace(context, recall=recall, remember=remember)
