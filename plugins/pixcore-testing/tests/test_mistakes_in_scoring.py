"""Mistakes planted in selection strategies, benchmarks and judges: each is one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pixcore_testing import inputs
from pixcore_testing.conformance import check_component

from pixcore.components import Benchmark, Component, Config, Judge, NoConfig, SelectionStrategy
from pixcore.errors import DataError
from pixcore.masks import decode, encode
from pixcore.plugins import Kind
from pixcore.records import Candidate, Image, Response, Sample, Selection, Verdict


class Strategy(SelectionStrategy[Any]):
    """The last candidate's first mask."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return self.pick(len(candidates) - 1) if candidates else Selection.nothing()

    def pick(self, index: int) -> Any:
        return Selection.chosen(index, 0, reason="the last")


class NumPyNumbers(Strategy):
    """No mistake: NumPy's numbers are numbers."""

    def pick(self, index: int) -> Selection:
        return Selection.chosen(np.int64(index), np.int32(0), details={"votes": np.int64(3), "share": np.float32(0.5)})


class Rolling(Strategy):
    """No mistake: `self.rng` is seeded for every sample."""

    def pick(self, index: int) -> Selection:
        return Selection.chosen(int(self.rng.integers(index + 1)), 0)


class Oracle(Strategy):
    """No mistake: it is marked."""

    uses_ground_truth = True

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return Selection.absent() if sample.absent else super().select(sample, response, candidates)


class PairOfNumbers(Strategy):
    """The mistake that gave 13 lines."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Any:
        return [0, 0]


class NothingAtAll(Strategy):
    def pick(self, index: int) -> Any:
        return None


class Peeking(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return Selection.absent() if sample.absent else super().select(sample, response, candidates)


class OnePast(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(index + 1, 0)


class MaskBeyond(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(index, 2)


class FirstWithoutAny(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return Selection.chosen(0, 0)


class FromTheEnd(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(-1, 0)


class Fractions(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(float(index), 0)  # type: ignore[arg-type]


class NoMask(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection("chosen", index)


class AbsentWithMask(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection("absent", index, 0)


class OwnOutcome(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection("unsure")  # type: ignore[arg-type]


class SaysItFailed(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.failed("no idea")


class ArraysInDetails(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(index, 0, details={"scores": np.ones(2)})


class NoNumberInDetails(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(index, 0, details={"score": float("nan")})


class WordForScore(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(index, 0, score="high")


class NoFiniteScore(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(index, 0, score=float("nan"))


class NoReason(Strategy):
    def pick(self, index: int) -> Selection:
        return Selection.chosen(index, 0, reason=None)


class InTurn(Strategy):
    """State shared between calls: each in turn."""

    calls = 0

    def pick(self, index: int) -> Selection:
        self.calls += 1
        return Selection.chosen(self.calls % 2, 0)


class Scribbles(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        response.extra["seen"] = True  # type: ignore[index]
        return super().select(sample, response, candidates)


class ScribblesOnTheSample(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        sample.extra["seen"] = True  # type: ignore[index]
        return super().select(sample, response, candidates)


class NeedsPhrases(Strategy):
    """Of predictions made elsewhere only the masks are there."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        by_length = sorted(range(len(candidates)), key=lambda index: len(candidates[index].group.phrase))  # type: ignore[union-attr]
        return self.pick(by_length[-1]) if by_length else Selection.nothing()


class WordForMark(Strategy):
    needs_maps = "no"  # type: ignore[assignment]


class SkipsInABatch(Strategy):
    def select_many(self, items: Iterable[Any]) -> Iterator[Any]:
        yield from (self.select(*item) for item in items if item[2])


class BatchOutOfOrder(Strategy):
    def select_many(self, items: Iterable[Any]) -> Iterator[Any]:
        yield from reversed(list(super().select_many([*items][:2])))
        yield Selection.chosen(0, 0)


class UnmarkedOracle(Strategy):
    """The mask that fits best; where the ground truth is empty all fit alike, and the first one is the best as well."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        if not candidates or sample.mask is None:
            return self.pick(0) if candidates else Selection.nothing()
        shared = [(decode(own.masks[0]) & decode(sample.mask)).sum() for own in candidates]
        return self.pick(int(np.argmax(shared)))


class KnowsTheAnswer(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return self.pick(sample.answer or 0) if candidates else Selection.nothing()


class UnmarkedMaps(Strategy):
    """Of predictions made elsewhere there are no maps: its row would be another."""

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return self.pick(0 if response.maps is None else 1) if candidates else Selection.nothing()


class LooksAtMaps(Strategy):
    """No mistake: it is marked."""

    needs_maps = True

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        if not candidates:
            return Selection.nothing()
        assert response.maps is not None
        assert response.layout is not None
        return self.pick(int(response.maps.argmax() % len(candidates)))


class OtherMaskInABatch(Strategy):
    def select_many(self, items: Iterable[Any]) -> Iterator[Any]:
        yield from (Selection.chosen(0, 1) if own else Selection.nothing() for *_, own in items)


class ChoiceBefore(Strategy):
    """State shared between calls: never the candidate of the sample before."""

    before = (0, 0)

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        known, self.before = self.before, (len(candidates), int(bool(candidates) and candidates[0].group is not None))
        return self.pick(0 if known[0] else 1) if candidates else Selection.nothing()


class World(Benchmark[Any]):
    """Two pairs."""

    def samples(self) -> Iterator[Sample]:
        for index in range(4):
            sample = replace(inputs.sample(absent=index == 1), id=f"sample {index}", pair=str(index // 2))
            yield self.changed(sample)

    def changed(self, sample: Sample) -> Sample:
        return sample


class NumPyAnswers(World):
    """No mistake: NumPy's numbers are numbers."""

    def changed(self, sample: Sample) -> Sample:
        return replace(sample, answer=np.int64(1))


class OneId(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, id="one")


class NumbersForIds(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, id=int(sample.id[-1]))  # type: ignore[arg-type]


class EmptyId(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, id="" if sample.id == "sample 0" else sample.id)


class HalfPairs(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, pair=sample.id)


class NumbersForPairs(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, pair=1)  # type: ignore[arg-type]


class BlankExpression(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, expression=" ")


class AnswerFromOne(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, answer=2)


class LetterForAnswer(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, answer="A")  # type: ignore[arg-type]


class NumbersForOptions(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, options=(1, 2))  # type: ignore[arg-type]


class TransposedMask(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, mask=encode(inputs.object_mask(inputs.WIDE).T))


class MaskAtModelResolution(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, mask=encode(inputs.object_mask((336, 336))))


class HeightThenWidth(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, image=replace(sample.image, known_size=inputs.WIDE[::-1]))


class PathForImage(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, image="photo.png")  # type: ignore[arg-type]


class ArraysInExtra(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, extra={"box": np.ones(4)})


class NoImageFile(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, image=Image.from_path("nowhere.png"))


class Dictionaries(World):
    def changed(self, sample: Sample) -> Any:
        return {"id": sample.id}


class Empty(World):
    def samples(self) -> Iterator[Sample]:
        yield from ()


class UsedUp(World):
    """State shared between calls: one iterator for all who ask."""

    left: Any = None

    def samples(self) -> Iterator[Sample]:
        self.left = self.left if self.left is not None else super().samples()
        yield from self.left

    def __len__(self) -> int:
        return 4


class Shuffled(World):
    def samples(self) -> Iterator[Sample]:
        self.turn = not getattr(self, "turn", False)
        yield from sorted(super().samples(), key=lambda sample: sample.id, reverse=self.turn)


class CountedWrong(World):
    def __len__(self) -> int:
        return 5


class Redrawn(World):
    """Other pixels every time: no record is ever found again."""

    def changed(self, sample: Sample) -> Sample:
        pixels = np.random.default_rng().integers(0, 255, (40, 64, 3), dtype=np.uint8)
        return replace(sample, image=Image.from_pixels(pixels))


class OtherTruthEveryTime(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, mask=encode(np.random.default_rng().random((40, 64)) > 0.5))


class OtherOptionsEveryTime(World):
    """Shuffled without the run's seed."""

    times = 0

    def changed(self, sample: Sample) -> Sample:
        self.times += 1
        turned = self.times > 4
        return replace(sample, options=sample.options[::-1], answer=1) if turned else sample

    def __len__(self) -> int:
        return 4


class NumbersForCategories(World):
    def changed(self, sample: Sample) -> Sample:
        return replace(sample, categories={"objects": 3})  # type: ignore[dict-item]


class OneTextForNotes(World):
    notes = "two samples are missing"


class Grader(Judge[Any]):
    """Looks for the option's text."""

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return self.verdict(options[answer].lower() in response.lower())

    def verdict(self, right: bool) -> Any:
        return Verdict(right, "a word")


class NumPyVerdicts(Grader):
    """No mistake."""

    def verdict(self, right: bool) -> Verdict:
        return Verdict(np.bool_(right))


class TruthAlone(Grader):
    def verdict(self, right: bool) -> Any:
        return right


class Probability(Grader):
    def verdict(self, right: bool) -> Verdict:
        return Verdict(0.9 if right else 0.1)  # type: ignore[arg-type]


class ArraysInDetailsOfVerdict(Grader):
    def verdict(self, right: bool) -> Verdict:
        return Verdict(right, details={"votes": np.ones(3)})


class NoReasonForVerdict(Grader):
    def verdict(self, right: bool) -> Verdict:
        return Verdict(right, None)  # type: ignore[arg-type]


class EmptyAnswerFails(Grader):
    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return Verdict(response[0] == "(")


class AsBefore(Grader):
    """State shared between calls: an answer is wrong the second time."""

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        self.heard = {*getattr(self, "heard", set()), response} if response not in getattr(self, "heard", ()) else set()
        return Verdict(response in self.heard)


class LeftIsRight(Grader):
    """Which option is right is never looked at."""

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return self.verdict(options[0].lower() in response.lower())


class NeverRight(Grader):
    """It compares with what is never there: the option's text with its letter in front."""

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return self.verdict(response == f"({'ab'[answer]}) {options[answer]}.")


class CountsFromOne(Grader):
    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return super().grade(question, options, answer - 1, response)


class KeptByAnswer(Grader):
    """State shared between calls: verdicts are kept under what was said alone."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.kept: dict[str, Verdict] = {}

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return self.kept.setdefault(response, super().grade(question, options, answer, response))


class AnswerBefore(Grader):
    """State shared between calls: the conversation goes on."""

    before = ""

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        known, self.before = self.before, response
        return super().grade(question, options, answer, known + response)


class MoodyInABatch(Grader):
    def grade_many(self, items: Any) -> Iterator[Any]:
        yield from (Verdict(None) for _ in items)


class DropsInABatch(Grader):
    def grade_many(self, items: Any) -> Iterator[Any]:
        yield from [*super().grade_many(items)][:-1]


class Exits(Grader):
    def verdict(self, right: bool) -> Any:
        raise SystemExit(3)


def kind_of(component: Component[Any]) -> Kind:
    return next(kind for kind in Kind if isinstance(component, kind.interface))


SOUND = (Strategy, NumPyNumbers, Rolling, Oracle, LooksAtMaps, World, NumPyAnswers, Grader, NumPyVerdicts)


@pytest.mark.parametrize("kind", SOUND)
def test_a_component_that_keeps_the_contract(kind: type[Component[Any]]) -> None:
    component = kind(NoConfig())
    assert check_component(kind_of(component), component) == []


@pytest.mark.parametrize(
    ("kind", "promise", "seen"),
    [
        (PairOfNumbers, "what select gives: a Selection", "list [0, 0]"),
        (NothingAtAll, "what select gives: a Selection", "None"),
        (Peeking, "a choice never depends on the ground truth", "where the ground truth is another"),
        (OnePast, "candidate: the index of one of the candidates", "3 of 3"),
        (MaskBeyond, "mask: the index of one of that candidate's masks", "2 of 2"),
        (FirstWithoutAny, "candidate: the index of one of the candidates", "0 of 0"),
        (FromTheEnd, "candidate: the index of one of the candidates", "-1 of 3"),
        (Fractions, "candidate: the index of one of the candidates", "float 2.0"),
        (NoMask, "mask: the index of one of that candidate's masks", "None"),
        (AbsentWithMask, "only an outcome 'chosen' names a candidate and a mask", "'absent' with 2, 0"),
        (OwnOutcome, "outcome is chosen, absent or nothing", "'unsure'"),
        (SaysItFailed, "a strategy that fails raises", "'failed'"),
        (ArraysInDetails, "details holds JSON data alone", "ndarray"),
        (NoNumberInDetails, "details holds JSON data alone", "not JSON compliant"),
        (NoReason, "reason: a str", "None"),
        (WordForScore, "score is a finite number, or None", "'high'"),
        (NoFiniteScore, "score is a finite number, or None", "nan"),
        (InTurn, "a sample and a seed give the same choice every time", "the second time"),
        (ScribblesOnTheSample, "select changes nothing that it is shown", "other values"),
        (Scribbles, "select changes nothing that it is shown", "other values"),
        (NeedsPhrases, "nothing is raised", "has no attribute 'phrase'"),
        (WordForMark, "the mark needs_maps: a bool", "str 'no'"),
        (SkipsInABatch, "select_many gives one selection a sample, in order", "in place of"),
        (BatchOutOfOrder, "select_many gives one selection a sample, in order", "[('nothing', None, None), ('chosen'"),
        (UnmarkedOracle, "a choice never depends on the ground truth", "where the ground truth is another"),
        (KnowsTheAnswer, "a choice never depends on the ground truth", "where the ground truth is another"),
        (UnmarkedMaps, "a choice never depends on the response's maps, unless needs_maps says so", "another choice"),
        (OtherMaskInABatch, "select_many gives one selection a sample, in order", "('chosen', 0, 1)"),
        (ChoiceBefore, "the same choice every time, whatever came before", "another choice"),
        (Redrawn, "samples() gives the same samples in the same order every time", "other image of sample 0"),
        (OtherTruthEveryTime, "samples() gives the same samples in the same order", "other mask of sample 0"),
        (OtherOptionsEveryTime, "samples() gives the same samples", "other options, answer of sample 0"),
        (NumbersForCategories, "nothing is raised", "has the categories {'objects': 3}"),
        (OneTextForNotes, "notes are several lines, as a list or tuple", "str 'two samples are missing'"),
        (OneId, "every sample has an id of its own", "twice: ['one']"),
        (NumbersForIds, "nothing is raised", "sample 0 has the id 0"),
        (EmptyId, "a sample's id is not empty", "str ''"),
        (HalfPairs, "a pair has two samples", "alone: ['sample 0'"),
        (NumbersForPairs, "nothing is raised", "has the pair 1"),
        (BlankExpression, "a sample's expression is text, or None", "str ' '"),
        (AnswerFromOne, "nothing is raised", "has the answer 2, and 2 options"),
        (LetterForAnswer, "nothing is raised", "has the answer 'A', and 2 options"),
        (NumbersForOptions, "nothing is raised", "has the options (1, 2)"),
        (TransposedMask, "a sample's mask is COCO RLE at the image's own size", "40x64"),
        (MaskAtModelResolution, "a sample's mask is COCO RLE at the image's own size", "336x336"),
        (HeightThenWidth, "an image's size is (width, height) of its pixels", "(40, 64) of (64, 40)"),
        (PathForImage, "a sample's image: a Image", "str 'photo.png'"),
        (ArraysInExtra, "a sample's extra holds JSON data alone", "ndarray"),
        (NoImageFile, "nothing is raised", "nowhere.png"),
        (Dictionaries, "what samples() yields: a Sample", "dict"),
        (Empty, "a benchmark has samples", "none"),
        (UsedUp, "samples() gives the same samples in the same order every time", "[] after ['sample 0'"),
        (Shuffled, "samples() gives the same samples in the same order every time", "['sample 0'"),
        (CountedWrong, "len() is the number of samples", "5 of 4"),
        (TruthAlone, "what grade gives: a Verdict", "bool"),
        (Probability, "correct is True, False or None", "float 0."),
        (ArraysInDetailsOfVerdict, "details holds JSON data alone", "ndarray"),
        (NoReasonForVerdict, "reason: a str", "None"),
        (EmptyAnswerFails, "nothing is raised", "IndexError"),
        (AsBefore, "the same answer gets the same verdict every time", "after [True"),
        (NeverRight, "an answer that is the right option is right", "none of '(a)' and 'left' where 'Left' is right"),
        (LeftIsRight, "an answer with the text of a wrong option is not right", "'Left' where 'Right' is right"),
        (CountsFromOne, "an answer with the text of a wrong option is not right", "'Right' where 'Left' is right"),
        (KeptByAnswer, "an answer with the text of a wrong option is not right", "where"),
        (AnswerBefore, "the same answer gets the same verdict every time", "after ["),
        (MoodyInABatch, "grade_many gives one verdict an answer, in order", "[None, "),
        (DropsInABatch, "grade_many gives one verdict an answer, in order", "in place of"),
        (Exits, "nothing is raised", "SystemExit: 3"),
    ],
)
def test_a_mistake_is_one_line(kind: type[Component[Any]], promise: str, seen: str, told: Any) -> None:
    component = kind(NoConfig())
    told(check_component(kind_of(component), component), promise, seen)


def test_a_missing_file_is_told_once(told: Any) -> None:
    class Boxes(Config):
        def fingerprint(self) -> str:
            raise DataError("can't read boxes")

    class World(Benchmark[Boxes]):
        def samples(self) -> Iterator[Sample]:
            raise DataError("can't read boxes")

    told(check_component(Kind.BENCHMARK, World(Boxes())), "nothing is raised", "can't read boxes")


def test_a_service_is_not_asked_unasked() -> None:
    class Paid(Grader):
        asks_service = True

        def verdict(self, right: bool) -> Any:
            raise AssertionError("that cost money")

    (note,) = check_component(Kind.JUDGE, Paid(NoConfig()))
    assert note.severity == "note"
    assert "asks a service" in note.message
