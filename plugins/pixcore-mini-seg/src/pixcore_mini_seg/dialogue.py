"""What each variant is asked in training, what it answers, and the region that each [SEG] stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Literal

from pixcore_mini.dialogue import Turn, dialogue
from pixcore_mini_world import language
from pixcore_mini_world.kinds import COLOURS, KINDS, verb_of
from pixcore_mini_world.scene import Scene

from pixcore_mini_seg.config import SEGMENT_PROMPT
from pixcore_mini_seg.words import CLOSE, OPEN, SEG

Variant = Literal["a", "b", "c", "d"]
VARIANTS: dict[Variant, str] = {
    "a": "from mini, referring segmentation alone (in the manner of LISA)",
    "b": "from mini, referring segmentation mixed with mini's own questions",
    "c": "from mini, grounded captions: every phrase with its mask (in the manner of GLaMM)",
    "d": "from scratch, referring segmentation and questions together",
}

Region = tuple[int, str | None]
"""The index of a thing of the scene, and its part or None."""

PARTS = tuple(sorted({part for kind in KINDS.values() for part in kind.all_parts}))

_COLOUR, _KIND = "|".join(COLOURS), "|".join(KINDS)
_PART = "|".join(sorted(PARTS, key=len, reverse=True))
_NAMED = re.compile(
    rf"\b(?:[Tt]he (?:(?P<part>{_PART}) of the )?(?:(?P<colour>{_COLOUR}) )?(?P<kind>{_KIND})\b"
    rf"|(?:an? |the |its )?(?:(?:{_COLOUR}) )?(?P<own>{_PART})\b)"
)


@dataclass(frozen=True)
class Grounded:
    """One prompt with its answer, and what the answer's marks stand for.

    Attributes:
        turn: The prompt and its answer.
        regions: One for each [SEG] of the answer, in order.
    """

    turn: Turn
    regions: tuple[Region, ...] = ()


def regions_of(scene: Scene) -> list[Region]:
    """List all that a scene has masks of: each thing, then its parts."""
    return [(index, part) for index, thing in enumerate(scene.things) for part in (None, *thing.spec.all_parts)]


def segment_prompt(expression: str) -> str:
    """Write the prompt that asks for a mask."""
    return SEGMENT_PROMPT.format(expression=expression)


def ground(text: str, scene: Scene, index: int) -> tuple[str, tuple[Region, ...]]:
    """Mark every phrase of a description that names a thing or a part.

    Args:
        text: What `language.describe` says.
        scene: The scene.
        index: The thing that it describes.

    Returns:
        The text with <p>, </p> and [SEG], and the region of each [SEG].
    """
    regions: list[Region] = []

    def mark(match: re.Match[str]) -> str:
        thing, part = index, match["own"] or match["part"]
        if match["colour"]:
            same = (
                i for i, one in enumerate(scene.things) if (one.kind, one.colour) == (match["kind"], match["colour"])
            )
            thing = next(same)
        regions.append((thing, part))
        return f"{OPEN}{match[0]}{CLOSE}{SEG}"

    # a word carries the space before it, so the space goes inside the marks
    marked = _NAMED.sub(mark, text).replace(f" {OPEN}", f"{OPEN} ")
    return marked, tuple(regions)


def refer(scene: Scene, region: Region, rng: Random, *, phrase: bool = False) -> Grounded:
    """Ask for the mask of a thing or a part.

    Args:
        scene: The scene.
        region: What is meant.
        rng: Decides whether it is called by its colour where that is not needed.
        phrase: Whether what the answer repeats is marked; else it is a sentence whose end is the mask, at the place
            where mini says what a thing is like.
    """
    index, part = region
    ref = language.reference(scene, scene.things[index], coloured=rng.random() < 0.4)
    wanted = language.expression(ref, part)
    said = wanted[0].upper() + wanted[1:]
    answer = f"{OPEN}{said}{CLOSE}{SEG}." if phrase else f"{said} {verb_of(part) if part else 'is'}{SEG}."
    return Grounded(Turn(segment_prompt(wanted), answer, f"mask {'part' if part else 'thing'}"), (region,))


def describe(scene: Scene, region: Region, rng: Random) -> Grounded:
    """Ask for a description with a mask for every phrase."""
    index, part = region
    ref = language.reference(scene, scene.things[index], coloured=rng.random() < 0.4)
    answer, regions = ground(language.describe(scene, index, part), scene, index)
    return Grounded(Turn(f"Describe {language.expression(ref, part)}.", answer, "grounded description"), regions)


def caption(scene: Scene) -> Grounded:
    """Ask for all that is there, with a mask for every phrase."""
    said: list[str] = []
    regions: list[Region] = []
    for index, thing in enumerate(scene.things):
        sentence = f"The {thing.colour} {thing.kind} is {language.place(thing)} of the image."
        text, own = ground(sentence, scene, index)
        said.append(text)
        regions += own
    return Grounded(Turn("Describe the scene.", " ".join(said).replace(f" {OPEN}", f"{OPEN} "), "caption"), (*regions,))


def training_turns(variant: Variant, scene: Scene, rng: Random, told: float = 0.1) -> list[Grounded]:
    """Make up what a variant is asked about one training scene.

    Args:
        variant: Which one.
        scene: The scene.
        rng: Where the choices come from.
        told: The share of letter questions that come with the sentence that answers them.
    """
    every = regions_of(scene)
    regions = [region for region in every if region[1] is None]
    parts = [region for region in every if region[1] is not None]
    if variant == "c":
        turns = [caption(scene), describe(scene, rng.choice([*regions, *parts]), rng)]
        return [
            *turns,
            refer(scene, rng.choice(regions), rng, phrase=True),
            refer(scene, rng.choice(parts), rng, phrase=True),
        ]
    asked = [*rng.sample(regions, min(2, len(regions))), *rng.sample(parts, min(4, len(parts)))]
    if variant == "a":
        return [refer(scene, region, rng) for region in asked]
    questions = [Grounded(turn) for turn in dialogue(scene, rng, told)[:5]]
    return [*(refer(scene, region, rng) for region in asked[:3]), *questions]
