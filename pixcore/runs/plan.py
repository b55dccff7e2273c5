"""Stages over a benchmark, here or on a cluster, and the run folder that tells of it.

A run on a cluster is the same command on every machine with `--shard i/n` and one store on a shared disk; the last
command, without a shard, finds every record there and writes the tables. No process waits for another.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from typing import Any

from pixcore import __version__
from pixcore.components import Benchmark, Context, ModelConfig, SelectionStrategy
from pixcore.config import ChosenComponent, ResolvedRun, row_names
from pixcore.errors import ConfigError, DataError, SampleError, describe, nearest
from pixcore.figures.rows import ANSWERS_ALONE, OWN_MASKS, RowSpec, control_spec
from pixcore.figures.scores import score_sample
from pixcore.protocols import build_prompt
from pixcore.records import ProtocolResult, Request, Sample, SampleResult, Selection, Verdict
from pixcore.runs.execute import StoppingMonitor
from pixcore.services import LEDGER, Spending
from pixcore.stages import serialise
from pixcore.stages.answer import Answer, Loader
from pixcore.stages.base import Item, Monitor, OnRecord, Stage
from pixcore.stages.choose import JudgeStage, Select
from pixcore.stages.propose import Control, Propose
from pixcore.versions import NUMERICAL

_RECORDED_VERSIONS = (*NUMERICAL, "openai")


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
        samples: In place of a benchmark; their responses are looked at for masks whether there is a ground truth or
            not.
        on_record: Strategies and judges that ask a service are asked anew, and it hears of every record before and
            after.
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
        self.loader = Loader(resolved.model, Context(config.fidelity, config.seed))
        self.spending = Spending(config.prices, config.budget, config.output / LEDGER)
        self.context = Context(config.fidelity, config.seed, self.loader, spending=self.spending)
        self._on_record = on_record
        self._given = samples
        self._broken: dict[tuple[str, str], str] = {}
        self._probings = config.probings

    @property
    def benchmark_name(self) -> str:
        """The benchmark's name."""
        return self.resolved.benchmark.name if self.resolved.benchmark is not None else "given samples"

    @cached_property
    def benchmark(self) -> Benchmark[Any] | None:
        """The benchmark."""
        return self.resolved.benchmark.create(self.context) if self.resolved.benchmark is not None else None

    @cached_property
    def samples(self) -> list[Sample]:
        """The samples in scope.

        Raises:
            DataError: Two samples share an id, or the scope names one that does not exist.
        """
        if self._given is not None:
            return list(self._given)
        part = self.resolved.benchmark
        if part is None or self.benchmark is None:
            raise ConfigError("the config has no benchmark:", hint="a run needs one")
        found: dict[str, Sample] = {}
        for sample in self.benchmark.samples():
            if sample.id in found:
                raise DataError(
                    f"benchmark {part.name!r} has two samples with the id {sample.id!r}", hint="ids must be unique"
                )
            found[sample.id] = sample
        if not found:
            raise DataError(f"benchmark {part.name!r} has no samples", hint="check its options and its folder")
        unknown = [name for name in self.scope.samples if name not in found]
        if unknown:
            raise DataError(f"benchmark {part.name!r} has no sample {unknown[0]!r}", hint=nearest(unknown[0], found))
        named = dict.fromkeys(self.scope.samples)  # one that is named twice counts once
        chosen = [found[name] for name in named] if named else list(found.values())
        chosen = chosen[: self.scope.limit]
        if self.scope.shard is not None:
            index, count = self.scope.shard
            chosen = chosen[index - 1 :: count]
        return chosen

    @cached_property
    def items(self) -> list[Item]:
        """One item for each sample and probing that asks something of it, probing by probing.

        Answers under one probing are of one length, so batches lose the least when probings are not mixed.
        """
        config = self.resolved.config
        own = self.resolved.model.config
        templates = {**(own.prompts if isinstance(own, ModelConfig) else {}), **config.prompts}
        items = []
        for name, probing in self._probings.items():
            for sample in self.samples:
                prompt = build_prompt(sample, probing, config.fidelity, templates)
                if prompt is None:
                    continue
                request = Request(sample.id, name, sample.image, prompt, sample.expression, config.seed)
                looked_at = probing.masks and (sample.mask is not None or self._given is not None)
                item = Item(sample, request, looked_at)
                try:
                    _ = item.key  # reads the image
                except DataError as error:
                    self._broken[sample.id, name] = describe(error)
                items.append(item)
        return items

    def _sound(self) -> list[Item]:
        return [item for item in self.items if (item.sample.id, item.request.protocol) not in self._broken]

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The answer stage of each probing; attention is read where the answer is looked at for masks."""
        looked_at = any(probing.masks for probing in self._probings.values())
        plain = self._answer(None, "answer (text alone)" if looked_at else "answer")
        if self.resolved.extractor is None or self.resolved.masks is None:
            return dict.fromkeys(self._probings, plain)
        seen = self._answer(self.resolved.extractor, "answer")
        return {name: seen if probing.masks else plain for name, probing in self._probings.items()}

    def _answer(self, extractor: ChosenComponent | None, label: str) -> Answer:
        config = self.resolved.config
        return Answer(
            config.store,
            self.context,
            label,
            model=self.loader,
            extractor=extractor,
            batch_size=config.batch_size,
        )

    @cached_property
    def proposals(self) -> dict[str, Propose]:
        """The propose stage of each probing that is looked at for masks."""
        resolved = self.resolved
        if resolved.masks is None or not any(item.segmented for item in self.items):
            return {}
        by_answers: dict[Answer, Propose] = {}
        result: dict[str, Propose] = {}
        for protocol, answers in self.answers.items():
            if not self._probings[protocol].masks:
                continue
            if answers not in by_answers:
                by_answers[answers] = Propose(
                    resolved.config.store,
                    self.context,
                    "propose",
                    answers=answers,
                    transforms=resolved.transforms,
                    grouper=resolved.grouper,
                    points=resolved.points,
                    masks=resolved.masks,
                    merge_iou=resolved.config.merge_iou,
                )
            result[protocol] = by_answers[answers]
        return result

    @cached_property
    def controls(self) -> dict[str, Control]:
        """The matched control's candidates."""
        resolved = self.resolved
        if resolved.control_points is None or resolved.masks is None:
            return {}
        by_proposals = {
            proposals: Control(
                resolved.config.store,
                self.context,
                "control",
                proposals=proposals,
                points=resolved.control_points,
                masks=resolved.masks,
            )
            for proposals in set(self.proposals.values())
        }
        return {protocol: by_proposals[proposals] for protocol, proposals in self.proposals.items()}

    @cached_property
    def _strategies(self) -> dict[RowSpec, ChosenComponent]:
        """The strategies by their rows."""
        parts = self.resolved.selections
        return {_row(name, part): part for name, part in zip(row_names(parts), parts, strict=True)}

    @cached_property
    def _control_strategies(self) -> dict[RowSpec, ChosenComponent]:
        """The matched controls' strategies by their rows: the config's own first, then every other that is free."""
        resolved = self.resolved
        if resolved.control_points is None or resolved.control_selection is None:
            return {}
        own = resolved.control_selection
        same = (row for row, part in self._strategies.items() if part.same_as(own))
        matched = {next(same, None) or self._unlisted(own): own}
        matched |= {row: part for row, part in self._strategies.items() if row not in matched and not is_costly(part)}
        return {control_spec(row, resolved.control_points.name): part for row, part in matched.items()}

    def _unlisted(self, own: ChosenComponent) -> RowSpec:
        """What the control's strategy is known by where the table has no row of it."""
        name = own.label or own.name
        taken = any(row.key == name for row in self._strategies)
        return _row(f"{name} (as the control has it)" if taken else name, own)

    @cached_property
    def selections(self) -> dict[str, dict[str, Select]]:
        """By the row's key and the probing; the controls' rows among them.

        Raises:
            ConfigError: A strategy's label is the name of a control's row.
        """
        controls = {row.key for row in self._control_strategies}
        clash = next((row.key for row in self._strategies if row.key in controls), None)
        if clash is not None:
            raise ConfigError(
                f"selections: the label {clash!r} is the name of a matched control's row", hint="change it"
            )
        return {
            row.key: self._select(pools, part, f"{word}: {row.label}")
            for word, pools, strategies in (
                ("select", self.proposals, self._strategies),
                ("control", self.controls, self._control_strategies),
            )
            for row, part in strategies.items()
        }

    def _select(
        self, pools: Mapping[str, Propose] | Mapping[str, Control], strategy: ChosenComponent, label: str
    ) -> dict[str, Select]:
        by_pool: dict[Stage, Select] = {}
        for protocol, pool in pools.items():
            if pool not in by_pool:
                by_pool[pool] = Select(
                    self.resolved.config.store,
                    self.context,
                    label,
                    self._on_record if asks_service(strategy) else None,
                    answers=self.answers[protocol],
                    proposals=pool,
                    strategy=strategy,
                )
        return {protocol: by_pool[pool] for protocol, pool in pools.items()}

    @cached_property
    def judge_stages(self) -> dict[str, JudgeStage]:
        """The judge of each probing whose answers are graded."""
        judges = {"judge": self.resolved.judge, "letter_judge": self.resolved.letter_judge}
        return {
            name: JudgeStage(
                self.resolved.config.store,
                self.context,
                f"judge: {name}",
                self._on_record if asks_service(judges[probing.judge]) else None,
                answers={name: self.answers[name]},
                judge=judges[probing.judge],
            )
            for name, probing in self._probings.items()
            if probing.judge is not None
        }

    def execute(self, display: Monitor) -> int:
        """Run every stage over the whole benchmark; what is there already is not computed again.

        Returns:
            How often a sample failed.

        Raises:
            UserError: Something that every sample would fail with.
            SampleError: A sample failed and the config says to stop.
        """
        monitor = StoppingMonitor(self.resolved.config.on_error, display)
        items = self._sound()
        for item in self.items:
            broken = self._broken.get((item.sample.id, item.request.protocol))
            if broken is not None:
                monitor.failed("read", item, DataError(broken))
        self._look_ahead(items)
        try:
            for answers in dict.fromkeys(self.answers.values()):
                mine = [item for item in items if self.answers[item.request.protocol] is answers]
                answers.run(mine, monitor)
            self.loader.free()
            by_image = sorted((item for item in items if item.segmented), key=lambda item: item.sample.id)
            for proposals in dict.fromkeys(self.proposals.values()):
                proposals.run(self._after(proposals.answers, by_image, self.proposals, proposals), monitor)
            for control in dict.fromkeys(self.controls.values()):
                control.run(self._after(control.proposals, by_image, self.controls, control), monitor)
            for row in self.selections.values():
                for select in dict.fromkeys(row.values()):
                    select.run(self._after(select.proposals, by_image, row, select), monitor)
            for protocol, grade in self.judge_stages.items():
                finished = self.answers[protocol].store.finished()
                grade.run([item for item in self._graded(items, protocol) if item.key in finished], monitor)
        finally:
            self.loader.free()
        return monitor.failures

    def work_for_services(
        self, items: Sequence[Item] | None = None
    ) -> Iterator[tuple[Select | JudgeStage, list[Item]]]:
        """The stages that ask a service, each with the items that it still has to be asked about."""
        for stage, pending in self._work(self._sound() if items is None else items):
            if isinstance(stage, Select | JudgeStage) and asks_service(*stage.parts):
                yield stage, pending

    def _look_ahead(self, items: Sequence[Item]) -> None:
        """Let a missing checkpoint, pipeline, key or server be told now, and not after hours of answering."""
        for stage, pending in self._work(items):
            if pending:
                for part in stage.parts:
                    part.config.check_ready()

    def _work(self, items: Sequence[Item]) -> Iterator[tuple[Stage, list[Item]]]:
        """Every stage with the items that it has no records of yet."""
        mine: dict[Stage, list[Item]] = {stage: [] for stage in self.stages()}
        for item in items:
            for stage in self._stages_of(item):
                mine[stage].append(item)
        for stage, own in mine.items():
            yield stage, stage.pending(own)

    def _stages_of(self, item: Item) -> Iterator[Stage]:
        """The stages that an item goes through, in order."""
        protocol = item.request.protocol
        yield self.answers[protocol]
        if item.segmented:
            later: tuple[Mapping[str, Stage], ...] = (self.proposals, self.controls, *self.selections.values())
            yield from (stages[protocol] for stages in later if protocol in stages)
        if protocol in self.judge_stages and item.sample.answer is not None:
            yield self.judge_stages[protocol]

    def _graded(self, items: Sequence[Item], protocol: str) -> list[Item]:
        return [item for item in items if item.request.protocol == protocol and item.sample.answer is not None]

    def _after(self, before: Stage, items: Sequence[Item], stages: Mapping[str, Stage], stage: Stage) -> list[Item]:
        """The items of a stage whose records in the stage before are there, image by image."""
        finished = before.store.finished()
        return [
            item for item in items if stages.get(item.request.protocol) is stage and before.key_of(item) in finished
        ]

    def results(self) -> Iterator[SampleResult]:
        """Read the run's records, sample by sample in the benchmark's order."""
        for sample in self.samples:
            yield self._scored(sample, self.rows)

    def result(self, sample: Sample) -> tuple[SampleResult, list[RowSpec]]:
        """Read the records of one sample while others are still computed, and the rows that it has."""
        rows = self._rows(self._by_sample[sample.id])
        return self._scored(sample, rows), rows

    def records(self) -> Iterator[tuple[Sample, list[tuple[Stage, str]]]]:
        """Each sample that can be read, with the stage and key of every record that its result is made of."""
        for sample in self.samples:
            items = self._by_sample[sample.id]
            if not any((sample.id, item.request.protocol) in self._broken for item in items):
                yield sample, [(stage, stage.key_of(item)) for item in items for stage in self._stages_of(item)]

    @cached_property
    def _by_sample(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {sample.id: [] for sample in self.samples}
        for item in self.items:
            found[item.sample.id].append(item)
        return found

    def _scored(self, sample: Sample, rows: Sequence[RowSpec]) -> SampleResult:
        scored: dict[str, ProtocolResult] = {}
        for item in self._by_sample[sample.id]:
            scored |= self._score(sample, self._result(item), rows)
        return SampleResult(sample, scored)

    def _score(self, sample: Sample, result: ProtocolResult, rows: Sequence[RowSpec]) -> Mapping[str, ProtocolResult]:
        """Score a result; what can't be scored is its sample's failure, as in any stage."""
        try:
            return score_sample(sample, {result.protocol: result}, rows).by_probing
        except Exception as error:
            said = f"can't be scored: {describe(error)}"
            if self.resolved.config.on_error == "stop":
                hint = "on_error: record goes on without it"
                raise SampleError(f"sample {sample.id} ({result.protocol}) {said}", hint=hint) from error
            text = replace(result.response, mask=None, masks=()) if result.response is not None else None
            bare = replace(result, response=text, candidates=(), controls=(), selections={}, error=said)
            return score_sample(sample, {result.protocol: bare}, rows).by_probing

    def _result(self, item: Item) -> ProtocolResult:
        protocol = item.request.protocol
        blank = ProtocolResult(protocol=protocol, prompt=item.request.prompt)
        broken = self._broken.get((item.sample.id, protocol))
        if broken is not None:
            return replace(blank, error=broken)
        answers = self.answers[protocol]
        response = answers.response(item)
        if response is None:
            return replace(blank, error=answers.failure(item) or "not computed yet")
        answered = replace(blank, response=response, verdict=self._verdict(item))
        if not item.segmented or protocol not in self.proposals:
            return answered
        candidates = self.proposals[protocol].candidates(item)
        if candidates is None:
            return replace(answered, error=self.proposals[protocol].failure(item))
        controls = self.controls[protocol].candidates(item) if protocol in self.controls else None
        found = {name: self._selection(item, row[protocol]) for name, row in self.selections.items() if protocol in row}
        return replace(
            answered,
            candidates=candidates,
            controls=controls or (),
            selections={name: selection for name, selection in found.items() if selection is not None},
        )

    def _selection(self, item: Item, select: Select) -> Selection | None:
        """What a strategy chose, or that it failed; one row's failure, its own or its control's, is no other row's."""
        entry = select.get(item)
        if entry is not None:
            return serialise.selection_from_json(entry.body)
        error = select.failure(item) or select.proposals.failure(item)
        return None if error is None else Selection.failed(error)

    def _verdict(self, item: Item) -> Verdict | None:
        """What the judge said, or that it failed: the answer then counts as wrong, and its masks as they are."""
        grade = self.judge_stages.get(item.request.protocol)
        if grade is None or item.sample.answer is None:
            return None
        entry = grade.get(item)
        if entry is not None:
            return serialise.verdict_from_json(entry.body)
        error = grade.failure(item)
        return None if error is None else Verdict.failed(error)

    @cached_property
    def rows(self) -> list[RowSpec]:
        """The rows of the table: the model's own masks if it gives any, each strategy, the control."""
        return self._rows(self._sound())

    def _rows(self, items: Sequence[Item]) -> list[RowSpec]:
        rows = [RowSpec(OWN_MASKS, own_masks=True)] if self._segments_itself(items) else []
        if self.proposals and not rows:
            rows += [*self._strategies, *self._control_strategies]
        return rows or [RowSpec(ANSWERS_ALONE)]

    def _segments_itself(self, items: Sequence[Item]) -> bool:
        for item in items:
            if item.segmented and (entry := self.answers[item.request.protocol].get(item)) is not None:
                return bool(entry.body["mask"] is not None)
        return False

    def document(self) -> dict[str, Any]:
        """What `run.json` holds: the resolved config, versions of everything, which stage stores it used.

        "seconds" is how long their records took, over all commands that computed them.
        """
        used: dict[str, list[str]] = {}
        for stage in self.stages():
            used.setdefault(stage.name, []).append(str(stage.store.path))
        parts = {registration.distribution: registration.version for registration in self._registrations()}
        return {
            "pixcore": __version__,
            "fidelity": self.resolved.config.fidelity.value,
            "config": self.resolved.document(),
            "scope": {
                "limit": self.scope.limit,
                "samples": list(self.scope.samples),
                "shard": list(self.scope.shard) if self.scope.shard else None,
            },
            "plugins": dict(sorted(parts.items())),
            "versions": {"python": platform.python_version(), **_versions()},
            "platform": platform.platform(),
            "stores": used,
            "seconds": round(sum(stage.store.seconds for stage in self.stages()), 3),
            "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def stages(self) -> list[Stage]:
        """Every stage of the run, in order, each once."""
        selects = [select for row in self.selections.values() for select in row.values()]
        every = [*self.answers.values(), *self.proposals.values(), *self.controls.values(), *selects]
        return list(dict.fromkeys([*every, *self.judge_stages.values()]))

    def _registrations(self) -> Iterator[Any]:
        resolved = self.resolved
        single = (
            resolved.benchmark,
            resolved.model,
            resolved.extractor,
            resolved.grouper,
            resolved.points,
            resolved.masks,
            resolved.control_points,
            resolved.control_selection,
            resolved.judge,
            resolved.letter_judge,
        )
        for part in (*single, *resolved.transforms, *resolved.selections):
            if part is not None:
                yield part.registration


def _row(key: str, strategy: ChosenComponent) -> RowSpec:
    return RowSpec(key, uses_ground_truth=sees_truth(strategy))


def sees_truth(part: ChosenComponent) -> bool:
    """Whether a selection strategy uses the ground truth."""
    strategy: type[SelectionStrategy[Any]] = part.registration.component_class  # type: ignore[assignment]
    return strategy.uses_ground_truth


def is_costly(part: ChosenComponent) -> bool:
    """Whether a strategy asks a service or the model itself: a control of its own would double what it costs."""
    strategy: type[SelectionStrategy[Any]] = part.registration.component_class  # type: ignore[assignment]
    return strategy.asks_service or strategy.needs_model


def asks_service(part: ChosenComponent) -> bool:
    """Whether a strategy or a judge asks a service that may cost money."""
    return bool(getattr(part.registration.component_class, "asks_service", False))


def _versions() -> dict[str, str]:
    """Versions of what results can depend on, asked of the installer's records: nothing is imported."""
    found = {}
    for name in _RECORDED_VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
