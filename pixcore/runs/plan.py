"""Plan a run: its stages over a benchmark, here or on a cluster, and the folder that tells of it."""

from __future__ import annotations

import platform
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, groupby, islice
from typing import Any, TypeVar

from pixcore import __version__
from pixcore.components import Benchmark, Context, ModelConfig
from pixcore.config import Chosen, ChosenComponent, ChosenComponents, ResolvedRun, row_names
from pixcore.errors import ConfigError, DataError, SampleError, describe, nearest
from pixcore.figures.rows import ANSWERS_ALONE, OWN_MASKS, RowSpec, control_spec
from pixcore.figures.scores import score_sample
from pixcore.plugins import Kind, hold_to_kinds
from pixcore.protocols import build_prompt
from pixcore.records import ProtocolResult, Request, Sample, SampleResult, Selection, Verdict
from pixcore.services import LEDGER, Allowance
from pixcore.shelf import Shelf, View
from pixcore.stages.answer import Answer, Loader
from pixcore.stages.base import Item, OnRecord, Stage, with_memory
from pixcore.stages.choose import JudgeStage, Select
from pixcore.stages.propose import CandidateStage, Control, Propose

_NOUNS = [kind.noun for kind in Kind if kind not in (Kind.BENCHMARK, Kind.EXECUTOR)]
_USED = [kind.noun for stage in (Answer, Propose, Control, Select, JudgeStage) for kind in stage.uses.values()]
hold_to_kinds("the `uses` of pixcore.stages", _NOUNS, _USED)

Work = Mapping[Stage, tuple[View[Item], int]]
"""The stages of a run in order, each with the items whose records are missing, and how many others are there."""

Before = TypeVar("Before", bound=Stage)
After = TypeVar("After", bound=Stage)
Outcome = TypeVar("Outcome", Selection, Verdict)


@dataclass(frozen=True)
class Scope:
    """Which part of a benchmark a command is about.

    Attributes:
        limit: The first so many samples; None for all.
        samples: These ids alone; empty for all.
        shard: (i, n): the i-th of n parts, counted from 1; None for all.
    """

    limit: int | None = None
    samples: tuple[str, ...] = ()
    shard: tuple[int, int] | None = None


class Run:
    """One run: its samples, its stages, its results.

    Args:
        resolved: The validated config.
        scope: Which part of the benchmark.
        samples: In place of a benchmark; their responses are looked at for masks, with a ground truth or without.
        on_record: Strategies and judges that ask a service are asked anew; it hears of each record before and after.
    """

    def __init__(
        self,
        resolved: ResolvedRun,
        scope: Scope | None = None,
        samples: Sequence[Sample] | None = None,
        on_record: OnRecord | None = None,
    ) -> None:
        self.resolved = resolved
        self.scope = scope or Scope()
        config = resolved.config
        fidelity = config.fidelity.of_answers
        model = resolved.components.one("model")
        allowance = Allowance(config.prices, config.budget, config.output / LEDGER)
        alone = Context(fidelity, config.seed, allowance=allowance, batch_size=config.batch_size)
        self.loader = Loader(model, with_memory(alone, config.store, model))
        self.context = replace(alone, model=self.loader, model_config=model.config)
        self._on_record = on_record
        self._given = samples
        self._segmented = False  # whether any item is, once they are known
        self._probings = config.probings

    @property
    def benchmark_name(self) -> str:
        """The benchmark's name."""
        return next((one.name for one in self.resolved.components.several("benchmark")), "given samples")

    @cached_property
    def benchmark(self) -> Benchmark[Any] | None:
        """The benchmark, made when it is first needed."""
        return next((one.create(self.context) for one in self.resolved.components.several("benchmark")), None)

    def _samples(self) -> Iterator[Sample]:
        """Give the samples in scope; a DataError where there are none, or the scope names one that is not there."""
        if self._given is None and self.benchmark is None:
            raise ConfigError("the config has no benchmark:", hint="a run needs one")
        every: Iterable[Sample] = self.benchmark.samples() if self.benchmark is not None else self._given or ()
        if self.scope.samples:
            wanted = dict.fromkeys(self.scope.samples)  # one that is named twice counts once
            found, unknown = dict[str, Sample | None](), dict(wanted)
            for sample in every:
                found[sample.id] = sample if sample.id in wanted else None
                unknown.pop(sample.id, None)
                if not unknown:  # no more is read, or drawn, than is asked for
                    break
            if (first_unknown := next(iter(unknown), None)) is not None:
                message = f"benchmark {self.benchmark_name!r} has no sample {first_unknown!r}"
                raise DataError(message, hint=nearest(first_unknown, found))
            every = (sample for sample in map(found.get, wanted) if sample is not None)
        (first, step), at = self.scope.shard or (1, 1), -1
        for at, sample in enumerate(islice(every, self.scope.limit)):
            if at % step == first - 1:
                yield sample
        if at < 0:
            raise DataError(f"benchmark {self.benchmark_name!r} has no samples", hint="check its options and folder")

    @cached_property
    def items(self) -> Shelf[Item]:
        """One item for each sample and probing that asks something of it; of no probing where nothing is asked.

        Raises:
            DataError: Two samples share an id.
        """
        shelf: Shelf[Item] = Shelf()
        for sample in self._samples():
            if self._places(shelf, sample.id):
                message = f"benchmark {self.benchmark_name!r} has two samples with the id {sample.id!r}"
                raise DataError(message, hint="ids must be unique")
            for item in self._items_of(sample):
                shelf.add(f"{item.request.protocol}\n{sample.id}", item)
        return shelf

    def _items_of(self, sample: Sample) -> Iterator[Item]:
        config, own = self.resolved.config, self.loader.component.config
        templates = {**(own.prompts if isinstance(own, ModelConfig) else {}), **config.prompts}
        asked = {name: build_prompt(sample, one, config.fidelity, templates) for name, one in self._probings.items()}
        prompts = {name: prompt for name, prompt in asked.items() if prompt is not None} or {"": ""}
        grounded = sample.mask is not None or self._given is not None
        by_sample = isinstance(own, ModelConfig) and own.by_sample
        for name, prompt in prompts.items():
            request = Request(sample.id, name, sample.image, prompt, sample.expression, config.seed)
            item = Item(sample, request, bool(name) and self._probings[name].masks and grounded, by_sample=by_sample)
            self._segmented |= item.segmented
            try:
                _ = item.truth_key if name else ""  # reads the image
            except DataError as error:
                item = replace(item, unreadable=describe(error))
            yield item

    @property
    def every(self) -> View[Item]:
        """All items, sample by sample."""
        return View(self.items.thing, range(len(self.items)))

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The answer stage of each probing; attention is read where the answer is looked at for masks."""
        looked_at = any(probing.masks for probing in self._probings.values())
        plain = self._answer("answer (text alone)" if looked_at else "answer", extractor=None)
        components = self.resolved.components
        if components["extractor"] is None or components["masks"] is None:
            return dict.fromkeys(self._probings, plain)
        seen = self._answer("answer")
        return {name: seen if probing.masks else plain for name, probing in self._probings.items()}

    def _answer(self, label: str, **other: Chosen) -> Answer:
        config, components = self.resolved.config, ChosenComponents(self.resolved.components | other)
        return Answer(config.store, self.context, components, label, loader=self.loader, batch_size=config.batch_size)

    @cached_property
    def proposals(self) -> dict[str, Propose]:
        """The propose stage of each probing that is looked at for masks."""
        config, components = self.resolved.config, self.resolved.components
        if components["masks"] is None or not len(self.items) or not self._segmented:
            return {}
        looked_at = {name: answers for name, answers in self.answers.items() if self._probings[name].masks}
        store, context, iou = config.store, self.context, config.merge_iou
        return _after(looked_at, lambda one: Propose(store, context, components, "propose", answers=one, merge_iou=iou))

    @cached_property
    def controls(self) -> dict[str, dict[str, Control]]:
        """The candidates of each control, by its name and the probing."""
        return {name: _after(self.proposals, partial(self._control, name)) for name in self.resolved.controls}

    def _control(self, name: str, before: Propose) -> Control:
        points, _ = self.resolved.controls[name]
        parts = ChosenComponents(self.resolved.components | {"points": points})
        store, label = self.resolved.config.store, f"control: {name}"
        return Control(store, self.context, parts, label, proposals=before, ring=self.every)

    @cached_property
    def _strategies(self) -> dict[RowSpec, ChosenComponent]:
        """The strategies by their rows."""
        parts = self.resolved.components.several("selections")
        return {_row(name, part): part for name, part in zip(row_names(parts), parts, strict=True)}

    @cached_property
    def _control_strategies(self) -> dict[RowSpec, ChosenComponent]:
        """The controls' strategies by their rows: each control's own, and of the first every other that is free."""
        found: dict[RowSpec, ChosenComponent] = {}
        for name, (_, own) in self.resolved.controls.items():
            same = (row for row, part in self._strategies.items() if part.same_as(own))
            label = own.label or own.name
            taken = any(row.key == label for row in self._strategies)  # by one that chooses otherwise
            matched = {next(same, None) or _row(f"{label} (as the control has it)" if taken else label, own): own}
            if not found:
                others = {row: part for row, part in self._strategies.items() if row not in matched}
                matched |= {row: part for row, part in others.items() if not part.says("asks_service", "needs_model")}
            found |= {control_spec(row, name): part for row, part in matched.items()}
        return found

    @cached_property
    def selections(self) -> dict[str, dict[str, Select]]:
        """The select stages, by the row's key and the probing; the controls' rows among them.

        Raises:
            ConfigError: A strategy's label is the name of a control's row, of own masks', or of answers alone.
        """
        others = {row.key: "a matched control's" for row in self._control_strategies}
        others |= {OWN_MASKS: "own masks'", ANSWERS_ALONE: "the answers'"}
        if clash := next((row.key for row in self._strategies if row.key in others), ""):
            raise ConfigError(f"selections: the label {clash!r} is the name of {others[clash]} row", hint="change it")
        return {
            row.key: self._select(pools, part, f"{word}: {row.label}")
            for word, strategies in (("select", self._strategies), ("control", self._control_strategies))
            for row, part in strategies.items()
            for pools in [self.proposals if row.pool is None else self.controls[row.pool]]
        }

    def _select(self, pools: Mapping[str, CandidateStage], strategy: ChosenComponent, label: str) -> dict[str, Select]:
        config, chosen = self.resolved.config, ChosenComponents(strategy=strategy)
        context = replace(self.context, fidelity=config.fidelity)
        return _after(
            pools, lambda pool: Select(config.store, context, chosen, label, self._hears(strategy), proposals=pool)
        )

    @cached_property
    def judge_stages(self) -> dict[str, JudgeStage]:
        """The judge of each probing whose answers are graded."""
        judged = {name: probing.judge for name, probing in self._probings.items() if probing.judge is not None}
        judges = {name: self.resolved.components.several(section) for name, section in judged.items()}
        return {name: self._judge(name, judge) for name, found in judges.items() for judge in found}

    def _judge(self, probing: str, judge: ChosenComponent) -> JudgeStage:
        store, answers = self.resolved.config.store, {probing: self.answers[probing]}
        chosen = ChosenComponents(judge=judge)
        return JudgeStage(store, self.context, chosen, f"judge: {probing}", self._hears(judge), answers=answers)

    def _hears(self, component: ChosenComponent) -> OnRecord | None:
        """Who hears of a component's records; its class is imported only where somebody does."""
        return self._on_record if self._on_record is not None and component.says("asks_service") else None

    def work(self) -> Work:
        """List every stage, in order, with the items whose records are missing, and how many other records are there.

        Answers go probing by probing, as they are of one length then; where probings share an image, batch by batch.
        """
        places: dict[Stage, dict[str, array[int]]] = {stage: {} for stage in self.stages()}
        there, refills = Counter[Stage](), getattr(self.loader.component.config, "refills", False)
        size = self.resolved.config.batch_size if refills else len(self.every)
        seen: Shelf[None] = Shelf()
        for at, item in enumerate(self.every):
            for stage in self._stages_of(item) if not item.unreadable else ():
                new = seen.add(f"{id(stage)} {stage.key_of(item)}")
                if new and stage.has(item):
                    there[stage] += 1
                elif new:
                    together = item.request.protocol if isinstance(stage, Answer) else ""
                    places[stage].setdefault(together, array("q")).append(at)
        for stage, parts in places.items():
            if isinstance(stage, Answer) and refills:
                stage.batch_size = size * (len(parts) or 1)
        return {
            stage: (View(self.items.thing, _in_turn(list(parts.values()), size)), there[stage])
            for stage, parts in places.items()
        }

    def _stages_of(self, item: Item) -> Iterator[Stage]:
        """The stages that an item goes through, in order."""
        protocol = item.request.protocol
        if protocol in self.answers:
            yield self.answers[protocol]
        if item.segmented:
            later: list[Mapping[str, Stage]] = [self.proposals, *self.controls.values(), *self.selections.values()]
            yield from (stages[protocol] for stages in later if protocol in stages)
        if protocol in self.judge_stages and is_gradable(item.sample):
            yield self.judge_stages[protocol]

    def ids(self) -> Iterator[str]:
        """Give the samples' ids, in order."""
        return (name for name, _ in groupby(self.every, key=lambda item: item.sample.id))

    def results(self) -> Iterator[SampleResult]:
        """Read the run's records, sample by sample in the benchmark's order."""
        for _, items in groupby(self.every, key=lambda item: item.sample.id):
            yield self._scored(list(items), self.rows)

    def result(self, sample: str) -> tuple[SampleResult, list[RowSpec]]:
        """Read the records of one sample while others are still computed, and the rows that it has."""
        items = self._items_named(sample)
        rows = self._rows(items)
        return self._scored(items, rows), rows

    def records(self, sample: str) -> list[tuple[Stage, str]]:
        """List the stage and key of every record that a sample's result is made of; none if it can't be read."""
        items = self._items_named(sample)
        read = not any(item.unreadable for item in items)
        return [(stage, stage.key_of(item)) for item in items for stage in self._stages_of(item)] if read else []

    def _items_named(self, sample: str) -> list[Item]:
        return [self.items.thing(place) for place in self._places(self.items, sample)]

    def _places(self, shelf: Shelf[Item], sample: str) -> list[int]:
        return [place for name in (*self._probings, "") if (place := shelf.number(f"{name}\n{sample}")) >= 0]

    def _scored(self, items: Sequence[Item], rows: Sequence[RowSpec]) -> SampleResult:
        sample, scored = items[0].sample, dict[str, ProtocolResult]()
        for item in items if items[0].request.protocol else ():
            found = self._score(sample, self._result(item), rows)
            scored[found.protocol] = found if self._probings[found.protocol].masks else replace(found, scores={})
        return SampleResult(sample, scored)

    def _score(self, sample: Sample, result: ProtocolResult, rows: Sequence[RowSpec]) -> ProtocolResult:
        """Score a result; what can't be scored is its sample's failure, as in any stage."""
        try:
            return score_sample(sample, {result.protocol: result}, rows).by_probing[result.protocol]
        except Exception as error:
            said = f"can't be scored: {describe(error)}"
            if self.resolved.config.on_error == "stop":
                hint = "on_error: record goes on without it"
                raise SampleError(f"sample {sample.id} ({result.protocol}) {said}", hint=hint) from error
            text = replace(result.response, mask=None, masks=()) if result.response is not None else None
            bare = replace(result, response=text, candidates=(), controls={}, selections={}, error=said)
            return score_sample(sample, {result.protocol: bare}, rows).by_probing[result.protocol]

    def _result(self, item: Item) -> ProtocolResult:
        protocol = item.request.protocol
        blank = ProtocolResult(protocol, item.request.prompt, graded=protocol in self.judge_stages)
        if item.unreadable:
            return replace(blank, error=item.unreadable)
        answers = self.answers[protocol]
        if (response := answers.response(item)) is None:
            return replace(blank, error=answers.failure(item) or "not computed yet")
        judge = self.judge_stages.get(protocol)
        verdict = _outcome(judge, item, Verdict) if judge is not None and is_gradable(item.sample) else None
        answered = replace(blank, response=response, verdict=verdict)
        if not item.segmented or protocol not in self.proposals:
            return answered
        if (candidates := self.proposals[protocol].candidates(item)) is None:
            return replace(answered, error=self.proposals[protocol].failure(item))
        drawn = ((name, control[protocol].candidates(item)) for name, control in self.controls.items())
        controls = {name: pool for name, pool in drawn if pool is not None}
        found = ((key, _outcome(row[protocol], item, Selection)) for key, row in self.selections.items())
        selections = {key: selection for key, selection in found if selection is not None}
        return replace(answered, candidates=candidates, controls=controls, selections=selections)

    @cached_property
    def rows(self) -> list[RowSpec]:
        """The rows of the table: the model's own masks if it gives any, each strategy if it may choose, the control."""
        return self._rows(item for item in self.every if not item.unreadable)

    def _rows(self, items: Iterable[Item]) -> list[RowSpec]:
        segmented = (self.answers[item.request.protocol].get(item) for item in items if item.segmented)
        first = next((entry for entry in segmented if entry is not None), None)
        own = [RowSpec(OWN_MASKS, own_masks=True)] if first is not None and first.body["mask"] is not None else []
        blind = first is not None and "maps" not in first.arrays
        if not self.proposals or (blind and not self.resolved.components.one("grouper").says("gives_prompts")):
            return own or [RowSpec(ANSWERS_ALONE)]
        return [*own, *self._strategies, *self._control_strategies] or [RowSpec(ANSWERS_ALONE)]

    def document(self) -> dict[str, Any]:
        """Give what `run.json` holds: the resolved config, versions of everything, which stage stores it used.

        "seconds" is how long their records took, over all commands that computed them.
        """
        from pixcore.versions import NUMERICAL, installed

        used: dict[str, list[str]] = {}
        for stage in self.stages():
            used.setdefault(stage.name, []).append(str(stage.store.path))
        versions = {name: found.version for name in (*NUMERICAL, "openai") if (found := installed(name)) is not None}
        scope = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self.scope).items()}
        at_work = [one.registration for one in self.resolved.components.every]
        packages = {one.distribution: one.version for one in at_work if one.kind is not Kind.EXECUTOR}
        return {
            "pixcore": __version__,
            "fidelity": self.resolved.config.fidelity.value,
            "config": self.resolved.document(),
            "scope": scope,
            "plugins": dict(sorted(packages.items())),
            "versions": {"python": platform.python_version(), **versions},
            "platform": platform.platform(),
            "stores": used,
            "seconds": round(sum(stage.store.seconds for stage in self.stages()), 3),
            "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def stages(self) -> list[Stage]:
        """List every stage of the run, in order, each once."""
        selects = [select for row in self.selections.values() for select in row.values()]
        controls = [control for named in self.controls.values() for control in named.values()]
        every = [*self.answers.values(), *self.proposals.values(), *controls, *selects]
        return list(dict.fromkeys([*every, *self.judge_stages.values()]))


def _in_turn(parts: Sequence[Sequence[int]], size: int) -> Iterator[int]:
    """Take so many of each part, then so many more."""
    for start in range(0, max(map(len, parts), default=0), size or 1):
        yield from chain.from_iterable(part[start : start + size] for part in parts)


def _after(stages: Mapping[str, Before], make: Callable[[Before], After]) -> dict[str, After]:
    """Each probing's next stage; probings that share a stage share the next one."""
    made = {before: make(before) for before in dict.fromkeys(stages.values())}
    return {probing: made[before] for probing, before in stages.items()}


def _outcome(stage: Select | JudgeStage, item: Item, made: type[Outcome]) -> Outcome | None:
    """What a strategy chose or a judge said, or that it failed: its own failure, and no other row's."""
    if (entry := stage.get(item)) is not None:
        return made(**entry.body)
    error = stage.failure(item) or stage.before.failure(item)
    return None if error is None else made.failed(error)


def is_gradable(sample: Sample) -> bool:
    """Say whether a judge can be shown a question and its right answer."""
    return sample.question is not None and sample.answer is not None


def _row(key: str, strategy: ChosenComponent) -> RowSpec:
    return RowSpec(key, uses_ground_truth=strategy.says("uses_ground_truth"))
