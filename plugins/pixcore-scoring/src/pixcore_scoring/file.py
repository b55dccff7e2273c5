"""Make results of a predictions file: what `pixcore score` measures.

The file is read twice: once to know which samples, protocols and strategies it holds and where each line begins, once
to score, sample by sample in the benchmark's order. Memory holds one sample at a time; where each line is lies in a
temporary file. The file stays open, so that whoever puts another in its place changes nothing; a line that is not what
it was is refused.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pixcore_judges.option_letters import grade_letter

from pixcore.components import SelectionStrategy
from pixcore.errors import DataError, nearest
from pixcore.figures.rows import ANSWERS_ALONE, OWN_MASKS, RowSpec
from pixcore.figures.scores import measured, score_protocol
from pixcore.files import open_file
from pixcore.predictions.format import NO_PREDICTION
from pixcore.protocols import PROBINGS, Judged, Probing, build_prompt
from pixcore.records import (
    Candidate,
    Fidelity,
    ProtocolResult,
    Request,
    Response,
    Sample,
    SampleResult,
    Selection,
    Verdict,
)
from pixcore.shelf import Shelf
from pixcore.stages.base import asked_key, entropy_of
from pixcore_scoring.reading import (
    UNNAMED,
    Prediction,
    control_rows,
    prediction_from_json,
    read_again,
    read_lines,
    upper_bounds,
)

AnswerJudge = Callable[[Sample, Judged | None, str], Verdict | None]
"""Grades a sample's answer, given the section of a config that would name its judge."""

Missing = Literal["fail", "skip", "error"]

_AT_ONCE = 1 << 18  # bytes: lines with masks are long, and with the usual 8 KiB reading them is three times as dear


def letter_judge_of(fidelity: Fidelity, *, bare_letters: bool = False) -> AnswerJudge:
    """Give the judge that reads letters by the fidelity's rule and leaves free answers alone."""

    def grade(sample: Sample, judge: Judged | None, text: str) -> Verdict | None:
        if judge != "letter_judge" or sample.answer is None:
            return None
        return grade_letter(
            text,
            sample.options,
            sample.answer,
            fidelity,
            released_options=sample.released_options,
            bare_letters=bare_letters,
        )

    return grade


@dataclass
class _Contents:
    """What a first look at a predictions file finds; of each line its number, place and seal."""

    lines: Shelf[tuple[int, int, int]] = field(default_factory=Shelf)
    protocols: set[str] = field(default_factory=set)
    choices: dict[str, None] = field(default_factory=dict)
    controls: dict[str, RowSpec] = field(default_factory=dict)
    unnamed: int = 0
    undecided: int = 0
    own_masks: bool = False
    says_bounds: bool = False
    bounds: set[str] = field(default_factory=set)
    masked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)


class PredictionsFile:
    """A predictions file held against a benchmark.

    Args:
        path: The file.
        samples: Gives the whole benchmark's samples, each time it is called.
        asked: Gives those of them that are to be scored, likewise; lines about others are passed over. All by default.
        fidelity: Whose rules.
        select: Strategies to apply to candidates; a row of the table each. Where a line has a choice by that name, it
            stands. Without any, the file's own choices are the rows.
        strategies: Strategies that can choose from a file, by name; they choose too where a line lacks a choice that
            others have. Each is seeded anew for every line as in a run, so that its choices depend on no order, and
            are the run's own where the image is there to be read.
        unsuited: Says why another strategy can't choose from a file, by name; choices of its that it holds stand.
        grade: Grades answers that came without a verdict; letters by the fidelity's rule if left out.
        regraded: Whose verdicts in the file do not stand.
        anew: Whether those of `select` that can choose from a file do, whatever choices of theirs it holds.
        missing: What a sample is that has no line: a failure that is counted, left out, or an error.
        probings: Those that lines may be of, by name.

    Raises:
        DataError: The file contradicts itself or the benchmark: a line that is not JSON, a second line for one sample
            and protocol, an unknown sample, candidates that nobody chose from.
    """

    def __init__(
        self,
        path: Path,
        samples: Callable[[], Iterable[Sample]],
        *,
        asked: Callable[[], Iterable[Sample]] | None = None,
        fidelity: Fidelity,
        select: Sequence[str] = (),
        strategies: Mapping[str, SelectionStrategy[Any]] | None = None,
        unsuited: Callable[[str], str] = lambda name: "it can't be worked out from candidates",
        grade: AnswerJudge | None = None,
        regraded: Collection[Judged] = (),
        anew: bool = False,
        missing: Missing = "fail",
        probings: Mapping[str, Probing] = PROBINGS,
    ) -> None:
        self.path = path
        self.fidelity = fidelity
        self.probings = probings
        self._asked = asked or samples
        self._strategies = strategies or {}
        self._unsuited = unsuited
        self._grade = grade or letter_judge_of(fidelity)
        self._regraded = regraded
        self._missing: Missing = missing
        self._select = tuple(dict.fromkeys(select))
        self.rechosen = [name for name in self._select if anew and name in self._strategies]
        self._file = open_file(path, "predictions", buffer=_AT_ONCE)
        weakref.finalize(self, self._file.close)
        ids = _ids(samples())
        wanted = _ids(asked()) if asked is not None else ids
        self._contents = _look_through(self._file, path, ids, wanted, probings)
        self.rows = self._table_rows()
        self.lacking = 0
        self._lacks = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols that the file has answers to."""
        return tuple(name for name in self.probings if name in self._contents.protocols)

    @property
    def controls(self) -> tuple[RowSpec, ...]:
        """The rows of the controls that the file has choices of, whether or not they are among `rows`."""
        return tuple(self._contents.controls.values())

    @property
    def skips_missing_masks(self) -> bool:
        """Whether a sample without a line is left out of mean IoUs, as the first release does with candidates."""
        return self.fidelity is Fidelity.PAPER and not self._contents.own_masks

    def __iter__(self) -> Iterator[SampleResult]:
        """Scored results, in the benchmark's order."""
        self.lacking = 0
        for sample in self._asked():
            outcomes: dict[str, ProtocolResult] = {}
            self._lacks = False
            for protocol in self.protocols:
                outcome = self._outcome(sample, protocol)
                if outcome is not None:
                    outcomes[protocol] = outcome
            self.lacking += self._lacks
            if outcomes or self._missing != "skip":
                yield SampleResult(sample, {name: self._scored(sample, one) for name, one in outcomes.items()})

    def _scored(self, sample: Sample, outcome: ProtocolResult) -> ProtocolResult:
        """Score a result; masks are measured under the protocols for which the file has any."""
        rows = self.rows if outcome.protocol in self._contents.masked else ()
        known = measured(sample, outcome) if rows else outcome
        return replace(known, scores=score_protocol(sample, known, rows))

    def _outcome(self, sample: Sample, protocol: str) -> ProtocolResult | None:
        number = self._contents.lines.number(_place(sample.id, protocol))
        if number < 0:
            return self._absent_line(sample, protocol)
        found = self._contents.lines.thing(number)
        where = f"{self.path.name} line {found[0]}"
        line = read_again(self._file, self.path, found, self.probings)
        prediction = prediction_from_json(line, where, lambda: _size(sample))
        judge = self.probings[protocol].judge
        result = replace(prediction.result, graded=judge is not None)
        if self._says_no_mask(prediction, line):
            raise DataError(
                f"{where} has neither mask nor candidates, and other lines under {protocol} have",
                hint='"mask": null where the model segmented nothing',
            )
        unjudged = result.verdict is None or judge in self._regraded
        if unjudged and result.error is None and result.response is not None:
            result = replace(result, verdict=self._grade(sample, judge, result.response.text))
        return self._selected(sample, replace(prediction, result=result))

    def _says_no_mask(self, prediction: Prediction, line: Mapping[str, Any]) -> bool:
        """Whether a line that should have a mask says nothing of any: left out, it would flatter the mean."""
        if not self._contents.own_masks or prediction.result.protocol not in self._contents.masked:
            return False
        return prediction.result.error is None and not {"mask", "candidates", "choices", "choice"} & line.keys()

    def _absent_line(self, sample: Sample, protocol: str) -> ProtocolResult | None:
        """What stands for a line that is not there; nothing where there was nothing to ask."""
        prompt = build_prompt(sample, self.probings[protocol], self.fidelity)
        if prompt is None or self._missing == "skip":
            return None
        if self._missing == "error":
            raise DataError(
                f"{self.path.name} has no line for sample {sample.id} ({protocol})",
                hint="add it, or score with --missing fail or skip",
            )
        self._lacks = True
        graded = self.probings[protocol].judge is not None
        result = ProtocolResult(protocol, prompt, graded=graded, error=NO_PREDICTION)
        if self.fidelity.released and not self._contents.own_masks:
            # the released evaluator finds no file and goes on; in its last release the oracle knows of absent objects
            answered = replace(result, error=None, response=Response(""), verdict=Verdict(False, NO_PREDICTION))
            if not self.probings[protocol].masks:
                return answered
            return self._selected(sample, Prediction(self.path.name, answered, choice=Selection.nothing()))
        return result

    def _selected(self, sample: Sample, prediction: Prediction) -> ProtocolResult:
        """Apply the rows' strategies where the line has no choice of its own."""
        result = prediction.result
        if result.error is not None or prediction.mask_alone:
            return result
        if result.protocol not in self._contents.masked:  # nothing was looked for, so there was nothing to choose
            return replace(result, selections={})
        selections = {name: one for name, one in result.selections.items() if name not in self.rechosen}
        for row in self.rows:
            if row.key in selections or row.own_masks or row.key == ANSWERS_ALONE:
                continue
            if row.control:
                if result.pool(row.pool):
                    raise DataError(
                        f"{prediction.where} has control candidates and no choice by {row.key!r}",
                        hint="give every line the same control choices",
                    )
                continue
            selections[row.key] = self._select_one(sample, prediction, row)
        return replace(result, selections=selections)

    def _select_one(self, sample: Sample, prediction: Prediction, row: RowSpec) -> Selection:
        candidates, name = prediction.result.candidates, row.key
        sensible = candidates or row.uses_ground_truth  # of nothing, only who sees the truth can say more than nothing
        if name == UNNAMED:
            if prediction.choice is not None:
                return prediction.choice
            if len(self._select) == 1:
                return self._apply(sample, candidates, self._select[0], prediction)
        elif sensible and name in self._strategies:
            return self._apply(sample, candidates, name, prediction)
        elif prediction.choice is not None:
            return prediction.choice  # such as automatic: it can't be made up afterwards
        if not candidates:
            return Selection.nothing("no candidates")
        raise DataError(
            f"{prediction.where} has candidates and no choice by {name!r}",
            hint=f"write one, or use --select with one of {', '.join(sorted(self._strategies))}",
        )

    def _apply(self, sample: Sample, candidates: tuple[Candidate, ...], name: str, prediction: Prediction) -> Selection:
        try:
            strategy = self._strategies[name]
            strategy.reseed(lambda: self._entropy(sample, prediction.result))  # reads the image, which few need
            return strategy.select(sample, prediction.result.response or Response(""), candidates)
        except DataError as error:
            raise DataError(f"{prediction.where}: {error.message}", hint=error.hint) from error

    def _entropy(self, sample: Sample, result: ProtocolResult) -> int:
        """What a run seeds its strategies with: the content of what was asked.

        A line without a prompt is taken to have been asked by the protocol's own. Where there is no image to read the
        rest is the seed: one that depends on no order either, but is not the run's.
        """
        prompt = result.prompt or build_prompt(sample, self.probings[result.protocol], self.fidelity) or ""
        request = Request(sample.id, result.protocol, sample.image, prompt, sample.expression)
        try:
            image = sample.image.digest
        except DataError:
            image = ""
        return entropy_of(asked_key(request, image))

    def _table_rows(self) -> tuple[RowSpec, ...]:
        contents = self._contents
        unknown = [name for name in self._select if name not in self._strategies and name not in contents.choices]
        if unknown and not contents.unnamed:
            raise DataError(
                f"the file has no choices by {unknown[0]!r}, and {self._unsuited(unknown[0])}",
                hint=nearest(unknown[0], {*self._strategies, *contents.choices}),
            )
        chosen = {*contents.choices, *contents.controls, *self._select, *([UNNAMED] if contents.unnamed else ())}
        if (contents.choices or contents.controls) and (stray := sorted(contents.bounds - chosen)):
            message = f"{self.path.name} names {stray[0]!r} among its upper_bounds, and nothing was chosen by it"
            raise DataError(message, hint=nearest(stray[0], chosen))
        rows: list[RowSpec] = [RowSpec(OWN_MASKS, own_masks=True)] if contents.own_masks else []
        names = list(self._select) or list(contents.choices)
        if contents.unnamed and not unknown:
            names.insert(0, UNNAMED)
        if contents.undecided and not names:
            raise DataError(
                f"{self.path.name} holds candidates and no choice",
                hint=f"choose with --select: {', '.join(sorted(self._strategies))}",
            )
        if ANSWERS_ALONE in names:
            message = f"{self.path.name} has choices by {ANSWERS_ALONE!r}, which names the row of a file without masks"
            raise DataError(message, hint="call it otherwise")
        rows += [RowSpec(name, uses_ground_truth=self._sees_truth(name)) for name in names]
        if not self._select:
            bounds = contents.bounds
            rows += [replace(row, uses_ground_truth=row.key in bounds) for row in self.controls]
        return tuple(rows) or (RowSpec(ANSWERS_ALONE),)

    def _sees_truth(self, name: str) -> bool:
        """Whether a row is an upper bound: the file says so; where it says nothing of bounds, the strategy does."""
        if name in self._contents.bounds:
            return True
        asked = name in self._select or not self._contents.says_bounds
        strategy = self._strategies.get(name) if asked else None
        return strategy is not None and strategy.uses_ground_truth


def _ids(samples: Iterable[Sample]) -> Shelf[None]:
    ids: Shelf[None] = Shelf()
    for sample in samples:
        if not ids.add(sample.id):
            raise DataError(f"the benchmark has two samples with the id {sample.id!r}", hint="ids must be unique")
    if not len(ids):
        raise DataError("the benchmark has no samples", hint="check its folder")
    return ids


def _place(sample: str, protocol: str) -> str:
    """Name what there is one line for: no probing's name holds a line end."""
    return f"{protocol}\n{sample}"


def _look_through(
    file: BinaryIO, path: Path, ids: Shelf[None], asked: Shelf[None], probings: Mapping[str, Probing]
) -> _Contents:
    """Hold every line against the benchmark, and note what there is about the samples that are asked for."""
    contents = _Contents()
    for line in read_lines(file, path, probings):
        where, data = f"{path.name} line {line.number}", line.data
        name, protocol = data["sample_id"], probings[data["protocol"]].name
        if ids.number(name) < 0:
            raise DataError(f"{where} has the unknown sample {name!r}", hint=_nearest_id(name, ids))
        if not contents.lines.add(_place(name, protocol), line[:3]):
            first = contents.lines.thing(contents.lines.number(_place(name, protocol)))
            raise DataError(
                f"{where} is a second line for sample {name} ({protocol}); the first is line {first[0]}",
                hint="one line for each sample and protocol",
            )
        if asked is not ids and asked.number(name) < 0:
            continue
        contents.protocols.add(protocol)
        if not probings[protocol].masks:
            continue
        if data.get("error") is None:
            contents.answered.add(protocol)
        contents.says_bounds |= "upper_bounds" in data
        contents.bounds |= set(upper_bounds(data, where))
        choices = data.get("choices")
        contents.choices |= dict.fromkeys(choices if isinstance(choices, Mapping) else ())
        for spec in control_rows(data, where):
            known = contents.controls.setdefault(spec.key, spec)
            if known.pool != spec.pool:
                said = f"{where} has {spec.key!r} as a choice of the control {spec.pool!r}, and before it was"
                said += f" {known.pool!r}'s"
                raise DataError(said, hint="a control has one name in all lines, and its choices names of their own")
        contents.own_masks |= "mask" in data
        if "mask" in data or data.get("candidates") or data.get("choices") or data.get("choice") is not None:
            contents.masked.add(protocol)
        contents.unnamed += data.get("choice") is not None
        contents.undecided += bool(data.get("candidates")) and not choices and data.get("choice") is None
    # where all failed, no line says that masks were looked for: each is an IoU of 0, as in the run
    contents.masked |= {one for one in contents.protocols - contents.answered if probings[one].masks}
    both = sorted(contents.choices.keys() & contents.controls.keys())
    if both:
        message = f"{path} has {both[0]!r} among the control's choices of one line, and among the others of another"
        raise DataError(message, hint="a control's choices have names of their own")
    if not len(contents.lines):
        raise DataError(f"{path} holds no predictions", hint="expected one JSON object a line")
    if not contents.protocols:
        raise DataError(f"{path} holds no predictions for the samples asked for", hint="check --limit and --sample")
    return contents


def _nearest_id(name: str, ids: Shelf[None]) -> str:
    shown = sorted(map(ids.name, range(len(ids))), key=lambda known: (len(known), known))
    some = f"{shown[0]!r}, {shown[1]!r}, ... {shown[-1]!r}" if len(shown) > 3 else ", ".join(map(repr, shown))
    return f"the benchmark's ids are {some}"


def _size(sample: Sample) -> tuple[int, int] | None:
    """The size that masks must have; None where the sample has no ground truth, so that no mask is measured."""
    if sample.mask is None:
        return None
    height, width = sample.mask["size"]
    return width, height
