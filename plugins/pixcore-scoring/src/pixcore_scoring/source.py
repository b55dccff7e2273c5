"""Open predictions as commands are given them: a run's folder, or a file and the benchmark that it answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from pixcore_datasets.options import benchmark_config
from pydantic import ValidationError

from pixcore.components import Benchmark, Context, Judge, SelectionStrategy
from pixcore.config import ProbingSection, Section, component_config
from pixcore.errors import ConfigError, DataError, PluginError, nearest
from pixcore.files import PREDICTIONS, RUN, read_object
from pixcore.plugins import Kind, Registry
from pixcore.protocols import PROBINGS, Judged, Probing
from pixcore.records import Fidelity, Sample, Verdict
from pixcore_scoring.file import AnswerJudge, Missing, PredictionsFile, letter_judge_of


@dataclass(frozen=True)
class Origin:
    """What the run says that a predictions file lies in: defaults for scoring it.

    Attributes:
        benchmark: Its section, or None.
        model: Its model's name.
        fidelity: Its fidelity.
        seed: Its seed.
        limit: How many samples it was limited to.
        samples: Which samples it was about; empty for all.
        probings: Those that its lines may be of: the paper's and its own.
        bare_letters: Whether its letters were counted alone.
        s_of: What its S was to be made of; empty: the better of each.
        ungraded: Which of a config's judges it says that it had none of.
        judge: Its judge's section, or None.
        selections: The sections of its strategies that have no other label than their name.
    """

    benchmark: Section | None = None
    model: str = "predictions"
    fidelity: Fidelity = Fidelity.CORRECTED
    seed: int = 0
    limit: int | None = None
    samples: tuple[str, ...] = field(default_factory=tuple)
    probings: Mapping[str, Probing] = field(default_factory=lambda: PROBINGS)
    bare_letters: bool = False
    s_of: tuple[str, ...] = ()
    ungraded: frozenset[Judged] = frozenset()
    judge: Section | None = None
    selections: tuple[Section, ...] = ()

    def differs_from(self, rules: Fidelity) -> bool:
        """Tell whether there is a run, and its rules are others than these."""
        return self.benchmark is not None and self.fidelity is not rules

    @classmethod
    def of(cls, predictions: Path) -> Origin:
        """Look beside a predictions file."""
        if not (predictions.parent / RUN).exists():
            return cls()
        document = read_object(predictions.parent / RUN)
        config: Mapping[str, Any] = document.get("config") or {}
        scope: Mapping[str, Any] = document.get("scope") or {}
        try:
            return cls._from(config, scope)
        except (AttributeError, TypeError, ValueError, OverflowError, ValidationError) as error:
            raise DataError(f"{predictions.parent / RUN} is no run's: {error}", hint="run the config again") from error

    @classmethod
    def _from(cls, config: Mapping[str, Any], scope: Mapping[str, Any]) -> Origin:
        limit, seed = scope.get("limit"), int(config.get("seed", 0))
        if not (limit is None or (isinstance(limit, int) and 0 < limit <= sys.maxsize)) or seed < 0:
            raise ValueError("its limit or its seed is none")
        chosen = [Section.model_validate(one) for one in config.get("selections") or ()]
        asked = [ProbingSection.model_validate(one).probing for one in config.get("protocols", ())]
        return cls(
            benchmark=Section.model_validate(config["benchmark"]) if "benchmark" in config else None,
            model=str((config.get("model") or {}).get("name", "predictions")),
            fidelity=Fidelity(config.get("fidelity", Fidelity.CORRECTED)),
            seed=seed,
            limit=limit,
            samples=tuple(str(name) for name in scope.get("samples") or ()),
            probings={**PROBINGS, **{probing.name: probing for probing in asked}},
            bare_letters=bool((config.get("letter_judge") or {}).get("bare_letters", False)),
            s_of=tuple(str(name) for name in config.get("s_of") or ()),
            ungraded=frozenset(one for one in get_args(Judged) if config.get(one, {}) is None),
            judge=Section.model_validate(config["judge"]) if config.get("judge") else None,
            selections=tuple(one for one in chosen if one.label in (None, one.name)),
        )


@dataclass(frozen=True)
class Source:
    """Predictions, ready to be read.

    Attributes:
        name: What it is called: the run's folder, or the file.
        file: The predictions.
        data: The benchmark.
        benchmark: Its name.
        origin: What the run beside the file says.
        fidelity: Whose rules.
    """

    name: str
    file: PredictionsFile
    data: Benchmark[Any]
    benchmark: str
    origin: Origin
    fidelity: Fidelity


def check_one_benchmark(sources: Sequence[Source]) -> None:
    """Refuse predictions about different benchmarks, which can't be set side by side.

    Raises:
        DataError: They are.
    """
    if len({source.benchmark for source in sources}) > 1:
        named = ", ".join(f"{source.name}: {source.benchmark}" for source in sources)
        raise DataError(f"the runs are about different benchmarks ({named})", hint="compare runs of one benchmark")


def open_source(
    path: Path,
    plugins: Registry,
    *,
    benchmark: str | None = None,
    root: Path | None = None,
    settings: Sequence[str] = (),
    select: Sequence[str] = (),
    fidelity: str | None = None,
    judge: str | None = None,
    bare_letters: bool | None = None,
    missing: Missing = "fail",
    limit: int | None = None,
    names: tuple[str, ...] = (),
) -> Source:
    """Open a run's folder or a predictions file; what is not said is taken from the run that the file lies in.

    By other rules than the run's letters are graded anew, and strategies that are named by `select` and can choose from
    a file choose anew; whatever else the run decided stands, and `notes` says so.

    Raises:
        UserError: The file, the benchmark or an option is not what it should be.
    """
    predictions = predictions_at(path)
    origin = Origin.of(predictions)
    rules = Fidelity(fidelity) if fidelity else origin.fidelity
    context = Context(rules, origin.seed)
    data, name = open_benchmark(plugins, origin, context, benchmark, root, settings)
    limit = limit if limit is not None or names else origin.limit
    names = names or origin.samples
    choosers = Choosers(plugins, context, origin)
    others = origin.differs_from(rules)
    regraded: tuple[Judged, ...] = (
        ("letter_judge",) if others or bare_letters not in (None, origin.bare_letters) else ()
    )
    asked = {"judge": judge, "letter_judge": bare_letters}
    ungraded = [section for section in origin.ungraded if asked[section] is None]
    file = PredictionsFile(
        predictions,
        data.samples,
        asked=scoped(data, limit, names) if limit is not None or names else None,
        fidelity=rules,
        select=select,
        strategies=choosers,
        unsuited=choosers.why_not,
        grade=answer_judge(
            plugins, judge, context, origin.bare_letters if bare_letters is None else bare_letters, origin
        ),
        regraded=regraded,
        anew=others,
        missing=missing,
        probings={
            name: replace(one, judge=None) if one.judge in ungraded else one for name, one in origin.probings.items()
        },
    )
    return Source(path.name if path.is_dir() else str(path), file, data, name, origin, rules)


def predictions_at(path: Path) -> Path:
    """Find the predictions of a run's folder, or of a file.

    Raises:
        DataError: There is nothing at the path, or a folder in which no run has left its predictions.
    """
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"can't read predictions {path}: there is no such run or file", hint="check the path")
        return path
    predictions = path / PREDICTIONS
    if predictions.exists():
        return predictions
    if (path / RUN).exists():
        hint = "add predictions to its config's writers: and run it again; records are kept"
        raise DataError(f"run {path} left no {PREDICTIONS}", hint=hint)
    hint = "pixcore run CONFIG goes on where it stopped; or name another folder"
    raise DataError(f"{path} holds no run that is done: it has neither {RUN} nor {PREDICTIONS}", hint=hint)


def open_benchmark(
    plugins: Registry,
    origin: Origin,
    context: Context,
    name: str | None,
    root: Path | None,
    settings: Sequence[str],
) -> tuple[Benchmark[Any], str]:
    """Make the benchmark that a command names, or that the run beside its file was about.

    Raises:
        ConfigError: Nobody names one, or an option is not its own.
    """
    if name is None:
        if origin.benchmark is None:
            hint = nearest("", [found.name for found in plugins.all(Kind.BENCHMARK)])
            raise ConfigError("which benchmark do the predictions answer?", hint=f"--benchmark NAME; {hint}")
        name = origin.benchmark.name
    registration = plugins.get(Kind.BENCHMARK, name)
    known = origin.benchmark is not None and origin.benchmark.name == name
    options = origin.benchmark.options if known and origin.benchmark else None
    made: Benchmark[Any] = registration.create(benchmark_config(registration, root, settings, options), context)
    return made, name


def answer_judge(
    plugins: Registry, judge: str | None, context: Context, bare_letters: bool, origin: Origin
) -> AnswerJudge:
    """Grade letters by the fidelity's rule, free answers by a judge: the named one, or the installed default.

    A judge that the run had works with the run's options.

    Raises:
        PluginError: The named judge is not installed.
    """
    letters = letter_judge_of(context.fidelity, bare_letters=bare_letters)
    default = next(iter(plugins.defaults(Kind.JUDGE)), None)
    registration = default if judge is None else plugins.get(Kind.JUDGE, judge)
    if registration is None:
        return letters
    made: list[Judge[Any]] = []

    def grade(sample: Sample, section: Judged | None, text: str) -> Verdict | None:
        if section != "judge" or sample.answer is None or sample.question is None:
            return letters(sample, section, text)
        if not made:
            options = _options_of(registration.name, origin.judge)
            made.append(registration.create(component_config(registration, options, "judge"), context))
        return made[0].grade(sample.question, sample.options, sample.answer, text)

    return grade


def _options_of(name: str, *sections: Section | None) -> dict[str, Any]:
    """Give a component's options as the run's config has them; none where it is not among the sections."""
    return next((dict(one.options) for one in sections if one is not None and one.name == name), {})


class Choosers(Mapping[str, SelectionStrategy[Any]]):
    """The installed strategies that predictions alone are enough for, by name; each is made when it is asked for.

    One that the run's config names has the options that the config gives it.
    """

    def __init__(self, plugins: Registry, context: Context, origin: Origin) -> None:
        self._installed = {registration.name: registration for registration in plugins.all(Kind.SELECTIONS)}
        self._context, self._origin = context, origin
        self._made: dict[str, SelectionStrategy[Any]] = {}

    def why_not(self, name: str) -> str:
        """Say why a strategy can't choose from a file; "" if it can."""
        if name not in self._installed:
            return "it can't be worked out from candidates"
        try:
            kind: type[SelectionStrategy[Any]] = self._installed[name].component_class  # type: ignore[assignment]
        except PluginError as error:
            return error.message
        if kind.needs_maps:
            return "it needs relevance maps, which a predictions file does not hold"
        if kind.needs_model or kind.asks_service:
            return "it asks a model or a service, which scoring a file does not"
        return ""

    def __getitem__(self, name: str) -> SelectionStrategy[Any]:
        if self.why_not(name):
            raise KeyError(name)
        if name not in self._made:
            registration = self._installed[name]
            options = _options_of(name, *self._origin.selections)
            self._made[name] = registration.create(component_config(registration, options, "select"), self._context)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and not self.why_not(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._installed if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def scoped(data: Benchmark[Any], limit: int | None, names: tuple[str, ...]) -> Callable[[], Iterator[Sample]]:
    """List the samples that a command is about: the first ones, or those that it names."""

    def samples() -> Iterator[Sample]:
        if not names:
            return islice(data.samples(), limit)
        chosen = {sample.id: sample for sample in data.samples() if sample.id in set(names)}
        unknown = [name for name in names if name not in chosen]
        if unknown:
            raise DataError(f"the benchmark has no sample {unknown[0]!r}", hint="check --sample")
        return islice((chosen[name] for name in dict.fromkeys(names)), limit)

    return samples


def notes(source: Source, *, lacking: int | None = None) -> Iterator[str]:
    """Say, when all samples have gone by, what the benchmark left out, and what the file lacks.

    Args:
        source: The predictions.
        lacking: How many samples lack a prediction that was counted; the file's own number by default.
    """
    yield from source.data.notes
    if source.origin.differs_from(source.fidelity):
        anew = " and ".join(["letters are graded", *(f"{name} has chosen" for name in source.file.rechosen)])
        yield (
            f"{anew} by the rules of {source.fidelity}; other verdicts and choices stand as the run made them by those "
            f"of {source.origin.fidelity} (--select STRATEGY chooses anew)"
        )
    if wrong := source.file.lacking if lacking is None else lacking:
        nothing = "as IoU 0"
        if source.file.skips_missing_masks:
            nothing = "is left out of mean IoUs"
        elif source.fidelity.released and any(row.uses_ground_truth for row in source.file.rows):
            nothing = "as IoU 0, or as 1 where an upper bound knows that the object is absent"
        yield f"{wrong} sample(s) lack a prediction; what is missing counts as wrong and {nothing}"
