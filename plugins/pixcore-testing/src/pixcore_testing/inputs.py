"""Make small synthetic inputs of every shape that components meet: wide and tall images, odd text, no candidates."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.masks import Mask, encode, encode_many
from pixcore.records import Candidate, Image, PointPrompt, Protocol, Request, Response, Sample, Token, TokenGroup

WIDE, TALL = (64, 40), (40, 56)

TEXTS = (
    "The cat's left ear is dark, and the dog behind it is looking at the camera.",
    "Two red umbrellas 🏖️ stand on the café's terrace.\n\nBelow: 日本語の看板。",
    "no",
    "",
)
"""What models may say: plain English, several scripts and lines, one word, nothing."""


def picture(size: tuple[int, int], seed: int = 0) -> Image:
    """Draw a noisy background with one bright rectangle, (width, height)."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(60, 110, (height, width, 3), dtype=np.uint8)
    pixels[object_mask(size)] = (230, 40, 40)
    return Image.from_pixels(pixels, name=f"{width}x{height}")


def object_mask(size: tuple[int, int]) -> Mask:
    """Mark where the rectangle of `picture` is: (height, width) bool."""
    width, height = size
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    return mask


def tokens_of(text: str) -> tuple[Token, ...]:
    """Cut a text into pieces of up to four letters, as a model might generate them, and the end token."""
    pieces = [match.span() for match in re.finditer(r"\s?\w{1,4}|\s?[^\w\s]|\s", text)]
    tokens = [Token(index, text[start:end], start, end) for index, (start, end) in enumerate(pieces, start=3)]
    return (*tokens, Token(2, "", len(text), len(text)))


def request(size: tuple[int, int], prompt: str = "Identify the red rectangle in the scene.", seed: int = 0) -> Request:
    """Make a request, as a model is asked."""
    return Request(f"{size[0]}x{size[1]}", Protocol.SEGMENT, picture(size, seed), prompt, "the red rectangle", seed)


def sample(*, absent: bool = False) -> Sample:
    """Make a sample with a question, options and a ground truth."""
    mask = np.zeros_like(object_mask(WIDE)) if absent else object_mask(WIDE)
    return Sample(
        "sample 0",
        picture(WIDE),
        question="Where is the red rectangle?",
        options=("Left", "Right"),
        answer=0,
        expression="the red rectangle",
        mask=encode(mask),
    )


def layouts() -> tuple[VisualLayout, ...]:
    """Make a padded grid with newlines, and tiles with a thumbnail, over a WIDE image."""
    padded = VisualLayout.single(VisualGrid.padded_to_square(6, 6, WIDE), newline=True)
    whole = VisualGrid.stretched(1, 2, WIDE)
    tiles = [VisualLayout.single(VisualGrid(4, 4, whole.cell_box(0, col))) for col in range(2)]
    thumbnail = VisualLayout.single(VisualGrid.stretched(4, 4, WIDE))
    return padded, VisualLayout.joined([*tiles, VisualLayout.separators(1), thumbnail])


def response(*, maps: bool = False) -> Response:
    """Make a response, without maps or with a random one for each token."""
    tokens, layout = tokens_of(TEXTS[0]), layouts()[0]
    if not maps:
        return Response(TEXTS[0], tokens)
    values = np.random.default_rng(0).random((len(tokens), layout.tokens), np.float32)
    values.setflags(write=False)  # as a run hands them over
    return Response(TEXTS[0], tokens, maps=values, layout=layout)


def candidates() -> tuple[Candidate, ...]:
    """Make three phrases of `response` with two masks each: one hits the rectangle, one misses, one is empty."""
    hit = object_mask(WIDE)
    grown, missed, nothing = np.roll(hit, 3, axis=1), np.roll(hit, 20, axis=1), np.zeros_like(hit)
    spans = _phrases(("The cat's left ear", "the dog", "the camera"))
    found = []
    for group, masks in zip(
        spans, ((hit, grown), (missed, np.roll(missed, 2, axis=0)), (nothing, missed)), strict=True
    ):
        found.append(
            Candidate(group, PointPrompt.at((20.0, 12.0)), tuple(encode_many(np.stack(masks))), (0.9, 0.6), (0.8, 0.7))
        )
    return tuple(found)


def _phrases(phrases: Sequence[str]) -> list[TokenGroup]:
    groups = []
    for phrase in phrases:
        start = TEXTS[0].index(phrase)
        end = start + len(phrase)
        own = tuple(index for index, token in enumerate(tokens_of(TEXTS[0])) if token.start < end and token.end > start)
        groups.append(TokenGroup(own, phrase, start, end, phrase.split()[-1]))
    return groups
