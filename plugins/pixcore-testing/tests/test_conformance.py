"""The conformance suite passes components that keep the contract, and names what others get wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pixcore_testing import inputs
from pixcore_testing.conformance import CHECKS, check_component, check_model_adapter, check_registration
from pydantic import BaseModel, ConfigDict

from pixcore.components import (
    AttentionExtractor,
    Benchmark,
    Component,
    Config,
    Judge,
    MapTransform,
    MaskGenerator,
    ModelAdapter,
    ModelConfig,
    Needs,
    NoConfig,
    PointSelector,
    SelectionStrategy,
    TokenGrouper,
)
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.masks import encode
from pixcore.plugins import Kind, Owner, Registration
from pixcore.records import (
    Candidate,
    Image,
    MaskProposal,
    PointPrompt,
    Request,
    Response,
    Sample,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)


class Extractor(AttentionExtractor[NoConfig]):
    needs = Needs()

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        self.step: list[Any] = []
        self.steps: list[Any] = []

    def observe(self, layer: int, rows: Any) -> None:
        self.step.append(rows.mean(axis=1))

    def end_step(self) -> None:
        self.steps.append(np.mean(self.step, axis=0))
        self.step = []

    def maps(self) -> list[NDArray[np.float32]]:
        return list(np.stack(self.steps, axis=1))


class Transform(MapTransform[NoConfig]):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        return maps - maps.mean(axis=0)


class Grouper(TokenGrouper[NoConfig]):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [TokenGroup((i,), t.text, t.start, t.end) for i, t in enumerate(tokens) if t.end > t.start]


class Selector(PointSelector[Any]):
    def select(self, relevance: Any) -> PointPrompt:
        row, col = np.unravel_index(int(relevance.argmax()), relevance.shape)
        return PointPrompt.at((float(col), float(row)))


class Generator(MaskGenerator[NoConfig]):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        width, height = image.size
        masks = np.zeros((2, height, width), bool)
        masks[1] = True
        return [MaskProposal(masks, np.array([0.5, 0.7], np.float32)) for _ in prompts]


class Strategy(SelectionStrategy[NoConfig]):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return Selection.chosen(0, 0, reason="the first") if candidates else Selection.nothing()


class World(Benchmark[NoConfig]):
    def samples(self) -> Iterator[Sample]:
        for index in range(4):
            yield replace(inputs.sample(absent=index == 1), id=f"sample {index}", pair=str(index // 2))


class AnswerJudge(Judge[NoConfig]):
    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return Verdict("left" in response.lower(), "a word")


class Adapter(ModelAdapter[ModelConfig]):
    """Says the prompt again; attends evenly; sees a 4x4 grid of mean colours."""

    capabilities = frozenset({"text", "attention"})

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        return [self.respond(request, extractor) for request in requests]

    def respond(self, request: Request, extractor: AttentionExtractor[Any] | None) -> Response:
        tokens, layout = inputs.tokens_of(request.prompt), self.layout(request.image)
        if extractor is None:
            return Response(request.prompt, tokens)
        extractor.begin(1, 1, 2 if extractor.needs.heads is None else len(extractor.needs.heads), layout.tokens)
        for _ in tokens:
            extractor.observe(1, self.rows(2 if extractor.needs.heads is None else 1, layout.tokens))
            extractor.end_step()
        return Response(request.prompt, tokens, maps=np.asarray(extractor.maps()[0]), layout=layout)

    def rows(self, heads: int, cells: int) -> Any:
        return np.full((1, heads, cells), 0.5 / cells, np.float32)

    def layout(self, image: Image) -> VisualLayout:
        return VisualLayout.single(VisualGrid.stretched(4, 4, image.size))

    def visual_embeddings(self, image: Image) -> Any:
        small = image.pil().resize((16, 16)).convert("RGB")
        return np.asarray(small, np.float32).reshape(4, 4, 4, 4, 3).swapaxes(1, 2).reshape(16, -1)


GOOD: dict[Kind, Component[Any]] = {
    Kind.MODEL: Adapter(ModelConfig()),
    Kind.EXTRACTOR: Extractor(NoConfig()),
    Kind.TRANSFORMS: Transform(NoConfig()),
    Kind.GROUPER: Grouper(NoConfig()),
    Kind.POINTS: Selector(NoConfig()),
    Kind.MASKS: Generator(NoConfig()),
    Kind.SELECTIONS: Strategy(NoConfig()),
    Kind.BENCHMARK: World(NoConfig()),
    Kind.JUDGE: AnswerJudge(NoConfig()),
}


def test_every_kind_has_a_check() -> None:
    assert set(CHECKS) == set(Kind) == set(GOOD)


@pytest.mark.parametrize("kind", Kind)
def test_a_component_that_keeps_the_contract_has_no_findings(kind: Kind) -> None:
    assert check_component(kind, GOOD[kind]) == []


@pytest.mark.parametrize("kind", Kind)
def test_a_component_of_another_kind_is_named(kind: Kind) -> None:
    other = GOOD[Kind.JUDGE if kind is not Kind.JUDGE else Kind.MODEL]
    assert f"should be a {kind.interface.__name__}" in str(check_component(kind, other)[0])


class Loose(BaseModel):
    """A config that is none."""

    def fingerprint(self) -> str:
        return ""


class Open(Config):
    model_config = ConfigDict(extra="ignore", frozen=False)


class Gradual(Extractor):
    needs = Needs(layers=(-1, 3), heads=(0, 1), gradients=True, hidden_states=True, reference_prompt=" ")


class Forgetful(Extractor):
    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        self.steps = getattr(self, "steps", [])
        self.step = []


class Greedy(Extractor):
    def observe(self, layer: int, rows: Any) -> None:
        rows *= 2
        super().observe(layer, rows)


class Double(Extractor):
    def maps(self) -> list[Any]:
        return [own.astype(np.float64) for own in super().maps()]


class Torch(Extractor):
    def observe(self, layer: int, rows: Any) -> None:
        self.step.append(rows.detach().mean(1))


class InPlace(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        maps -= maps.mean(axis=0)
        return maps


class Divider(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return maps / maps.sum(axis=1, keepdims=True)


class Trimming(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(group, phrase=group.phrase.strip()) for group in super().group(text, tokens)]


class Ending(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [TokenGroup(tuple(range(len(tokens))), text, 0, len(text))]


class Backwards(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return super().group(text, tokens)[::-1]


class Centre(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at((relevance.shape[1], relevance.shape[0] / 2))


class Restless(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at(tuple(np.random.default_rng().random(2) * (relevance.shape[1] - 1, 0)))


class Transposed(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        return [replace(own, masks=own.masks.swapaxes(1, 2)) for own in super().segment(image, prompts)]


class Logits(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        return [replace(own, masks=own.masks.astype(np.float32)) for own in super().segment(image, prompts)]


class Lonely(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        return super().segment(image, prompts[:1])


class Peeking(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return Selection.absent() if sample.absent else super().select(sample, response, candidates)


class Confident(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return Selection.chosen(0, 5)


class Wordy(Strategy):
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        return Selection.nothing(details={"scores": np.ones(2)})


class Twins(World):
    def samples(self) -> Iterator[Sample]:
        yield from [replace(own, id="one") for own in super().samples()]


class Halves(World):
    def samples(self) -> Iterator[Sample]:
        yield from [replace(own, pair=own.id) for own in super().samples()]


class Blank(World):
    def samples(self) -> Iterator[Sample]:
        yield from [replace(own, expression=" ", answer=2) for own in super().samples()]


class Sideways(World):
    def samples(self) -> Iterator[Sample]:
        yield from [replace(own, mask=encode(inputs.object_mask(inputs.WIDE).T)) for own in super().samples()]


class Empty(World):
    def samples(self) -> Iterator[Sample]:
        yield from ()


class Moody(AnswerJudge):
    def grade_many(self, items: Any) -> Iterator[Verdict]:
        for _ in items:
            yield Verdict(None)


class Strict(AnswerJudge):
    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        return Verdict(response[0] == "(")


class Talkative(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        return replace(super().respond(request, extractor), text=request.prompt + (" (looked)" if extractor else ""))


class Crowded(Adapter):
    def answer(self, requests: Sequence[Request], extractor: Any = None) -> list[Response]:
        return [
            replace(own, text=own.text + "!" * (len(requests) - 1), tokens=())
            for own in super().answer(requests, extractor)
        ]


class Shifted(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        own = super().respond(request, extractor)
        return replace(own, tokens=tuple(replace(t, start=t.start + 1, end=t.end + 1) for t in own.tokens))


class Raw(Adapter):
    def rows(self, heads: int, cells: int) -> Any:
        return super().rows(heads, cells) * 20


class Half(Adapter):
    def rows(self, heads: int, cells: int) -> Any:
        return super().rows(heads, cells).astype(np.float16)


class Hidden(Adapter):
    def layout(self, image: Image) -> VisualLayout:
        return VisualLayout.single(VisualGrid.padded_to_square(4, 4, image.size))


class Maskless(Adapter):
    capabilities = frozenset({"text", "masks"})


class Misfit(Adapter):
    capabilities = frozenset({"text", "masks"})

    def respond(self, request: Request, extractor: Any) -> Response:
        wrong = encode(np.zeros((3, 3), bool))
        return replace(super().respond(request, None), mask=wrong)


@pytest.mark.parametrize(
    ("component", "where", "message"),
    [
        (Selector(Loose()), "component", "component.config should be a Config"),
        (Selector(Open()), "component", "forbid unknown keys"),
        (Selector(Open()), "component", "frozen"),
        (Gradual(NoConfig()), "needs", "reference_prompt should be text"),
        (Forgetful(NoConfig()), "3 steps", "should have the shape (3, "),
        (Greedy(NoConfig()), "3 steps", "changes the rows"),
        (Double(NoConfig()), "3 steps", "should be float32, is float64"),
        (Torch(NoConfig()), "3 steps", "raises AttributeError"),
        (InPlace(NoConfig()), "transform, one padded grid", "changes its input"),
        (InPlace(NoConfig()), "transform, tiles", "shares memory"),
        (Divider(NoConfig()), "transform, tiles, all zero", "not finite"),
        (Trimming(NoConfig()), "group, ", "is not what stands at"),
        (Ending(NoConfig()), "group, ", "tokens that add no text"),
        (Backwards(NoConfig()), "group, ", "order of the text"),
        (Centre(NoConfig()), "select, a bump", "outside an image of 64x40"),
        (Restless(NoConfig()), "select, a bump", "other points the second time"),
        (Transposed(NoConfig()), "segment, 64x40", "should have the shape (2, 40, 64), has (2, 64, 40)"),
        (Logits(NoConfig()), "segment, 40x56", "should be bool, is float32"),
        (Lonely(NoConfig()), "segment, 64x40", "4 prompts give 1 proposals"),
        (Peeking(NoConfig()), "select, three candidates", "depends on the ground truth"),
        (Confident(NoConfig()), "select, no candidate", "is none of 0 candidates"),
        (Wordy(NoConfig()), "select, ", "details should be JSON data"),
        (Twins(NoConfig()), "samples", "twice: ['one']"),
        (Halves(NoConfig()), "samples", "a pair needs two samples"),
        (Blank(NoConfig()), "sample sample 0", "expression should be text or None"),
        (Blank(NoConfig()), "sample sample 0", "answer 2 is none of 2 options"),
        (Sideways(NoConfig()), "sample sample 0", "40x64 pixels"),
        (Empty(NoConfig()), "samples", "needs samples"),
        (Moody(NoConfig()), "grade_many", "other verdicts"),
        (Strict(NoConfig()), "grade, ''", "raises IndexError"),
        (Adapter(NoConfig()), "config", "should be a ModelConfig"),  # type: ignore[arg-type]
        (Talkative(ModelConfig()), "attention", "reading attention changes the text"),
        (Crowded(ModelConfig()), "answer, one by one", "a batch changes a sample's text"),
        (Shifted(ModelConfig()), "answer", "is not what stands there"),
        (Raw(ModelConfig()), "attention", "no part of a softmax"),
        (Half(ModelConfig()), "attention", "float16, not float32"),
        (Hidden(ModelConfig()), "640x320, top left", "changes most"),
        (Maskless(ModelConfig()), "answer", "needs a mask"),
        (Misfit(ModelConfig()), "answer", "3x3 pixels"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Component) else "",
)
def test_a_broken_contract_is_named(component: Component[Any], where: str, message: str) -> None:
    kind = next(kind for kind in Kind if isinstance(component, kind.interface))
    if isinstance(component, Adapter) and not isinstance(component, Hidden):
        findings = check_model_adapter(component, geometry=False)
    else:
        findings = check_component(kind, component)
    assert any(own.where.startswith(where) and message in own.message for own in findings), [*map(str, findings)]


def test_a_service_is_not_asked_unasked() -> None:
    class Paid(AnswerJudge):
        asks_service = True

        def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
            raise AssertionError("that cost money")

    (note,) = check_component(Kind.JUDGE, Paid(NoConfig()))
    assert note.severity == "note"
    assert "asks a service" in note.message


def test_an_oracle_may_look_at_the_ground_truth() -> None:
    class Oracle(Peeking):
        uses_ground_truth = True

    assert check_component(Kind.SELECTIONS, Oracle(NoConfig())) == []


def registered(config: str | None, summary: str = "A toy.") -> Registration:
    return Registration(
        Kind.POINTS,
        "toy",
        f"{__name__}:Selector",
        summary,
        False,
        Owner("toy", "toy", lambda: "1"),
        config,
    )


def test_what_a_plugin_registered_is_made_and_checked() -> None:
    assert check_registration(registered("pixcore.components:NoConfig"), NoConfig()) == []


def test_a_registration_with_a_heavy_config_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spacy.py").write_text("")  # stands for the real one
    (tmp_path / "heavy_config.py").write_text("import spacy\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = check_registration(registered("heavy_config:Config", summary=""), NoConfig())
    assert [finding.where for finding in findings] == ["registration", "registration"]
    assert "summary should be one line" in findings[0].message
    assert "importing heavy_config loads spacy" in findings[1].message


def test_a_component_that_can_not_be_made_is_a_finding() -> None:
    (finding,) = check_registration(replace(registered(None), target="nowhere.at.all:Selector"), NoConfig())
    assert finding.where == "component"
    assert "PluginError" in finding.message
