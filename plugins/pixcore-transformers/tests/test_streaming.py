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
from pixcore.notices import hearing
from pixcore.records import Fidelity, Image, Request, Response

PUBLISHED, CORRECTED = Fidelity.PUBLISHED, Fidelity.CORRECTED


def asked(count: int) -> list[Request]:
    rng = np.random.default_rng(0)
    images = [Image.from_pixels(rng.integers(0, 256, (60, 90, 3), np.uint8)) for _ in range(count)]
    return [Request(str(at), "segment", image, "Identify the cat.", seed=at) for at, image in enumerate(images)]


def mean(fidelity: Fidelity, query: str = "predicting") -> Mean:
    return Mean(MeanConfig.model_validate({"query": query}), Context(fidelity))


@pytest.mark.parametrize(
    ("name", "fidelity", "reading", "rows"),
    [
        ("llava_next", CORRECTED, lambda: mean(CORRECTED), True),  # sees an image once for several texts
        ("llava_next", CORRECTED, lambda: mean(CORRECTED, "emitted"), True),
        ("llava_next", CORRECTED, lambda: None, False),
        ("qwen2_5_vl", CORRECTED, lambda: mean(CORRECTED), True),  # can't
        ("qwen2_5_vl", PUBLISHED, lambda: mean(PUBLISHED, "emitted"), True),
        ("qwen2_5_vl", CORRECTED, lambda: Raw(RawConfig()), False),  # its maps are made at the end
    ],
)
def test_what_is_told_meanwhile_is_the_beginning_of_the_answer(
    checkpoint: Callable[..., Path],
    name: str,
    fidelity: Fidelity,
    reading: Callable[[], AttentionExtractor[Any] | None],
    rows: bool,
) -> None:
    options = {"checkpoint": str(checkpoint(name)), "max_new_tokens": 6}
    model = TransformersAdapter(TransformersConfig.model_validate(options), Context(fidelity, batch_size=2))
    unheard = model.answer(asked(2), reading())
    heard: list[list[Response]] = []
    with hearing(lambda tokens, most: heard.append(model.partial())):
        final = model.answer(asked(2), reading())
    assert model.partial() == []
    assert len(heard) >= 6
    for partial in heard:
        for one, whole, same in zip(partial, final, unheard, strict=True):
            assert (whole.text, whole.tokens) == (same.text, same.tokens)
            assert whole.text.startswith(one.text)
            assert one.tokens == whole.tokens[: len(one.tokens)]
            assert (one.maps is not None) is rows
            if one.maps is not None:
                np.testing.assert_array_equal(one.maps, whole.maps[: len(one.maps)])
                np.testing.assert_array_equal(whole.maps, same.maps)
    counts = [len(partial[0].tokens) for partial in heard]
    assert counts == sorted(counts)
    whole_characters = len(final[0].text.rstrip("\ufffd"))  # what a half one begins is held back
    assert counts[-1] >= sum(token.end <= whole_characters for token in final[0].tokens) - 1 > 1


def test_whoever_hears_may_stop_it_and_the_next_answer_is_as_ever(checkpoint: Callable[..., Path]) -> None:
    class Enough(BaseException):
        pass

    def stop(tokens: int, most: int) -> None:
        if tokens == 3:
            raise Enough

    options = {"checkpoint": str(checkpoint("llava_next")), "max_new_tokens": 6}
    model = TransformersAdapter(TransformersConfig.model_validate(options))
    before = model.answer(asked(1), mean(CORRECTED))[0]
    with hearing(stop), pytest.raises(Enough):
        model.answer(asked(1), mean(CORRECTED))
    assert model.partial() == []
    after = model.answer(asked(1), mean(CORRECTED))[0]
    assert after.tokens == before.tokens
    np.testing.assert_array_equal(after.maps, before.maps)
