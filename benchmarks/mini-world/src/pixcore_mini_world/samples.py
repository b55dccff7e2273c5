"""Turn mini-world's pairs into samples of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator

from pixcore.masks import encode
from pixcore.records import Image, Sample
from pixcore_mini_world.config import MiniWorldConfig
from pixcore_mini_world.pairs import Side, make_pair
from pixcore_mini_world.render import Picture, render


def samples(config: MiniWorldConfig) -> Iterator[Sample]:
    """Draw both samples of every pair, pair by pair."""
    for index in range(config.pairs):
        name = f"{config.split}-{config.seed}-{index:04d}"
        for letter, side in zip("ab", make_pair(config.split, config.seed, index).sides, strict=True):
            yield _sample(f"{name}{letter}", name, side, render(side.scene, config.image_size))


def _sample(name: str, pair: str, side: Side, picture: Picture) -> Sample:
    question = side.question
    # Index -1 is in no picture: the mask of an absent thing is empty.
    mask = picture.mask(-1 if question.thing is None else question.thing, question.part)
    return Sample(
        id=name,
        image=Image.from_pixels(picture.image, name=name),
        question=question.text,
        options=question.options,
        answer=question.answer,
        expression=question.expression,
        mask=encode(mask),
        pair=pair,
        categories={"category": question.category, "target": _target(side)},
    )


def _target(side: Side) -> str:
    if side.question.thing is None:
        return "absent"
    return "part" if side.question.part else "object"
