"""Mistakes planted in a model adapter, one each: the check tells one line, which names the promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pixcore_testing import inputs
from pixcore_testing.conformance import check_component, check_model_adapter

from pixcore.components import AttentionExtractor, Config, ModelAdapter, ModelConfig, NoConfig
from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.masks import encode
from pixcore.plugins import Kind
from pixcore.records import Image, Request, Response


class Adapter(ModelAdapter[Any]):
    """Says the prompt again; attends to what is bright; sees a 4x5 grid of small patches."""

    capabilities = frozenset({"text", "attention"})
    grid = (4, 5)

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        return [self.respond(request, extractor) for request in requests]

    def respond(self, request: Request, extractor: AttentionExtractor[Any] | None) -> Response:
        tokens, layout = inputs.tokens_of(request.prompt), self.layout(request.image)
        if extractor is None:
            return Response(request.prompt, tokens)
        maps = self.observed(extractor, request.image, len(tokens))
        reference = None
        if extractor.needs.reference_prompt is not None:
            reference = self.rows(request.image, 1, 0)[0].mean(axis=0)
        return Response(request.prompt, tokens, maps=maps, layout=layout, reference=reference)

    def observed(self, extractor: AttentionExtractor[Any], image: Image, steps: int) -> NDArray[np.float32]:
        heads = 2 if extractor.needs.heads is None else len(extractor.needs.heads)
        layers = (0, 1, 2) if extractor.needs.layers is None else self.wanted(extractor.needs.layers)
        extractor.begin(1, len(layers), heads, self.layout(image).tokens)
        for step in range(steps):
            for layer in layers:
                extractor.observe(layer, self.rows(image, heads, step + layer))
            extractor.end_step()
        return np.asarray(extractor.maps()[0])

    def wanted(self, layers: Sequence[int]) -> Sequence[int]:
        if not all(-3 <= layer < 3 for layer in layers):
            raise ModelError(f"it has 3 layers, not {layers}")
        return [layer % 3 for layer in layers]

    def rows(self, image: Image, heads: int, step: int) -> Any:
        seen = self.visual_embeddings(image).mean(axis=1)
        weights = np.exp((step % 5 - 2) * seen / 100)
        return np.broadcast_to(0.5 * weights / weights.sum(), (1, heads, len(seen))).astype(np.float32)

    def layout(self, image: Image) -> VisualLayout:
        return VisualLayout.single(VisualGrid.stretched(*self.grid, image.size))

    def visual_embeddings(self, image: Image) -> Any:
        return patches(image, *self.grid)


def patches(image: Image, rows: int, cols: int) -> NDArray[np.float32]:
    """(rows * cols, 48): 4x4 pixels a cell."""
    small = np.asarray(image.pil().resize((4 * cols, 4 * rows)), np.float32)
    return small.reshape(rows, 4, cols, 4, 3).swapaxes(1, 2).reshape(rows * cols, -1)


class Tapped(Adapter):
    """Changes a response whose attention was read."""

    def respond(self, request: Request, extractor: AttentionExtractor[Any] | None) -> Response:
        own = super().respond(request, extractor)
        return self.changed(own) if extractor is not None else own

    def changed(self, own: Response) -> Response:
        raise NotImplementedError


class OffByOneToken(Tapped):
    def changed(self, own: Response) -> Response:
        assert own.maps is not None
        return replace(own, maps=np.concatenate([own.maps[1:], own.maps[:1]]))


class OneMapTooFew(Tapped):
    def changed(self, own: Response) -> Response:
        assert own.maps is not None
        return replace(own, maps=own.maps[1:])


class HalfMaps(Tapped):
    def changed(self, own: Response) -> Response:
        assert own.maps is not None
        return replace(own, maps=own.maps.astype(np.float16))


class NotANumber(Tapped):
    def changed(self, own: Response) -> Response:
        assert own.maps is not None
        return replace(own, maps=np.full_like(own.maps, np.nan))


class ReferenceOfEveryToken(Tapped):
    def changed(self, own: Response) -> Response:
        return replace(own, reference=own.maps)


class NoMaps(Tapped):
    def changed(self, own: Response) -> Response:
        return replace(own, maps=None, layout=None)


class TextChanges(Tapped):
    def changed(self, own: Response) -> Response:
        return replace(own, text=own.text + " (looked)", tokens=(), maps=None, layout=None)


class TransposedGrid(Adapter):
    def layout(self, image: Image) -> VisualLayout:
        rows, cols = self.grid
        grid = VisualGrid.stretched(cols, rows, image.size)
        return VisualLayout.single(grid)


class MirroredGrid(Adapter):
    def visual_embeddings(self, image: Image) -> Any:
        rows, cols = self.grid
        return super().visual_embeddings(image).reshape(rows, cols, -1)[:, ::-1].reshape(rows * cols, -1)


class PaddedNotStretched(Adapter):
    grid = (4, 4)

    def layout(self, image: Image) -> VisualLayout:
        return VisualLayout.single(VisualGrid.padded_to_square(*self.grid, image.size))


class OffByOneCell(Adapter):
    def visual_embeddings(self, image: Image) -> Any:
        return np.roll(super().visual_embeddings(image), 1, axis=0)


class RedForBlue(Adapter):
    def visual_embeddings(self, image: Image) -> Any:
        return patches(Image.from_pixels(np.ascontiguousarray(image.pixels()[..., ::-1])), *self.grid)


class NotScaled(Adapter):
    def visual_embeddings(self, image: Image) -> Any:
        return super().visual_embeddings(image) / 255


class NotInEvaluation(Adapter):
    def visual_embeddings(self, image: Image) -> Any:
        seen = super().visual_embeddings(image)
        return seen * np.random.default_rng().integers(0, 2, seen.shape)

    def rows(self, image: Image, heads: int, step: int) -> Any:
        return np.full((1, heads, 20), 0.05, np.float32)


class Logits(Adapter):
    def rows(self, image: Image, heads: int, step: int) -> Any:
        return super().rows(image, heads, step) * 20


class HalfRows(Adapter):
    def rows(self, image: Image, heads: int, step: int) -> Any:
        return super().rows(image, heads, step).astype(np.float16)


class NoHeads(Adapter):
    def rows(self, image: Image, heads: int, step: int) -> Any:
        return super().rows(image, heads, step).mean(axis=1)


class DeafToNeeds(Adapter):
    def observed(self, extractor: AttentionExtractor[Any], image: Image, steps: int) -> NDArray[np.float32]:
        extractor.begin(1, 1, 2, self.layout(image).tokens)
        for step in range(steps):
            extractor.observe(0, self.rows(image, 2, step))
            extractor.end_step()
        return np.asarray(extractor.maps()[0])


class LayersRoundAndRound(Adapter):
    """Layer 4096 of 3 is layer 1."""

    def wanted(self, layers: Sequence[int]) -> Sequence[int]:
        return [layer % 3 for layer in layers]


class LayersBackwards(Adapter):
    def observed(self, extractor: AttentionExtractor[Any], image: Image, steps: int) -> NDArray[np.float32]:
        extractor.begin(1, 2, 2, self.layout(image).tokens)
        for step in range(steps):
            for layer in (1, 0):
                extractor.observe(layer, self.rows(image, 2, step))
            extractor.end_step()
        return np.asarray(extractor.maps()[0])


class NoEndOfStep(Adapter):
    def observed(self, extractor: AttentionExtractor[Any], image: Image, steps: int) -> NDArray[np.float32]:
        extractor.begin(1, 1, 2, self.layout(image).tokens)
        for step in range(steps):
            extractor.observe(step, self.rows(image, 2, step))
        return np.zeros((steps, self.layout(image).tokens), np.float32) + np.asarray(extractor.maps()[0]).sum()


class PromptCountsAsStep(Adapter):
    """The row of each token of the prompt is shown as if it were generated: no step belongs to the last tokens."""

    def observed(self, extractor: AttentionExtractor[Any], image: Image, steps: int) -> NDArray[np.float32]:
        return np.asarray(super().observed(extractor, image, steps + 1)[1:])


class OffByOneCharacter(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        own = super().respond(request, extractor)
        return replace(own, tokens=tuple(replace(t, start=t.start + 1, end=t.end + 1) for t in own.tokens))


class BytesForCharacters(Adapter):
    """Spans count the bytes of UTF-8."""

    def respond(self, request: Request, extractor: Any) -> Response:
        own = super().respond(replace(request, prompt="Où? " + request.prompt), extractor)
        places = [len(own.text[:place].encode()) for place in range(len(own.text) + 1)]
        return replace(own, tokens=tuple(replace(t, start=places[t.start], end=places[t.end]) for t in own.tokens))


class TokensLeftOut(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        own = super().respond(request, None)
        return replace(own, tokens=own.tokens[1:])


class TokensInAList(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        own = super().respond(request, extractor)
        return replace(own, tokens=list(own.tokens))  # type: ignore[arg-type]


class NumbersForTokens(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        return replace(super().respond(request, None), tokens=(1, 2, 3))  # type: ignore[arg-type]


class Conversation(Adapter):
    """State shared between calls: what was said before is part of the next prompt."""

    said = ""

    def respond(self, request: Request, extractor: Any) -> Response:
        self.said += request.prompt
        return super().respond(replace(request, prompt=self.said), extractor)


class BatchIsPadded(Adapter):
    def answer(self, requests: Sequence[Request], extractor: Any = None) -> list[Response]:
        more = "!" * (len(requests) - 1)
        return super().answer([replace(asked, prompt=asked.prompt + more) for asked in requests], extractor)


class BatchOutOfOrder(Adapter):
    """Sorted by length, and never turned back."""

    def answer(self, requests: Sequence[Request], extractor: Any = None) -> list[Response]:
        return super().answer(sorted(requests, key=lambda asked: len(asked.prompt)), extractor)


class BatchBlursMaps(Adapter):
    def answer(self, requests: Sequence[Request], extractor: Any = None) -> list[Response]:
        self.crowd = len(requests)
        return super().answer(requests, extractor)

    def rows(self, image: Image, heads: int, step: int) -> Any:
        return super().rows(image, heads, step * self.crowd)


class FirstOnly(Adapter):
    def answer(self, requests: Sequence[Request], extractor: Any = None) -> list[Response]:
        return super().answer(requests[:1], extractor)


class Lazy(Adapter):
    def answer(self, requests: Sequence[Request], extractor: Any = None) -> Any:
        return (self.respond(request, extractor) for request in requests)


class TextAlone(Adapter):
    def answer(self, requests: Sequence[Request], extractor: Any = None) -> Any:
        return [request.prompt for request in requests]


class ArraysInExtra(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        return replace(super().respond(request, extractor), extra={"logits": np.ones(3)})


class CapabilitiesInAList(Adapter):
    capabilities = ["text"]  # type: ignore[assignment]  # noqa: RUF012


class UnknownCapability(Adapter):
    capabilities = frozenset({"text", "boxes"})  # type: ignore[arg-type]


class MaskWithoutCapability(Adapter):
    def respond(self, request: Request, extractor: Any) -> Response:
        return replace(super().respond(request, extractor), mask=encode(inputs.object_mask(request.image.size)))


class Segmenter(Adapter):
    """A sound adapter with masks, for the mistakes below."""

    capabilities = frozenset({"text", "masks"})

    def respond(self, request: Request, extractor: Any) -> Response:
        found = encode(self.mask(request.image.size))
        return replace(super().respond(request, None), mask=found, masks=(found,), mask_spans=((0, 4),))

    def mask(self, size: tuple[int, int]) -> Any:
        return inputs.object_mask(size)


class MaskOfTheBatch(Segmenter):
    """What was padded in the batch is in the mask."""

    def answer(self, requests: Sequence[Request], extractor: Any = None) -> list[Response]:
        self.crowd = len(requests)
        return super().answer(requests, extractor)

    def mask(self, size: tuple[int, int]) -> Any:
        return np.roll(inputs.object_mask(size), 8 * (self.crowd - 1), axis=1)


class OtherMaskEveryTime(Segmenter):
    def mask(self, size: tuple[int, int]) -> Any:
        return np.random.default_rng().random(size[::-1]) > 0.5


class KnownByName(Segmenter):
    """State shared between calls: what was seen of an image is kept under its name."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.kept: dict[str, Any] = {}

    def respond(self, request: Request, extractor: Any) -> Response:
        self.bright = self.kept.setdefault(request.image.name, request.image.pixels()[..., 0] > 200)
        return super().respond(request, extractor)

    def mask(self, size: tuple[int, int]) -> Any:
        return self.bright


class Logarithms(Adapter):
    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
        return np.full(len(continuations), -1.5)


class OneForAll(Adapter):
    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
        return np.full(1, 0.1)


class MaskAtModelResolution(Segmenter):
    def mask(self, size: tuple[int, int]) -> Any:
        return inputs.object_mask((256, 256))


class TransposedMask(Segmenter):
    def mask(self, size: tuple[int, int]) -> Any:
        return inputs.object_mask(size).T


class NoMaskWhereNothing(Segmenter):
    def respond(self, request: Request, extractor: Any) -> Response:
        return replace(super().respond(request, None), mask=None, masks=(), mask_spans=())


class SpansTooFew(Segmenter):
    def respond(self, request: Request, extractor: Any) -> Response:
        own = super().respond(request, None)
        return replace(own, masks=own.masks * 2)


class SpansBeyond(Segmenter):
    def respond(self, request: Request, extractor: Any) -> Response:
        return replace(super().respond(request, None), mask_spans=((0, 4000),))


@pytest.mark.parametrize("adapter", [Adapter(ModelConfig()), Segmenter(ModelConfig())], ids=["attention", "masks"])
def test_an_adapter_that_keeps_the_contract(adapter: Adapter) -> None:
    assert check_model_adapter(adapter, embeddings=lambda image: patches(image, *adapter.grid)) == []


@pytest.mark.parametrize(
    ("kind", "promise", "seen"),
    [
        (
            OffByOneToken,
            "row i of a response's maps is what the extractor's maps() say of token i",
            "the row of the token after it",
        ),
        (PromptCountsAsStep, "row i of a response's maps is what", "the row of the token after it"),
        (OneMapTooFew, "nothing is raised", "maps must be (tokens, visual tokens)"),
        (HalfMaps, "a response's maps: a finite float32 array (tokens, visual tokens)", "float16"),
        (NotANumber, "a response's maps: a finite float32 array", "not finite"),
        (ReferenceOfEveryToken, "a response's reference: a finite float32 array (visual tokens)", "(13, 20)"),
        (NoMaps, "the layout of a response with an extractor", "None"),
        (TextChanges, "reading attention does not change the text", "(looked)"),
        (TransposedGrid, "a visual token sees the cell that layout(image) gives it", "changes most"),
        (MirroredGrid, "a visual token sees the cell that layout(image) gives it", "changes most"),
        (PaddedNotStretched, "a visual token sees the cell that layout(image) gives it", "changes most"),
        (OffByOneCell, "a visual token sees the cell that layout(image) gives it", "the layout names"),
        (NotInEvaluation, "the same for the same image", "evaluation mode"),
        (Logits, "attention rows are a softmax over all keys", "sums up to 10"),
        (HalfRows, "attention rows are float32", "float16 in layer 0"),
        (NoHeads, "attention rows are (batch, heads, visual tokens)", "(1, 20) after (1, 2, 20)"),
        (DeafToNeeds, "begin(heads) is as many as needs.heads", "2 for 1 asked"),
        (LayersRoundAndRound, "a layer that the model does not have is refused", "an answer for layer 4096"),
        (LayersBackwards, "layers are observed in ascending order", "0 after [1]"),
        (NoEndOfStep, "end_step() ends every step before maps()", "in the middle"),
        (OffByOneCharacter, "a token's text is what stands from its start", "token 0 'Iden' at 1 to 5, where 'dent'"),
        (BytesForCharacters, "a token's text is what stands from its start", "token 0"),
        (TokensLeftOut, "the tokens' texts join to the response's text", "'tify the"),
        (TokensInAList, "a response's tokens: a tuple", "list"),
        (NumbersForTokens, "a response's tokens are Token alone", "list [1]"),
        (Conversation, "the same request with the same seed gets the same text", "in the scene.What is it?Ident"),
        (BatchIsPadded, "a batch changes no sample's text", "in place of"),
        (BatchOutOfOrder, "a batch changes no sample's text", "in place of"),
        (BatchBlursMaps, "a batch changes no sample's maps", "other maps alone"),
        (FirstOnly, "answer gives one response a request", "1 for 2 requests"),
        (Lazy, "what answer gives: a list", "a generator"),
        (TextAlone, "a response: a Response", "str"),
        (ArraysInExtra, "a response's extra holds JSON data alone", "ndarray"),
        (CapabilitiesInAList, "capabilities are a frozenset out of", "list ['text']"),
        (UnknownCapability, "capabilities are a frozenset out of", "boxes"),
        (MaskWithoutCapability, "only an adapter whose capabilities have 'masks' gives a mask", "a mask"),
        (MaskOfTheBatch, "a batch changes no sample's masks", "other masks alone"),
        (OtherMaskEveryTime, "the same request with the same seed gets the same masks", "other masks the second time"),
        (KnownByName, "an image is known by its content (image.digest)", "what it makes of an image before it"),
        (Logarithms, "probabilities lie from 0 to 1", "-1.5"),
        (OneForAll, "what probability gives: a finite float64 array (continuations)", "(1,) in place of"),
        (MaskAtModelResolution, "a mask is COCO RLE at the image's own size", "256x256"),
        (TransposedMask, "a mask is COCO RLE at the image's own size", "40x64"),
        (NoMaskWhereNothing, "a response of a model with masks has one, an empty one too", "None"),
        (SpansTooFew, "mask_spans has one span a mask, or none", "1 for 2 masks"),
        (SpansBeyond, "mask_spans lie in the text", "4000"),
    ],
)
def test_a_mistake_is_one_line(kind: type[Adapter], promise: str, seen: str, told: Any) -> None:
    told(check_component(Kind.MODEL, kind(ModelConfig())), promise, seen)


@pytest.mark.parametrize(("kind", "seen"), [(RedForBlue, "red and blue swapped (BGR)"), (NotScaled, "other values")])
def test_what_other_code_sees_of_an_image(kind: type[Adapter], seen: str, told: Any) -> None:
    def expected(image: Image) -> NDArray[np.float32]:
        return patches(image, *Adapter.grid)

    told(check_model_adapter(kind(ModelConfig()), embeddings=expected), "what the model's own code sees", seen)


@pytest.mark.parametrize("config", [NoConfig(), Config()])
def test_a_config_of_another_kind(config: Config, told: Any) -> None:
    told(check_component(Kind.MODEL, Adapter(config)), "an adapter's config: a ModelConfig", type(config).__name__)
