"""Mistakes planted in extractors, transforms, groupers, selectors and generators: each is one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from pixcore_testing.conformance import check_component
from pydantic import BaseModel, ConfigDict

from pixcore.components import (
    AttentionExtractor,
    Component,
    Config,
    MapTransform,
    MaskGenerator,
    Needs,
    NoConfig,
    PointSelector,
    TokenGrouper,
)
from pixcore.errors import ModelError, UserError
from pixcore.geometry import VisualLayout
from pixcore.plugins import Kind
from pixcore.records import Image, MaskProposal, PointPrompt, Token, TokenGroup


class Extractor(AttentionExtractor[Any]):
    """The mean over heads and layers."""

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


class BlankReference(Extractor):
    needs = Needs(reference_prompt=" ")


class LayersInAList(Extractor):
    needs = Needs(layers=[0, 1])  # type: ignore[arg-type]


class MisspeltQuery(Extractor):
    needs = Needs(query="emited")  # type: ignore[arg-type]


class ThirdToLastRow(Extractor):
    needs = Needs(prefill_row=-3)  # type: ignore[arg-type]


class Needy(Extractor):
    needs = {"layers": None}  # type: ignore[assignment]  # noqa: RUF012


class BatchBefore(Extractor):
    """State shared between calls: the steps of the batch before are still there."""

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        self.steps = getattr(self, "steps", [])
        self.step = []


class RunningMean(Extractor):
    past = 0.0

    def maps(self) -> list[NDArray[np.float32]]:
        found = [(own + np.float32(self.past)).astype(np.float32) for own in super().maps()]
        self.past = 0.5
        return found


class InPlaceRows(Extractor):
    def observe(self, layer: int, rows: Any) -> None:
        rows *= 2
        super().observe(layer, rows)


class DoubleMaps(Extractor):
    def maps(self) -> list[Any]:
        return [own.astype(np.float64) for own in super().maps()]


class HalfMaps(Extractor):
    def maps(self) -> list[Any]:
        return [own.astype(np.float16) for own in super().maps()]


class FirstOfBatch(Extractor):
    def maps(self) -> list[Any]:
        return super().maps()[:1]


class StepsAcross(Extractor):
    """(visual tokens, steps) in place of (steps, visual tokens)."""

    def maps(self) -> list[Any]:
        return [own.T for own in super().maps()]


class TorchAlone(Extractor):
    def observe(self, layer: int, rows: Any) -> None:
        self.step.append(rows.detach().mean(1))


class ScaledByTheBatch(Extractor):
    def observe(self, layer: int, rows: Any) -> None:
        super().observe(layer, rows / rows.max())


class PaddingCounts(Extractor):
    """The mean that is subtracted is that of the padding too."""

    def observe(self, layer: int, rows: Any) -> None:
        super().observe(layer, rows - rows.mean(axis=2, keepdims=True))


class StepsAtOnce(Extractor):
    """No mistake: several steps of a layer at once are what they are one by one."""

    stepwise = True

    def observe_steps(self, layer: int, rows: Any) -> None:
        self.step.append(rows.mean(axis=1))

    def end_step(self) -> None:
        mean = np.mean(self.step, axis=0)
        self.steps += [mean] if mean.ndim == 2 else list(mean.swapaxes(0, 1))
        self.step = []


class SummedAtOnce(StepsAtOnce):
    def observe_steps(self, layer: int, rows: Any) -> None:
        self.step.append(rows.sum(axis=1))


class AllAtOnceAlone(StepsAtOnce):
    """It takes the steps that it sees at once for all there are."""

    def end_step(self) -> None:
        if self.step[0].ndim == 3:
            self.steps = []
        super().end_step()


class FailsAlone(Extractor):
    def maps(self) -> list[NDArray[np.float32]]:
        found = super().maps()
        if len(found) == 1:
            raise IndexError("there is no second sample")
        return found


class FailsAtOnce(Extractor):
    def observe_steps(self, layer: int, rows: Any) -> None:
        raise IndexError("there is no such axis")


class FailsLater(Extractor):
    stepwise = True

    def maps(self) -> list[NDArray[np.float32]]:
        if len(self.steps) == 2:
            raise IndexError("there is no third step")
        return super().maps()


class LessTheFirst(Extractor):
    """It is marked as one whose steps stand alone, and subtracts the first."""

    stepwise = True

    def maps(self) -> list[NDArray[np.float32]]:
        return [own - own[:1] for own in super().maps()]


class Transform(MapTransform[Any]):
    """Minus the mean."""

    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        return maps - maps.mean(axis=0)


class InPlace(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        maps -= maps.mean(axis=0)
        return maps


class InPlaceAndCopied(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        maps += 1
        return maps.copy()


class DividesByNothing(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return maps / maps.sum(axis=1, keepdims=True)


class Doubles(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        return maps.astype(np.float64)


class OneForAll(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        return maps.mean(axis=0)


class MeanSoFar(Transform):
    """State shared between calls: the mean of all responses that were seen."""

    seen = 0.0

    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        self.seen += float(maps.mean())
        return maps - np.float32(self.seen)


class NeedsReference(Transform):
    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        return maps - reference


class RefusesWithoutReference(Transform):
    """No mistake: it says what it needs."""

    def transform(self, maps: Any, layout: VisualLayout, reference: Any) -> Any:
        if reference is None:
            raise ModelError("there is no reference map", hint="an extractor with one")
        return maps - reference


class Grouper(TokenGrouper[Any]):
    """Each token alone."""

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [TokenGroup((i,), t.text, t.start, t.end) for i, t in enumerate(tokens) if t.end > t.start]


class NumPyIndices(Grouper):
    """No mistake: NumPy's whole numbers are whole numbers."""

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(one, tokens=tuple(np.array(one.tokens))) for one in super().group(text, tokens)]


class Phrases(Grouper):
    """Phrases, not groups."""

    def group(self, text: str, tokens: Sequence[Token]) -> Any:
        return [token.text for token in tokens if token.text]


class Stripped(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(group, phrase=group.phrase.strip()) for group in super().group(text, tokens)]


class EndToken(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [TokenGroup(tuple(range(len(tokens))), text, 0, len(text))]


class OffByOneToken(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        groups = super().group(text, tokens)[:-1]
        return [replace(group, tokens=(group.tokens[0] + 1,)) for group in groups]


class BeyondTheEnd(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(group, tokens=(len(tokens),)) for group in super().group(text, tokens)]


class FractionsForIndices(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(group, tokens=(float(group.tokens[0]),)) for group in super().group(text, tokens)]  # type: ignore[arg-type]


class NoTokens(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(group, tokens=()) for group in super().group(text, tokens)]


class Backwards(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return super().group(text, tokens)[::-1]


class EmptyTextFails(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        assert text[0]
        return super().group(text, tokens)


class OtherInABatch(Grouper):
    def group_many(self, responses: Any) -> list[list[TokenGroup]]:
        return [groups[1:] for groups in super().group_many(responses)]


class LastTokenLost(Grouper):
    """The slice that ends one too early."""

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        whole = TokenGroup(tuple(range(len(tokens) - 2)), text, 0, len(text))
        return [whole] if len(tokens) > 2 else super().group(text, tokens)


class TokenTwice(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(own, tokens=own.tokens + own.tokens[:1]) for own in super().group(text, tokens)]


class CountsFromTheEnd(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        found = super().group(text, tokens)
        return [replace(own, start=own.start - len(text), end=own.end - len(text)) for own in found[:-1]]


class EndsBeyondTheText(Grouper):
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        return [replace(own, end=own.end + (own.end == len(text))) for own in super().group(text, tokens)]


class TextBefore(Grouper):
    """State shared between calls: words of the text before are left out."""

    before: frozenset[str] = frozenset()

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        found = super().group(text, tokens)
        known, self.before = self.before, frozenset(own.phrase for own in found)
        return [own for own in found if own.phrase not in known or own.phrase == "no"]


class DropsWhenAsked(Grouper):
    def group_asked(self, asked: Any) -> list[list[TokenGroup]]:
        return super().group_asked(asked)[:-1]


class LooseWhenAsked(Grouper):
    def group_asked(self, asked: Any) -> list[list[TokenGroup]]:
        return [[replace(own, phrase="it") for own in groups] for groups in super().group_asked(asked)]


class Generator(MaskGenerator[Any]):
    """Two masks that depend on the picture, whatever the prompt."""

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        red = image.pixels()[..., 0] > 200
        return [self.proposal(np.stack([red, ~red])) for _ in prompts]

    def proposal(self, masks: Any) -> MaskProposal:
        return MaskProposal(masks, np.array([0.5, 0.7], np.float32))


class AtModelResolution(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return super().proposal(np.zeros((2, 256, 256), bool))


class Transposed(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return super().proposal(masks.swapaxes(1, 2))


class LogitMasks(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return super().proposal(masks.astype(np.float32))


class HalfScores(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return MaskProposal(masks, np.array([0.5, 0.7], np.float16))  # type: ignore[arg-type]


class NoScores(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return MaskProposal(masks, np.full(2, np.nan, np.float32))


class StabilityOfOne(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return replace(super().proposal(masks), stability=np.ones(1, np.float32))


class NothingFound(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return MaskProposal(masks[:0], np.zeros(0, np.float32))


class FirstPromptOnly(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        return super().segment(image, prompts[:1])


class MasksAlone(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> Any:
        return [own.masks for own in super().segment(image, prompts)]


class BatchMatters(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        proposals = super().segment(image, prompts)
        return [replace(own, masks=own.masks[::-1]) for own in proposals] if len(prompts) == 1 else proposals


class KnownByName(Generator):
    """State shared between calls: the encoding of an image is kept under its name."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.kept: dict[str, Image] = {}

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        return super().segment(self.kept.setdefault(image.name, image), prompts)


class ScoresOfTheBatch(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        return [replace(own, scores=own.scores / len(prompts)) for own in super().segment(image, prompts)]


class StabilityOfTheBatch(Generator):
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        share = np.full(2, 1 / max(len(prompts), 1), np.float32)
        return [replace(own, stability=share) for own in super().segment(image, prompts)]


class OtherEveryTime(Generator):
    def proposal(self, masks: Any) -> MaskProposal:
        return super().proposal(np.random.default_rng().random(masks.shape) > 0.5)


class RoundsPrompts(Generator):
    """The points are the record's own."""

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        for prompt in prompts:
            prompt.points.round(out=prompt.points)
        return super().segment(image, prompts)


class Selector(PointSelector[Any]):
    """The highest pixel."""

    def select(self, relevance: Any) -> PointPrompt:
        row, col = np.unravel_index(int(relevance.argmax()), relevance.shape)
        return PointPrompt.at((float(col), float(row)))


class RowThenColumn(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at((super().select(relevance).points[0, 1], super().select(relevance).points[0, 0]))


class OnePixelOut(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at((relevance.shape[1], relevance.shape[0] / 2))


class InFractions(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at((-0.5, 0.5))


class DoublePoints(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt(np.zeros((1, 2)), np.ones(1, np.int8))  # type: ignore[arg-type]


class WideLabels(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt(np.zeros((1, 2), np.float32), np.ones(1, np.int64))  # type: ignore[arg-type]


class LabelsOfMinusOne(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt(np.zeros((1, 2), np.float32), np.full(1, -1, np.int8))


class WidthForCorner(Selector):
    """(x, y, width, height) in place of two corners."""

    def select(self, relevance: Any) -> PointPrompt:
        height, width = relevance.shape
        return replace(super().select(relevance), box=(width - 1.0, height - 1.0, 0.5, 0.5))


class Coordinates(Selector):
    def select(self, relevance: Any) -> Any:
        return super().select(relevance).points


class OwnRandomness(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at(tuple(np.random.default_rng().random(2) * (relevance.shape[1] - 1, 0)))


class Wandering(Selector):
    """State shared between calls: each point differs from the last."""

    calls = 0

    def select(self, relevance: Any) -> PointPrompt:
        self.calls += 1
        return PointPrompt.at((float(self.calls % relevance.shape[1]), 0.0))


class CentreOfMassSwapped(Selector):
    """The centre of a whole map lies near its middle, where its row and column swapped are inside too."""

    def select(self, relevance: Any) -> PointPrompt:
        weights = np.abs(relevance) + 1
        rows, columns = np.indices(relevance.shape)
        return PointPrompt.at((float(np.average(rows, weights=weights)), float(np.average(columns, weights=weights))))


class PointBefore(Selector):
    """State shared between calls: the point before, as long as it is inside."""

    before: PointPrompt | None = None

    def select(self, relevance: Any) -> PointPrompt:
        found, height, width = super().select(relevance), *relevance.shape
        known, self.before = self.before, found
        inside = known is not None and bool((known.points <= [width - 1, height - 1]).all())
        return known if known is not None and inside else found


class AlsoOutside(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        return replace(super().select(relevance), also=(PointPrompt.at((0, relevance.shape[0])),))


class Consuming(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        found = super().select(relevance)
        relevance[relevance == relevance.max()] = -99
        return found


class FlatFails(Selector):
    def select(self, relevance: Any) -> PointPrompt:
        if np.ptp(relevance) == 0:
            raise UserError("the map is flat", hint="look elsewhere")
        return super().select(relevance)


class Unfinished(Selector):
    def close(self) -> None:
        if getattr(self, "closed", False):
            raise RuntimeError("already closed")
        self.closed = True


class Rootless(Selector):
    def __init__(self, config: Config, context: Any = None) -> None:
        self.config = config


class Loose(BaseModel):
    """A config that is none."""


class Open(Config):
    model_config = ConfigDict(extra="ignore")


class Changing(Config):
    model_config = ConfigDict(frozen=False)


class Nameless(Config):
    def fingerprint(self) -> Any:
        return None


class Unsteady(Config):
    def fingerprint(self) -> str:
        return str(np.random.default_rng().random())


class Misspelt(Config):
    not_in_key: ClassVar[frozenset[str]] = frozenset({"time_out"})
    timeout: float = 5.0


def kind_of(component: Component[Any]) -> Kind:
    return next(kind for kind in Kind if isinstance(component, kind.interface))


SOUND = (Extractor, StepsAtOnce, Transform, RefusesWithoutReference, Grouper, NumPyIndices, Selector, Generator)


@pytest.mark.parametrize("kind", SOUND)
def test_a_component_that_keeps_the_contract(kind: type[Component[Any]]) -> None:
    component = kind(NoConfig())
    assert check_component(kind_of(component), component) == []


@pytest.mark.parametrize(
    ("kind", "promise", "seen"),
    [
        (BlankReference, "needs.reference_prompt is text or None", "' '"),
        (LayersInAList, "needs.layers is a tuple or None", "list [0, 1]"),
        (MisspeltQuery, "needs.query is one of ('predicting', 'emitted')", "str 'emited'"),
        (ThirdToLastRow, "needs.prefill_row is one of (-1, -2)", "int -3"),
        (Needy, "needs: a Needs", "dict"),
        (BatchBefore, "a map: a finite float32 array (steps, visual tokens)", "(6, 49) in place of (3, 49)"),
        (RunningMean, "nothing is carried over from one batch to the next", "other maps"),
        (InPlaceRows, "observe changes no row that it is shown", "other values"),
        (DoubleMaps, "a map: a finite float32 array", "float64"),
        (HalfMaps, "a map: a finite float32 array", "float16"),
        (FirstOfBatch, "maps() gives one map a sample", "1 for a batch of 2"),
        (StepsAcross, "a map: a finite float32 array (steps, visual tokens)", "(49, 3) in place of (3, 49)"),
        (TorchAlone, "nothing is raised", "no attribute 'detach'"),
        (InPlace, "transform gives a new array", "shares memory"),
        (InPlaceAndCopied, "transform changes no array that it is given", "other values"),
        (DividesByNothing, "what transform gives: a finite float32 array (tokens, visual tokens)", "not finite"),
        (Doubles, "what transform gives: a finite float32 array", "float64"),
        (OneForAll, "what transform gives: a finite float32 array", "in place of (5, "),
        (MeanSoFar, "nothing is carried over from one response to the next", "other maps"),
        (ScaledByTheBatch, "a batch changes no sample's maps", "other maps alone"),
        (PaddingCounts, "a batch changes no sample's maps", "other maps alone"),
        (SummedAtOnce, "observe_steps gives the maps that observe gives", "other maps"),
        (AllAtOnceAlone, "a map: a finite float32 array (steps, visual tokens)", "(2, 49) in place of (3, 49)"),
        (LessTheFirst, "stepwise is True only where each step stands alone", "another map without the steps before"),
        (FailsAlone, "nothing is raised", "there is no second sample"),
        (FailsAtOnce, "nothing is raised", "there is no such axis"),
        (FailsLater, "nothing is raised", "there is no third step"),
        (NeedsReference, "nothing is raised", "TypeError"),
        (LastTokenLost, "a group's tokens are those that spell its phrase", "is left out of"),
        (TokenTwice, "a group holds a token once", "twice"),
        (CountsFromTheEnd, "a group's phrase stands from start to end in the text", "of 7"),
        (EndsBeyondTheText, "a group's phrase stands from start to end in the text", "76 of 75"),
        (TextBefore, "a text gives the same groups every time", "other groups"),
        (DropsWhenAsked, "group_asked gives the groups of each response", "3 for 4"),
        (LooseWhenAsked, "a group's phrase is what stands from start to end", "'it' where"),
        (ScoresOfTheBatch, "a prompt gives the same masks and scores alone and among others", "other scores alone"),
        (StabilityOfTheBatch, "a prompt gives the same masks and scores alone", "other stability alone"),
        (OtherEveryTime, "the same prompts give the same masks every time", "other masks the second time"),
        (RoundsPrompts, "segment changes no prompt that it is given", "other points"),
        (CentreOfMassSwapped, "points are (x, y) inside the image", "as (row, column)"),
        (PointBefore, "the same points every time, whatever map came before", "other points"),
        (AlsoOutside, "points are (x, y) inside the image", "in 64x40 pixels"),
        (Phrases, "a group: a TokenGroup", "str"),
        (Stripped, "a group's phrase is what stands from start to end", "where ' "),
        (EndToken, "a group holds no token that adds no text", "in \"The cat's"),
        (OffByOneToken, "a group's tokens are those that spell its phrase", "stands elsewhere"),
        (BeyondTheEnd, "a group's token: the index of one of the response's tokens", "of 2"),
        (FractionsForIndices, "a group's token: the index of one of the response's tokens", "float 0.0"),
        (NoTokens, "a group has a token", "'The' has none"),
        (Backwards, "groups are in the order of the text", "starts ["),
        (EmptyTextFails, "nothing is raised", "IndexError"),
        (OtherInABatch, "group_many gives the groups that group gives", "other groups"),
        (
            AtModelResolution,
            "a proposal's masks, at the image's own size: a finite bool array (masks, height, width)",
            "(2, 256, 256) in place of (2, 40, 64)",
        ),
        (
            Transposed,
            "a proposal's masks, at the image's own size: a finite bool array (masks, height, width)",
            "(2, 64, 40) in place of (2, 40, 64)",
        ),
        (LogitMasks, ": a finite bool array", "float32"),
        (HalfScores, "a proposal's scores: a finite float32 array", "float16"),
        (NoScores, "a proposal's scores: a finite float32 array", "not finite"),
        (StabilityOfOne, "a proposal's stability", "(1,) in place of (2)"),
        (NothingFound, "a proposal has a mask", "none"),
        (FirstPromptOnly, "segment gives one proposal a prompt", "1 for 4 prompts"),
        (MasksAlone, "a proposal: a MaskProposal", "an array bool (2, 40, 64)"),
        (BatchMatters, "a prompt gives the same masks and scores alone", "other masks alone"),
        (KnownByName, "an image is known by its content", "an image before it"),
        (RowThenColumn, "points are (x, y) inside the image", "as (row, column)"),
        (OnePixelOut, "points are (x, y) inside the image", "[[64.0, 20.0]] in 64x40 pixels"),
        (InFractions, "points are (x, y) inside the image", "-0.5"),
        (DoublePoints, "points: a finite float32 array", "float64"),
        (WideLabels, "labels: a finite int8 array", "int64"),
        (LabelsOfMinusOne, "a label is 1, inside, or 0, outside", "[-1]"),
        (WidthForCorner, "a box is (x0, y0, x1, y1) inside the image", "(63.0, 39.0, 0.5, 0.5)"),
        (Coordinates, "what select gives: a PointPrompt", "an array float32 (1, 2)"),
        (OwnRandomness, "a map and a seed give the same points", "other points"),
        (Wandering, "a map and a seed give the same points", "other points"),
        (Consuming, "select changes no map that it is shown", "other values"),
        (FlatFails, "nothing is raised", "the map is flat (look elsewhere)"),
        (Unfinished, "nothing is raised", "already closed"),
        (Rootless, "component.context: a Context", "None"),
    ],
)
def test_a_mistake_is_one_line(kind: type[Component[Any]], promise: str, seen: str, told: Any) -> None:
    component = kind(NoConfig())
    told(check_component(kind_of(component), component), promise, seen)


@pytest.mark.parametrize(
    ("config", "promise", "seen"),
    [
        (Loose(), "component.config: a Config", "a Loose"),
        (Open(), "a config forbids unknown keys", "extra='ignore'"),
        (Changing(), "a config never changes", "frozen=False"),
        (Nameless(), "config.fingerprint(): a str", "None"),
        (Unsteady(), "config.fingerprint() is the same every time", "another the second time"),
        (Misspelt(), "not_in_key names fields of the config", "'time_out'"),
    ],
)
def test_a_mistake_in_a_config_is_one_line(config: Any, promise: str, seen: str, told: Any) -> None:
    told(check_component(Kind.POINTS, Selector(config)), promise, seen)


@pytest.mark.parametrize("kind", Kind)
def test_a_component_of_another_kind(kind: Kind, told: Any) -> None:
    other = Selector(NoConfig()) if kind is not Kind.POINTS else Grouper(NoConfig())
    told(check_component(kind, other), f"the component: a {kind.interface.__name__}", f"a {type(other).__name__}")
