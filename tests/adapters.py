"""What every adapter of a system that gives masks must do, once: an adapter's tests inherit `MaskAdapterSuite`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pixcore_testing.conformance import check_registration
from pixcore_testing.geometry import check_geometry

from pixcore import masks
from pixcore.components import Context, ModelAdapter
from pixcore.errors import ModelError
from pixcore.plugins import Kind, registry
from pixcore.records import Fidelity, Image, Protocol, Request, Response

SIZES = ((90, 60), (48, 80), (70, 70), (200, 33))
"""(width, height) of the images that are asked about: wide, tall, square, and very wide."""


def requests_of(questions: Sequence[str], seed: int = 0, protocol: Protocol = Protocol.SEGMENT) -> list[Request]:
    """Ask each question about an image of noise of its own size."""
    rng = np.random.default_rng(seed)
    images = [Image.from_pixels(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in SIZES]
    return [
        Request(str(index), protocol, image, question)
        for index, (image, question) in enumerate(zip(images, questions, strict=True))
    ]


@dataclass(frozen=True)
class Subject:
    """The adapter under test.

    Attributes:
        name: As it is registered.
        options: Its config's options, for a tiny checkpoint.
        requests: What it is asked.
        flips: How many pixels of a mask may differ between a batch and one alone: padding may round a state otherwise.
    """

    name: str
    options: dict[str, Any]
    requests: list[Request]
    flips: int = 0

    def adapter(self, fidelity: Fidelity = Fidelity.CORRECTED) -> ModelAdapter[Any]:
        """Make the adapter as a run does."""
        registration = registry().get(Kind.MODEL, self.name)
        made: ModelAdapter[Any] = registration.create(
            registration.config_class.model_validate(self.options), Context(fidelity=fidelity)
        )
        return made


class MaskAdapterSuite:
    """Tests that need the fixtures `subject` and `corrected`, its responses as one batch."""

    def test_a_batch_says_what_each_sample_alone_says(self, subject: Subject, corrected: list[Response]) -> None:
        one = subject.adapter()
        alone = [one.answer([request])[0] for request in subject.requests]
        assert [response.text for response in corrected] == [response.text for response in alone]
        assert [response.extra for response in corrected] == [response.extra for response in alone]
        for response, other in zip(corrected, alone, strict=True):
            for mask, expected in zip(response.masks, other.masks, strict=True):
                assert (masks.decode(mask) != masks.decode(expected)).sum() <= subject.flips
        assert sum(len(response.masks) for response in corrected) >= 3

    def test_masks_have_the_image_size_and_are_united(self, corrected: list[Response]) -> None:
        assert any(response.mask is not None and masks.area(response.mask) for response in corrected)
        for response, size in zip(corrected, SIZES, strict=True):
            assert response.mask is not None
            assert masks.size_of(response.mask) == size
            assert response.mask == masks.union(response.masks, size)
            assert len(response.mask_spans) == len(response.masks)

    def test_visual_tokens_lie_where_the_layout_says(self, subject: Subject) -> None:
        assert check_geometry(subject.adapter()) == []

    @pytest.mark.parametrize("fidelity", list(Fidelity))
    def test_the_contract_of_adapters(self, subject: Subject, fidelity: Fidelity) -> None:
        registration = registry().get(Kind.MODEL, subject.name)
        config = registration.config_class.model_validate(subject.options)
        assert check_registration(registration, config, Context(fidelity=fidelity)) == []

    def test_attention_is_refused(self, subject: Subject) -> None:
        with pytest.raises(ModelError, match="gives masks, not attention"):
            subject.adapter().answer(subject.requests, extractor=object())  # type: ignore[arg-type]
