"""Probings of one image share its tower and keys, slots that ended are filled again, and no response changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_attention.config import MeanConfig, RelativeConfig
from pixcore_attention.mean import Mean
from pixcore_attention.relative import Relative
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.testing import HYBRIDS, save_checkpoint

from pixcore.components import Context
from pixcore.records import Fidelity, Image, Protocol, Request, Response

ALONE = ["qwen2_5_vl", "gemma3", "paligemma"]
TEXTS = {
    Protocol.QUESTION: "Is there a snowman in the scene, and where is it?",
    Protocol.SEGMENT: "Identify the cat.",
    Protocol.LETTER: "Which? Answer with the option's letter from the given choices directly.",
}
EVERY_THIRD = tuple(range(0, 384, 3))
"""So many ends that answers have many lengths."""


def requests(images: int = 3) -> list[Request]:
    """All probings of some images of other sizes, probing by probing."""
    rng = np.random.default_rng(0)
    sizes = ((90, 60), (48, 80), (64, 64))[:images]
    shown = [Image.from_pixels(rng.integers(0, 256, (high, wide, 3), np.uint8)) for wide, high in sizes]
    return [
        Request(str(number), probing, image, text, seed=10 * place + number)
        for place, (probing, text) in enumerate(TEXTS.items())
        for number, image in enumerate(shown)
    ]


def adapter(folder: Path, fidelity: Fidelity = Fidelity.CORRECTED, **options: Any) -> TransformersAdapter:
    """One that answers two at a time, at most 9 tokens, and often fewer."""
    given = {"checkpoint": str(folder), "max_new_tokens": 9} | options
    made = TransformersAdapter(TransformersConfig.model_validate(given), Context(fidelity, batch_size=2))
    made.__dict__["end"] = EVERY_THIRD
    return made


@contextmanager
def towers(model: TransformersAdapter) -> Iterator[list[int]]:
    """While open, collect how many images the tower is shown at a time."""
    seen: list[int] = []
    tower = model.loaded.model.model.vision_tower
    handle = tower.register_forward_hook(lambda module, given, output: seen.append(1))
    try:
        yield seen
    finally:
        handle.remove()


def hold(together: list[Response], alone: list[Response]) -> None:
    assert len({len(response.tokens) for response in alone}) > 1
    for one, other in zip(together, alone, strict=True):
        assert one.tokens == other.tokens
        assert one.extra == other.extra
        assert (one.maps is None) == (other.maps is None)
        if one.maps is not None:
            np.testing.assert_allclose(one.maps, other.maps, atol=1e-5)
            np.testing.assert_array_equal(one.layout.cell_of, other.layout.cell_of)


@pytest.mark.parametrize(
    ("name", "query"),
    [("llava_next", "predicting"), ("internvl", "predicting"), ("pixtral", "emitted"), ("qwen2_5_vl", "emitted")],
)
def test_a_refilled_batch_says_what_each_request_alone_says(
    checkpoint: Callable[..., Path], name: str, query: str
) -> None:
    model, asked = adapter(checkpoint(name), temperature=3.0), requests()
    extractor = Mean(MeanConfig(query=query))
    hold(model.answer(asked, extractor), [model.answer([one], extractor)[0] for one in asked])
    # now it is known which probing's answers are long: they begin first
    hold(model.answer(asked[::-1]), [model.answer([one])[0] for one in asked[::-1]])


@pytest.mark.parametrize("options", [{"temperature": 3.0, "top_k": 9}, {"attention": "replay", "kernel": "eager"}])
def test_sampling_replay_and_kernels(checkpoint: Callable[..., Path], options: dict[str, Any]) -> None:
    model, asked = adapter(checkpoint("llava_next"), Fidelity.PUBLISHED, **options), requests()
    extractor = Mean(MeanConfig(), model.context)
    together = model.answer(asked, extractor)
    hold(together, [model.answer([one], extractor)[0] for one in asked])
    model.__dict__["seen"] = None  # as transformers generates
    hold(together, [model.answer([one], extractor)[0] for one in asked])


def test_what_stands_behind_an_image_and_is_embedded_with_it_is_shared_with_it(tmp_path: Path) -> None:
    """Ovis 2's tower embeds the mark that ends an image."""
    model, rng = adapter(save_checkpoint("ovis2", tmp_path / "ovis2")), np.random.default_rng(0)
    images = [Image.from_pixels(rng.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(6)]
    asked = [Request(str(number), Protocol.QUESTION, image, "x") for number, image in enumerate(images)]
    extractor = Mean(MeanConfig())
    assert model.seen is not None
    together = model.answer(asked, extractor)
    model.__dict__["seen"] = None  # as transformers generates
    for one, other in zip(together, [model.answer([each], extractor)[0] for each in asked], strict=True):
        assert one.tokens == other.tokens
        np.testing.assert_allclose(one.maps, other.maps, atol=1e-6)


def test_a_penalty_on_repetition_knows_the_whole_prompt(checkpoint: Callable[..., Path]) -> None:
    model, asked = adapter(checkpoint("llava_next")), requests()
    model.loaded.model.generation_config.repetition_penalty = 1.7
    together = model.answer(asked)
    model.__dict__["seen"] = None
    hold(together, [model.answer([one])[0] for one in asked])


def test_the_tower_sees_an_image_once(checkpoint: Callable[..., Path]) -> None:
    model, asked = adapter(checkpoint("llava_next")), requests(2)
    extractor = Relative(RelativeConfig(layers=(1,), reference_prompt="Describe it."))
    with towers(model) as seen:
        together = model.answer(asked[:4], extractor)  # the reference prompt too
        model.answer(asked[4:])
        assert len(seen) == 2
        model.answer(asked[::-1][:2])
        assert len(seen) == 2
        model.answer([asked[0]])
        model.answer([asked[1]])  # what was not asked of last is forgotten
        assert len(seen) == 3
    for one, other in zip(together, [model.answer([each], extractor)[0] for each in asked[:4]], strict=True):
        np.testing.assert_allclose(one.reference, other.reference, atol=1e-5)
        np.testing.assert_allclose(one.maps, other.maps, atol=1e-5)


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_shared_is_asked_with_its_image(checkpoint: Callable[..., Path], name: str) -> None:
    """Rows and columns as positions, a window that moves on, a prompt that sees itself."""
    assert adapter(checkpoint(name)).seen is None


@pytest.mark.parametrize("name", sorted(HYBRIDS))
def test_states_that_are_overwritten_are_not_shared(tmp_path: Path, name: str) -> None:
    model = adapter(save_checkpoint("llava_next", tmp_path, hybrid=name))
    assert model.seen is None
    asked = requests(1)
    hold_texts = [response.text for response in model.answer(asked)]
    assert hold_texts == [model.answer([one])[0].text for one in asked]


def test_text_before_the_image_is_no_neighbours(checkpoint: Callable[..., Path]) -> None:
    """The prompt's text comes first, so that nothing but the image is alike; and nothing but two tokens follow it."""
    template = "<s>{prompt} <image> OK. "
    model, asked = adapter(checkpoint("llava_next"), prompt_template=template), requests(2)
    with towers(model) as seen:
        together = model.answer(asked)
        assert len(seen) == len(asked)
    hold(together, [model.answer([one])[0] for one in asked])
