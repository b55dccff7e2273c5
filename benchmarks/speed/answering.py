"""The answer stage: three probings of one image that share its tower and its keys, beside each request on its own.

    python benchmarks/speed/answering.py [--quick] [--only stage|replay]

Each image is asked the paper's three probings; attention is read where the answer is looked at for masks (the mean over
layers and heads). "alone" is a batch as transformers generates it: probing after probing, every request with its image,
until the longest answer of the batch ends. "shared" is what a run does: probings of some images together, the tower and
the keys and values of an image computed once, the slot of an answer that ended filled again. Two models: `mini` as it
is shipped, over drawn scenes, and LLaVA-1.5's shape (576 visual tokens, 32 heads of 128) with 2 of its layers, random
weights and answers of 40 tokens on average, of one for the letter. Tokens are the same in both, maps within 1e-5. Then
replay: given answers of 64 and 256 tokens to the three probings of an image, in one pass behind its shared keys, beside
generating them with the tap, each request with its image and shared too; 2 layers with 16 heads of 64, as in
`replay.py`. One thread, processor time, best of several rounds in turn (LLaVA's shape: of one). Writes
`answering.json` beside itself; with `--only` the other part stays as it is there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from _measure import in_turn, read, write
from attention_tap import TEXT_AFTER, TEXT_BEFORE, Shape
from PIL.Image import Image as PILImage
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_mini.adapter import Mini
from pixcore_mini.config import MiniConfig
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig
from pixcore_transformers.adapter import Adapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.families import Processed
from pixcore_transformers.loading import Loaded
from pixcore_transformers.reading import Reader
from pixcore_transformers.testing.tokenizer import tiny_tokenizer

from pixcore.components import Context
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.protocols import PROBINGS, build_prompt
from pixcore.records import Fidelity, Request, Response

LLAVA = Shape(2, 32, 128, 11008, 576)
SHAPE = Shape(2, 16, 64, 2816, 576)
SMALL = Shape(2, 8, 32, 512, 144)
AT_ONCE = 8
MEAN_TOKENS = 40
"""How long the answers to the first two probings are on average: LLaVA-1.5's are of that order."""
LENGTHS = (64, 256)


class OfShape(Adapter[TransformersConfig]):
    """A model of random weights that speaks at random, by each request's seed: some answers are long, and some short.

    Args:
        shape: Of the model.
        most: Tokens of an answer at most.
    """

    def __init__(self, shape: Shape, most: int, context: Context) -> None:
        options = {"checkpoint": "random", "temperature": 1.0, "max_new_tokens": most}
        super().__init__(TransformersConfig.model_validate(options), context)
        self.shape = shape
        self.ending = 0.0

    def load(self) -> Loaded:
        return Loaded(self.shape.build("cpu", "sdpa"), tiny_tokenizer(), None)

    def encode(self, images: Sequence[PILImage], prompts: Sequence[str]) -> dict[str, Any]:
        before, mark = list(range(3, 3 + TEXT_BEFORE)), self.shape.vocabulary - 1
        texts = [self.loaded.tokenizer.encode(prompt, add_special_tokens=False)[:TEXT_AFTER] for prompt in prompts]
        rows = [[*before, *[mark] * self.shape.cells, *text] for text in texts]
        longest, side = max(map(len, rows)), 2 * int(self.shape.cells**0.5)
        pixels = [np.asarray(image.resize((side, side)), np.float32).transpose(2, 0, 1) / 128 - 1 for image in images]
        return {
            "input_ids": torch.tensor([[0] * (longest - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]),
            "pixel_values": torch.from_numpy(np.stack(pixels)),
        }

    def layout_of(self, processed: Processed) -> VisualLayout:
        side = int(self.shape.cells**0.5)
        return VisualLayout.single(VisualGrid.stretched(side, side, processed.size))

    @property
    def end(self) -> tuple[int, ...]:  # type: ignore[override]
        """So many tokens of all that an answer has the length that is wanted, by chance."""
        return tuple(range(round(self.ending * self.shape.vocabulary)))

    def answer(self, requests: Sequence[Request], extractor: Mean | None = None) -> list[Response]:
        self.ending = 1 / MEAN_TOKENS if extractor is not None else 1.0  # a letter, which is not looked at for masks
        return super().answer(requests, extractor)


def probings(samples: Sequence[Any]) -> dict[str, list[Request]]:
    """The requests of each probing, in the samples' order."""
    found: dict[str, list[Request]] = {name: [] for name in PROBINGS}
    for number, sample in enumerate(samples):
        for own, (name, requests) in enumerate(found.items()):
            prompt = build_prompt(sample, name, Fidelity.CORRECTED)
            assert prompt is not None
            requests.append(Request(sample.id, name, sample.image, prompt, seed=3 * number + own))
    return found


def portions(things: Sequence[Any]) -> list[Sequence[Any]]:
    return [things[start : start + AT_ONCE] for start in range(0, len(things), AT_ONCE)]


def looked_at(name: str) -> Mean | None:
    return Mean(MeanConfig()) if PROBINGS[name].masks else None


def alone(model: Adapter[Any], asked: dict[str, list[Request]]) -> list[Response]:
    """Probing after probing, in batches that transformers generates."""
    model.__dict__["seen"] = None
    return [
        response
        for name, requests in asked.items()
        for part in portions(requests)
        for response in model.answer(part, looked_at(name))
    ]


def shared(model: Adapter[Any], asked: dict[str, list[Request]]) -> list[Response]:
    """As a run asks: all probings of some images, those that are looked at for masks in one call."""
    model.__dict__.pop("seen", None)
    found: dict[str, list[Response]] = {name: [] for name in asked}
    for part in portions(range(len(next(iter(asked.values()))))):
        for masks in (True, False):
            names = [name for name in asked if PROBINGS[name].masks == masks]
            requests = [asked[name][place] for name in names for place in part]
            for request, response in zip(requests, model.answer(requests, looked_at(names[0])), strict=True):
                found[request.protocol].append(response)
    return [response for responses in found.values() for response in responses]


def compare(responses: dict[str, list[Response]]) -> float:
    """Hold the responses of two ways to each other; how far their maps differ at most."""
    furthest = 0.0
    for one, other in zip(*responses.values(), strict=True):
        assert one.tokens == other.tokens, (one.text, other.text)
        if one.maps is not None and other.maps is not None:
            furthest = max(furthest, float(np.abs(one.maps - other.maps).max()))
    assert furthest < 1e-5, furthest
    return furthest


def stage(model: Adapter[Any], samples: int, rounds: int) -> dict[str, Any]:
    asked = probings(list(MiniWorld(MiniWorldConfig(pairs=samples)).samples())[:samples])
    responses: dict[str, list[Response]] = {}

    def answered(name: str, way: Callable[[Adapter[Any], dict[str, list[Request]]], list[Response]]) -> None:
        responses[name] = way(model, asked)

    assert model.loaded  # is no part of the stage
    seconds = in_turn(
        {"alone": partial(answered, "alone", alone), "shared": partial(answered, "shared", shared)}, rounds
    )
    furthest = compare(responses)
    lengths = [len(response.tokens) for response in responses["shared"]]
    return {
        "images": samples,
        "together": min(AT_ONCE, samples),
        "tokens of an answer": {
            name: round(float(np.mean(lengths[start * samples : (start + 1) * samples])), 1)
            for start, name in enumerate(asked)
        },
        "maps differ by": furthest,
        "s": seconds,
        "shared of alone": seconds["shared"] / seconds["alone"],
    }


def live(model: OfShape, asked: Sequence[Request], *, sharing: bool) -> list[Any]:
    """Generate answers of one length with the tap open; their tokens and maps, as the adapter gets them."""
    model.__dict__.pop("seen", None)
    if not sharing:
        model.__dict__["seen"] = None
    settings = replace(model.settings(), end=())
    reader = Reader(model.loaded.model, Mean(MeanConfig()), own_row=False)
    return list(zip(*reader.generate(model._asked(asked), settings, [one.seed for one in asked]), strict=True))


def replayed(model: OfShape, asked: Sequence[Request], tokens: Sequence[Sequence[int]]) -> list[Any]:
    model.__dict__.pop("seen", None)
    return Reader(model.loaded.model, Mean(MeanConfig()), own_row=False).replay(model._asked(asked), tokens)


def replays(shape: Shape, length: int, rounds: int) -> dict[str, Any]:
    model = OfShape(shape, length, Context())
    (sample,) = list(MiniWorld(MiniWorldConfig(pairs=1)).samples())[:1]
    asked = [requests[0] for requests in probings([sample]).values()]
    written = live(model, asked, sharing=True)
    tokens = [own for own, _ in written]
    for maps, (_, seen) in zip(replayed(model, asked, tokens), written, strict=True):
        np.testing.assert_allclose(maps, seen, rtol=0, atol=1e-5)
    ways = {
        "live": partial(live, model, asked, sharing=False),
        "live, shared": partial(live, model, asked, sharing=True),
        "replay": partial(replayed, model, asked, tokens),
    }
    seconds = in_turn(ways, rounds)
    names = ("live", "live, shared")
    return {"s": seconds, **{f"replay of {name}": seconds["replay"] / seconds[name] for name in names}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small shapes, few turns, nothing written")
    parser.add_argument("--only", choices=["stage", "replay"])
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only
    torch.set_num_threads(1)
    result = read("answering")
    if only != "replay":
        context = Context(batch_size=AT_ONCE)
        llava = OfShape(SMALL if quick else LLAVA, 3 * MEAN_TOKENS, context)
        models: dict[str, tuple[Adapter[Any], int, int]] = {
            "mini": (Mini(MiniConfig(), context), 2 * AT_ONCE, 1 if quick else 3),
            "LLaVA-1.5's shape, 2 layers": (llava, AT_ONCE // 2, 1),
        }
        for name, (model, samples, rounds) in models.items():
            found = stage(model, samples, rounds)
            result["stage"][name] = found
            print(f"{name}: {found['shared of alone']:.3f} of each request on its own ({found['s']['alone']:.2f} s)")
    if only != "stage":
        for length in LENGTHS:
            found = replays(SMALL if quick else SHAPE, length, 1 if quick else 2)
            result["replay"][f"{length} tokens"] = found
            ratios = [f"{found[f'replay of {name}']:.3f}" for name in ("live", "live, shared")]
            print(
                f"replay of {length} tokens: {ratios[0]} of generating with the tap, {ratios[1]} where that is shared"
            )
    if not quick:
        write("answering", result)


if __name__ == "__main__":
    main()
