"""Candidates as bars in an image of 100x4 pixels: what a bar's width is decides its IoU with another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pixcore.masks import RLE, encode
from pixcore.records import Candidate, Image, PointPrompt, Response, Sample, TokenGroup


def bar_of(start: int, end: int) -> RLE:
    columns = np.arange(100)[None].repeat(4, 0)
    return encode((columns >= start) & (columns < end))


@pytest.fixture
def bar() -> Callable[[int, int], RLE]:
    """The mask of the columns from start to end."""
    return bar_of


@pytest.fixture
def make_sample() -> Callable[..., Sample]:
    """A sample with a bar as ground truth."""

    def make(start: int = 0, end: int = 50, expression: str | None = "the red door") -> Sample:
        image = Image.from_pixels(np.full((4, 100, 3), 128, np.uint8))
        return Sample("one", image, expression=expression, mask=bar_of(start, end))

    return make


@pytest.fixture
def make_candidate() -> Callable[..., Candidate]:
    """A candidate with a phrase and bars as masks."""

    def make(
        phrase: str,
        *bars: tuple[int, int],
        scores: tuple[float, ...] = (),
        stability: tuple[float, ...] = (),
        token: int = 0,
    ) -> Candidate:
        group = TokenGroup((token,), phrase, 0, len(phrase))
        masks = tuple(bar_of(*one) for one in bars)
        return Candidate(group, PointPrompt.at((1, 1)), masks, scores or (0.5,) * len(bars), stability)

    return make


@pytest.fixture
def silent() -> Response:
    """A response without maps, for strategies that do not look at it."""
    return Response("")
