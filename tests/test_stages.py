"""What a stage's key is made of, and which records it makes."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pixcore import plugins
from pixcore.components import Context, Executor, MapTransform, NoConfig
from pixcore.config import ChosenComponent, ChosenComponents, resolve
from pixcore.errors import DataError, PluginError, SampleError, first_line
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.masks import empty
from pixcore.plugins import Kind, Registration, Registry
from pixcore.records import (
    Image,
    MaskProposal,
    PointPrompt,
    Protocol,
    Request,
    Response,
    Sample,
    SampleResult,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)
from pixcore.runs.execute import execute
from pixcore.runs.plan import Run
from pixcore.stages.base import Item, Monitor, Stage
from pixcore.stages.propose import group_maps
from pixcore.stages.serialise import Entry
from tests.workplace import TOY_RUN


class Numbers(Stage):
    name = "numbers"
    revision = 1

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        yield from ((item, Entry(int(item.sample.id), {"values": np.arange(1000)})) for item in items)


@dataclass(eq=False, kw_only=True)
class Later(Numbers):
    earlier: Numbers
    threshold: float
    batch: int

    uses: ClassVar = {"judge": Kind.JUDGE}
    not_in_key = frozenset({"batch"})


def test_a_stages_key_is_made_of_all_that_it_works_with(tmp_path: Path) -> None:
    registration = Registration("a", "none", lambda: "1", Kind.JUDGE, "strict", "a:B")
    judge = ChosenComponent(registration, NoConfig())

    def key(earlier: str = "numbers", threshold: float = 0.5, batch: int = 1, judge: ChosenComponent = judge) -> str:
        before = Numbers(tmp_path, Context(), ChosenComponents())
        before.name = earlier  # type: ignore[misc]
        chosen = ChosenComponents(judge=judge, points=judge)
        made = Later(tmp_path, Context(), chosen, earlier=before, threshold=threshold, batch=batch)
        assert list(made.components) == ["judge"]
        return made.store.key

    other = ChosenComponent(replace(registration, name="lenient"), NoConfig())
    assert key() == key(batch=2)
    assert len({key(), key(earlier="others"), key(threshold=0.6), key(judge=other)}) == 4
    with pytest.raises(TypeError, match=r"no component is called 'judge' here, only points"):
        Later(tmp_path, Context(), ChosenComponents(points=judge), earlier=None, threshold=1, batch=1)  # type: ignore[arg-type]


def test_two_samples_of_one_id_are_refused_whatever_each_is_asked(tmp_path: Path, registry: Registry) -> None:
    document = {**TOY_RUN, "benchmark": None, "output": str(tmp_path / "out"), "store": str(tmp_path / "store")}
    pictures = [Image.from_pixels(np.full((2, 2, 3), number, np.uint8)) for number in range(2)]
    named = Sample("a", pictures[0], expression="the box")
    asked = Sample("a", pictures[1], question="Left?", options=("yes", "no"), answer=0)
    for samples in ([named, asked], [asked, named]):
        with pytest.raises(DataError, match="two samples with the id 'a'"):
            _ = Run(resolve(document, registry), samples=samples).items


def item(number: int) -> Item:
    image = Image.from_pixels(np.full((2, 2, 3), number, np.uint8))
    sample = Sample(str(number), image)
    return Item(sample, Request(sample.id, Protocol.SEGMENT, image, "Where?"), segmented=True)


class Told(Monitor):
    def __init__(self) -> None:
        self.told: list[object] = []

    def begin(self, stage: str, total: int, done: int) -> None:
        self.told.append((total, done))

    def advance(self, count: int = 1) -> None: ...
    def end(self) -> None: ...


def test_a_stage_makes_what_is_missing_and_counts_what_is_there(tmp_path: Path) -> None:
    stage, told = Numbers(tmp_path, Context(), ChosenComponents()), Told()
    items = [item(number) for number in range(4)]
    stage.run(items[:3], told)
    assert [one.sample.id for one in stage.pending(items)] == ["3"]
    assert [stage.has(one) for one in items] == [True, True, True, False]
    stage.run(stage.pending(items), told, there=3)
    assert not stage.pending(items)
    assert told.told == [(3, 0), (4, 3)]


def test_the_record_that_is_kept_first_stays(tmp_path: Path) -> None:
    """Two processes may make one record and not the same; what later stages have read of the first must not change."""
    first, second = (Numbers(tmp_path, Context(), ChosenComponents()) for _ in range(2))
    one = item(1)
    late = second.compute(second.pending([one]))
    first.keep(one, Entry("first", {}))
    for made in late:
        second.take([made], Told())
    assert first.store.get(one.key).body == "first"  # type: ignore[union-attr]
    second.on_record = lambda *_: None  # who asks anew wants the new ones
    second.run([one], Told())
    assert first.store.get(one.key).body == 1  # type: ignore[union-attr]


class Failures(Told):
    def failed(self, stage: str, item: Item, error: Exception) -> None:
        self.told.append(f"{item.sample.id} {item.request.protocol} {stage}: {first_line(error)}")

    def written(self, tokens: int, most: int) -> None: ...


def carried_out(
    folder: Path, registry: Registry, samples: Sequence[Sample] | None = None, **changes: object
) -> tuple[list[str], list[SampleResult]]:
    """What failed in a run of the toy's components that goes on after failures, and its results."""
    document = {**TOY_RUN, "output": str(folder / "out"), "store": str(folder / "store"), "on_error": "record"}
    job = Run(resolve({**document, **changes}, registry), samples=samples)
    display = Failures()
    execute(job, display)
    return sorted(one for one in display.told if isinstance(one, str)), list(job.results())


def toy(registry: Registry, kind: Kind, name: str) -> Any:
    return registry.get(kind, name).component_class


@pytest.mark.parametrize("given", [None, True, Verdict(1), Verdict("no"), Verdict.failed("busy")])  # type: ignore[arg-type]
def test_what_is_no_verdict_is_its_samples_failure_and_no_other_sample_is_lost(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, given: object
) -> None:
    judge = toy(registry, Kind.JUDGE, "toy-judge")
    sound: Callable[..., Verdict] = judge.grade
    graded: list[str] = []

    def grade(*arguments: Any) -> object:
        graded.append(arguments[-1])
        return given if len(graded) == 2 else sound(*arguments)

    monkeypatch.setattr(judge, "grade", grade)
    (failed,), results = carried_out(tmp_path, registry)
    assert "s1 question judge: judge 'toy-judge' gave" in failed
    assert "True, False or None" in failed
    assert len(results) == 6
    assert carried_out(tmp_path, registry)[0] == []  # it is asked again


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (Selection.chosen(0, 0, score="high"), "the score 'high', which is no number"),
        (Selection.absent(score="high"), "the score 'high', which is no number"),
        (Selection("none"), "'none', which is no outcome"),  # type: ignore[arg-type]
        (Selection.failed("no idea"), "'failed', which is no outcome"),
    ],
)
def test_a_choice_that_results_could_not_tell_of_is_its_samples_failure(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, chosen: Selection, said: str
) -> None:
    strategy = toy(registry, Kind.SELECTIONS, "toy-first")
    sound = strategy.select
    monkeypatch.setattr(strategy, "select", lambda *given: chosen if given[1].id == "s1" else sound(*given))
    failed, results = carried_out(tmp_path, registry)
    assert {one.partition(":")[0] for one in failed} == {"s1 question select", "s1 segment select"}
    assert all(said in one for one in failed)
    assert len(results) == 6


def test_a_point_that_is_no_number_is_its_samples_failure(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a record it could never be written to predictions.jsonl, and all predictions would be lost."""
    points = toy(registry, Kind.POINTS, "toy-peak")
    sound, asked = points.select, []

    def select(*given: Any) -> PointPrompt:
        asked.append(1)
        return PointPrompt.at((np.nan, 1.0)) if len(asked) == 2 else sound(*given)

    monkeypatch.setattr(points, "select", select)
    (failed,), _ = carried_out(tmp_path, registry)
    assert "s0 question propose: a point prompt's points and box must be finite" in failed


def test_a_grouper_that_forgets_a_response_costs_no_other(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouper = toy(registry, Kind.GROUPER, "toy-each")

    def group_many(self: Any, responses: Sequence[Any]) -> list[Any]:
        return [self.group(*one) for one in responses[: 1 if len(responses) > 1 else None]]

    monkeypatch.setattr(grouper, "group_many", group_many)
    failed, results = carried_out(tmp_path, registry)
    assert failed == []
    assert all(len(one.by_probing["segment"].candidates) == 5 for one in results)  # of "there is a bright box"


def test_an_answer_that_can_not_be_kept_is_its_samples_failure_where_probings_are_asked_together(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toy(registry, Kind.MODEL, "toy")
    monkeypatch.setattr(registry.get(Kind.MODEL, "toy").config_class, "refills", True)
    sound = model._answer

    def answer(self: Any, request: Request, extractor: Any) -> Any:
        odd = request.sample_id == "s1" and request.protocol == Protocol.LETTER
        return replace(sound(self, request, extractor), extra={"odd": {1, 2}} if odd else {})

    monkeypatch.setattr(model, "_answer", answer)
    (failed,), results = carried_out(tmp_path, registry, batch_size=2)
    assert "s1 letter answer: its record can't be kept: a set is not JSON data" in failed
    assert len(results) == 6


def test_an_image_whose_own_reader_fails_is_its_samples_failure(tmp_path: Path, registry: Registry) -> None:
    def read() -> bytes:
        raise zipfile.BadZipFile("Bad CRC-32 for file 'a.png'")

    asked = {"question": "Left?", "options": ("left", "right"), "answer": 0, "expression": "the box"}
    whole = Image.from_pixels(np.full((24, 40, 3), 200, np.uint8))
    samples = [Sample("a", Image(read, "a.zip/a.png", (40, 24)), **asked), Sample("b", whole, **asked)]  # type: ignore[arg-type]
    failed, results = carried_out(tmp_path, registry, samples, benchmark=None, selections=["toy-first"], control=None)
    assert {one.partition(":")[0] for one in failed} == {f"a {name} read" for name in Protocol}
    assert all("can't read image a.zip/a.png: BadZipFile: Bad CRC-32" in one for one in failed)
    assert all(one.error is None for one in results[1].by_probing.values())


def test_candidates_know_the_package_that_merged_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    monkeypatch.setenv("PIXCORE_PLUGINS", "toy,groupers")

    def key(version: str, **changes: object) -> str:
        plugins.registry.cache_clear()
        found = plugins.registry()
        vars(found._owners["groupers"])["version"] = version
        document = {**TOY_RUN, "output": str(tmp_path / "out"), "store": str(tmp_path / "store"), **changes}
        return next(iter(Run(resolve(document, found)).proposals.values())).store.key

    assert key("1") == key("2")
    assert key("1", merge_iou=0.5) == key("1", merge_iou=0.5) != key("2", merge_iou=0.5)


@pytest.mark.parametrize(
    ("kind", "name", "method", "made"),
    [
        (Kind.SELECTIONS, "toy-first", "select_many", Selection.chosen(0, 0)),
        (Kind.JUDGE, "toy-judge", "grade_many", Verdict(True)),
    ],
)
@pytest.mark.parametrize("word", ["fewer", "more"])
def test_what_miscounts_is_named_and_no_sample_keeps_anothers_result(
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    name: str,
    method: str,
    made: Any,
    word: str,
) -> None:
    """One that leaves out a sample gives all that follow the result of the next."""
    component = toy(registry, kind, name)

    def many(self: Any, items: Any) -> Iterator[Any]:
        for number, _ in enumerate(items):
            yield from [replace(made, reason=str(number))] * (1 if number != 2 else 0 if word == "fewer" else 2)

    changes: dict[str, Any] = {"selections": ["toy-first"], "control": None, "protocols": ["segment", "question"]}
    with monkeypatch.context() as changed:
        changed.setattr(component, method, many)
        for _ in range(2):  # the second time nothing is there that would pass for whole
            with pytest.raises(PluginError, match=f"{kind.noun} '{name}' gave {word} results than"):
                carried_out(tmp_path, registry, **changes)
    _, results = carried_out(tmp_path, registry, **changes)
    asked = [one.by_probing["question"] for one in results]
    assert all(one.verdict is not None and one.verdict.reason == "toy rule" for one in asked)
    assert all(one.selections["toy-first"].reason == "" for one in asked)


@pytest.mark.parametrize(
    ("kind", "name", "one", "asked"),
    [(Kind.SELECTIONS, "toy-first", "select", 12), (Kind.JUDGE, "toy-judge", "grade", 6)],
)
@pytest.mark.parametrize("after", [0, 2])
def test_what_raises_over_all_samples_is_named_and_what_it_made_before_is_kept(
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    name: str,
    one: str,
    asked: int,
    after: int,
) -> None:
    component = toy(registry, kind, name)
    alone, sound = getattr(component, one), getattr(component, f"{one}_many")

    def many(self: Any, items: Any) -> Iterator[Any]:
        yield from sound(self, islice(items, after))
        raise KeyError("box")

    changes: dict[str, Any] = {"selections": ["toy-first"], "control": None, "protocols": ["segment", "question"]}
    with monkeypatch.context() as changed:
        changed.setattr(component, f"{one}_many", many)
        with pytest.raises(PluginError, match=f"^{kind.noun} '{name}' failed: KeyError: 'box'"):
            carried_out(tmp_path, registry, **changes)
    again: list[object] = []

    def counted(*given: Any) -> Any:
        again.append(given)
        return alone(*given)

    monkeypatch.setattr(component, one, counted)
    assert carried_out(tmp_path, registry, **changes)[0] == []
    assert len(again) == asked - after


@pytest.mark.parametrize("error", [DataError("no key"), SampleError("not this one")])
def test_what_says_itself_what_is_wrong_ends_a_run_as_it_stands(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def select_many(self: Any, items: Any) -> Iterator[Any]:
        raise error
        yield

    monkeypatch.setattr(toy(registry, Kind.SELECTIONS, "toy-first"), "select_many", select_many)
    with pytest.raises(type(error), match=f"^{error}$"):
        carried_out(tmp_path, registry, selections=["toy-first"], control=None)


def test_what_is_made_of_an_answer_that_is_gone_and_can_not_be_given_again_is_left(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert carried_out(tmp_path, registry, protocols=["segment"])[0] == []
    for stage in ("answer", "control", "select"):
        for path in (tmp_path / "store").glob(f"{stage}-*"):
            path.unlink()
    model = toy(registry, Kind.MODEL, "toy")
    sound = model._answer

    def answer(self: Any, request: Request, extractor: Any) -> Any:
        if request.sample_id == "s1":
            raise RuntimeError("no more")
        return sound(self, request, extractor)

    monkeypatch.setattr(model, "_answer", answer)
    failed, results = carried_out(tmp_path, registry, protocols=["segment"])
    assert failed == ["s1 segment answer: no more"]
    assert [one.by_probing["segment"].error for one in results if one.sample.id == "s1"] == ["RuntimeError: no more"]
    assert all(one.by_probing["segment"].selections for one in results if one.sample.id != "s1")


def test_all_code_is_imported_before_the_first_answer_as_records_are_known_by_what_it_is_then(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, model = registry.get(Kind.MASKS, "toy-squares"), toy(registry, Kind.MODEL, "toy")
    vars(masks).pop("component_class", None)
    sound = model._answer

    def answer(self: Any, request: Request, extractor: Any) -> Any:
        assert "component_class" in vars(masks)
        return sound(self, request, extractor)

    monkeypatch.setattr(model, "_answer", answer)
    assert carried_out(tmp_path, registry, protocols=["segment"])[0] == []


MISTAKES: dict[str, tuple[Callable[[Sequence[MaskProposal]], Sequence[MaskProposal]], str]] = {
    "turned": (lambda given: [replace(one, masks=one.masks.swapaxes(1, 2)) for one in given], "(24, 40) pixels"),
    "of another size": (lambda given: [replace(one, size=(20, 12)) for one in given], "(20, 12) pixels"),
    "probabilities": (lambda given: [replace(one, masks=one.masks * 0.9) for one in given], "float64 masks"),  # type: ignore[arg-type]
    "too few": (lambda given: given[1:], "4 proposals for 5 prompts"),
    "one stability": (lambda given: [replace(one, stability=np.ones(1, np.float32)) for one in given], "for each mask"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("truth", [True, False])
def test_a_mask_generators_mistake_is_its_samples_failure_and_no_number(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, mistake: str, truth: bool
) -> None:
    generator = toy(registry, Kind.MASKS, "toy-squares")
    sound, (change, said) = generator.segment, MISTAKES[mistake]

    def segment(self: Any, image: Image, prompts: Sequence[PointPrompt]) -> Any:
        given = sound(self, image, prompts)
        return change(given) if image.name == "s1" else given

    monkeypatch.setattr(generator, "segment", segment)
    boxes = list(
        toy(registry, Kind.BENCHMARK, "toy-boxes")(registry.get(Kind.BENCHMARK, "toy-boxes").config_class()).samples()
    )
    samples = boxes[:3] if truth else [replace(one, mask=None) for one in boxes[:3]]
    changes: dict[str, Any] = {
        "benchmark": None,
        "protocols": ["segment"],
        "selections": ["toy-first"],
        "control": None,
    }
    (failed,), results = carried_out(tmp_path, registry, samples, **changes)
    assert failed.startswith("s1 segment propose: mask generator 'toy-squares' gave ")
    assert said in failed
    assert [one.by_probing["segment"].error is None for one in results] == [True, False, True]


def check_all_fail(folder: Path, registry: Registry, said: str) -> None:
    failed, results = carried_out(folder, registry, protocols=["segment"])
    assert len(failed) == len(results) == 6
    assert all(said in one for one in failed)


def test_what_a_control_gives_too_few_prompts_is_named(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = toy(registry, Kind.POINTS, "toy-anywhere")
    monkeypatch.setattr(points, "control", lambda self, size, own, others: list(own)[1:])
    check_all_fail(tmp_path, registry, "point selector 'toy-anywhere' gave 4 prompts for a control of 5")


def test_a_group_that_nothing_places_costs_its_sample_and_not_all_groups_in_silence(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouper = toy(registry, Kind.GROUPER, "toy-each")
    sound = grouper.group
    monkeypatch.setattr(grouper, "group", lambda *given: [TokenGroup((), "there", 0, 5), *sound(*given)])
    check_all_fail(tmp_path, registry, "token grouper 'toy-each' gave a group without tokens")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda group: replace(group, tokens=(-1,)),
        lambda group: replace(group, tokens=(10_000,)),
        lambda group: replace(group, start=-1),
        lambda group: replace(group, end=10_000),
        lambda group: replace(group, phrase=7),
    ],
)
def test_a_group_of_other_tokens_than_the_answers_is_named_and_gives_no_number(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[TokenGroup], TokenGroup]
) -> None:
    """A place before the first counted from the end: the map, and all masks, were another token's."""
    grouper = toy(registry, Kind.GROUPER, "toy-each")
    sound = grouper.group
    monkeypatch.setattr(grouper, "group", lambda *given: [*map(wrong, sound(*given))])
    check_all_fail(tmp_path, registry, "token grouper 'toy-each' gave TokenGroup(tokens=(")


def test_what_can_not_be_scored_is_its_samples_failure(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = toy(registry, Kind.BENCHMARK, "toy-boxes")
    sound = boxes.samples

    def samples(self: Any) -> Any:
        return (replace(one, mask=empty((3, 4))) if one.id == "s1" else one for one in sound(self))

    monkeypatch.setattr(boxes, "samples", samples)
    asked: Any = {"model": "toy-masks", "protocols": ["segment"]}
    _, results = carried_out(tmp_path, registry, **asked)
    (error,) = [one.by_probing["segment"].error for one in results if one.by_probing["segment"].error]
    assert "can't be scored: a mask of size" in str(error)
    with pytest.raises(SampleError, match=r"sample s1 \(segment\) can't be scored"):
        carried_out(tmp_path, registry, **asked, on_error="stop")


@pytest.mark.parametrize("place", ["mask", "masks"])
def test_a_models_mask_of_another_size_than_its_image_is_its_samples_failure(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """One beside its mask cost the report of the whole run; without a true mask it went out with the predictions."""
    model = toy(registry, Kind.MODEL, "toy")
    sound, wrong = model._answer, empty((3, 4))

    def answer(self: Any, request: Request, extractor: Any) -> Response:
        odd = request.sample_id == "s1"
        given = {"mask": wrong, "masks": (empty(request.image.size), wrong)}
        return replace(sound(self, request, extractor), **({place: given[place]} if odd else {}))

    monkeypatch.setattr(model, "_answer", answer)
    failed, results = carried_out(tmp_path, registry, protocols=["segment"])
    (one,) = failed
    assert "s1 segment" in one
    assert "model adapter 'toy' gave a mask that is not (" in one
    assert len(results) == 6


@pytest.mark.parametrize("text", [None, 7, b"aaa"])
def test_a_response_that_has_no_text_is_refused_where_it_is_made(text: Any) -> None:
    """Its records were kept, and every table of the run failed."""
    with pytest.raises(ValueError, match=f"a response's text is a str, got {text!r}"):
        Response(text)


@pytest.mark.parametrize("rows", [slice(1, None), slice(None, -1), [0, *range(100)]])
def test_maps_with_more_or_fewer_rows_than_tokens_are_refused(rows: Any) -> None:
    """Each token had the map of the one after it, without a word."""

    class Cuts(MapTransform[NoConfig]):
        def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
            return np.resize(maps, (101, maps.shape[1]))[rows] if isinstance(rows, list) else maps[rows]

    tokens = tuple(Token(number, "a", number, number + 1) for number in range(3))
    layout = VisualLayout.single(VisualGrid.stretched(2, 2, (8, 8)))
    response = Response("aaa", tokens, np.eye(3, 4, dtype=np.float32), layout)
    with pytest.raises(SampleError, match=r"map transform Cuts gave maps of the shape .*, not \(3, 4\)"):
        group_maps(response, [TokenGroup((0,), "a", 0, 1)], [Cuts(NoConfig())])


def test_points_that_a_generator_moves_stay_in_the_record_as_they_were_given(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"protocols": ["segment"], "selections": ["toy-first"], "control": None}
    _, before = carried_out(tmp_path / "before", registry, **asked)
    generator = toy(registry, Kind.MASKS, "toy-squares")
    sound = generator.segment

    def segment(self: Any, image: Image, prompts: Sequence[PointPrompt]) -> Any:
        given = sound(self, image, prompts)
        for prompt in prompts:
            prompt.points[:] = 0
        return given

    monkeypatch.setattr(generator, "segment", segment)
    _, after = carried_out(tmp_path / "after", registry, **asked)
    assert points_of(after) == points_of(before)


def points_of(results: Sequence[SampleResult]) -> list[Any]:
    found = [one.point for result in results for one in result.by_probing["segment"].candidates]
    return [one.points.tolist() for one in found if one is not None]


@pytest.mark.parametrize("details", [None, [1]])
def test_details_that_are_no_mapping_are_their_samples_failure(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, details: Any
) -> None:
    """They were kept, and every command on the run then ended in a failure."""
    strategy = toy(registry, Kind.SELECTIONS, "toy-first")
    sound: Callable[..., Selection] = strategy.select
    monkeypatch.setattr(strategy, "select", lambda *given: replace(sound(*given), details=details))
    failed, _ = carried_out(tmp_path, registry, protocols=["segment"], selections=["toy-first"], control=None)
    assert len(failed) == 6
    assert all("selection strategy 'toy-first' gave details that are no mapping" in one for one in failed)


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_can_not_say_itself_costs_its_sample_alone(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toy(registry, Kind.MODEL, "toy")
    sound = model._answer

    def answer(self: Any, request: Request, extractor: Any) -> Any:
        if request.sample_id == "s1":
            raise Unsayable
        return sound(self, request, extractor)

    monkeypatch.setattr(model, "_answer", answer)
    failed, results = carried_out(tmp_path, registry, protocols=["segment"])
    assert failed == ["s1 segment answer: Unsayable"]
    assert len(results) == 6


class Idle(Executor[NoConfig]):
    def execute(self, job: Any, work: Any, monitor: Any) -> None:
        """Make nothing, and tell of nothing."""


def test_an_executor_that_leaves_records_unmade_is_told_and_no_figure_is_of_nothing(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ended with a table of zeros."""
    monkeypatch.setitem(vars(registry.get(Kind.EXECUTOR, "local")), "component_class", Idle)
    with pytest.raises(PluginError, match="executor Idle made no record of sample s0 in stage answer"):
        carried_out(tmp_path, registry, executor="local")


def test_what_holds_itself_can_not_be_kept_and_costs_its_sample(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = toy(registry, Kind.SELECTIONS, "toy-first")
    sound: Callable[..., Selection] = strategy.select
    details: dict[str, Any] = {}
    details["again"] = details
    deep: dict[str, Any] = {}
    for _ in range(100_000):  # Python 3.13 writes JSON thousands deep
        deep = {"inner": deep}
    odd = {"s1": details, "s2": deep}

    def select(self: Any, sample: Sample, *given: Any) -> Selection:
        return replace(sound(self, sample, *given), details=odd.get(sample.id, {}))

    monkeypatch.setattr(strategy, "select", select)
    failed, results = carried_out(tmp_path, registry, protocols=["segment"], selections=["toy-first"], control=None)
    assert [one.partition(":")[0] for one in failed] == ["s1 segment select", "s2 segment select"]
    assert all("its record can't be kept" in one for one in failed)
    assert len(results) == 6


def test_a_text_that_has_no_utf8_costs_no_run(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model's text may hold half a surrogate pair, and what fails on it says so."""

    def select(self: Any, sample: Sample, *given: Any) -> Selection:
        raise ValueError("can't read '\ud83d'")

    monkeypatch.setattr(toy(registry, Kind.SELECTIONS, "toy-first"), "select", select)
    picture = Image.from_pixels(np.full((24, 40, 3), 200, np.uint8))
    samples = [Sample("\ud800", picture, expression="the box")]
    (failed,), (result,) = carried_out(
        tmp_path, registry, samples, benchmark=None, selections=["toy-first"], control=None
    )
    assert "can't read" in failed
    assert result.by_probing["segment"].selections["toy-first"].reason == "ValueError: can't read '\\ud83d'"
