"""An answer in the making: what is given of it meanwhile is the beginning of what is given at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_attention.config import MeanConfig, RawConfig
from pixcore_attention.mean import Mean
from pixcore_attention.raw import Raw
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig

from pixcore.components import AttentionExtractor, Context
from pixcore.records import Fidelity, Image, Request
from tests.adapters import hold_to_its_beginnings

PUBLISHED, CORRECTED = Fidelity.PUBLISHED, Fidelity.CORRECTED


def asked(count: int) -> list[Request]:
    rng = np.random.default_rng(0)
    images = [Image.from_pixels(rng.integers(0, 256, (60, 90, 3), np.uint8)) for _ in range(count)]
    return [Request(str(at), "segment", image, "Identify the cat.", seed=at) for at, image in enumerate(images)]


def mean(fidelity: Fidelity, query: str = "predicting") -> Mean:
    return Mean(MeanConfig.model_validate({"query": query}), Context(fidelity))


@pytest.mark.parametrize(
    ("name", "fidelity", "reading"),
    [
        ("llava_next", CORRECTED, lambda: mean(CORRECTED)),  # sees an image once for several texts
        ("llava_next", CORRECTED, lambda: mean(CORRECTED, "emitted")),
        ("llava_next", CORRECTED, lambda: None),
        ("qwen2_5_vl", CORRECTED, lambda: mean(CORRECTED)),  # can't
        ("qwen2_5_vl", PUBLISHED, lambda: mean(PUBLISHED, "emitted")),
        ("qwen2_5_vl", CORRECTED, lambda: Raw(RawConfig())),  # its maps are made at the end
    ],
)
def test_what_is_told_meanwhile_is_the_beginning_of_the_answer(
    checkpoint: Callable[..., Path],
    name: str,
    fidelity: Fidelity,
    reading: Callable[[], AttentionExtractor[Any] | None],
) -> None:
    options = {"checkpoint": str(checkpoint(name)), "max_new_tokens": 6}
    model = TransformersAdapter(TransformersConfig.model_validate(options), Context(fidelity, batch_size=2))
    told = hold_to_its_beginnings(model, asked(2), reading())
    assert len(told) >= 6
    (final,) = model.answer(asked(1), reading())
    whole_characters = len(final.text.rstrip("\ufffd"))  # what a half one begins is held back
    assert len(told[-1][0].tokens) >= sum(token.end <= whole_characters for token in final.tokens) - 1 > 1
