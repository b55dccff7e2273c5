"""Make training batches, each a function of (recipe seed, stage, step) alone, so that training resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from pixcore_mini_world.kinds import COLOURS, KINDS
from pixcore_mini_world.language import PLACES, place
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import Scene, make_scene, scene_random
from torch.utils.data import Dataset

from pixcore_mini.dialogue import FURTHER_DIALOGUES, Turn, dialogue, random_question, told_letter
from pixcore_mini.tokenizer import GRID, Encoder

IGNORED = -100
#: Text positions behind the visual tokens in a packed row; a turn that does not fit any more is left out.
TEXT_LENGTH = 304
#: A letter is one token among many; this keeps it from being drowned.
LETTER_WEIGHT = 4.0
#: The share of a further training's scenes in which two things are of one kind.
TWINS = 0.5
#: The begin mark and the visual tokens.
PREFIX_LENGTH = 1 + GRID * GRID


@dataclass(frozen=True)
class Packed:
    """Several turns about one image behind one copy of its visual tokens.

    All but ``images`` are (batch, TEXT_LENGTH).

    Attributes:
        images: (batch, height, width, 3) uint8.
        tokens: token ids.
        positions: rotary positions; every turn starts right behind the visual tokens.
        turns: which turn a token belongs to, from 1; -1 is padding.
        labels: the token that follows, where it belongs to an answer; else ``IGNORED``.
        weights: the weight of that token in the loss.
    """

    images: torch.Tensor
    tokens: torch.Tensor
    positions: torch.Tensor
    turns: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> Packed:
        """Bring the batch to a device."""
        return Packed(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def attention_mask(self) -> torch.Tensor:
        """Mask the text's rows, (batch, 1, TEXT_LENGTH, length) bool: causal, and no turn sees another turn."""
        batch, text = self.turns.shape
        owner = torch.cat([self.turns.new_zeros(batch, PREFIX_LENGTH), self.turns], dim=1)
        causal = torch.ones(text, PREFIX_LENGTH + text, dtype=torch.bool, device=owner.device).tril(PREFIX_LENGTH)
        visible = (owner[:, None, :] == 0) | (owner[:, None, :] == self.turns[:, :, None])
        return (causal & visible)[:, None]

    def all_positions(self) -> torch.Tensor:
        """Join the prefix's positions and the text's: (batch, length)."""
        prefix = torch.arange(PREFIX_LENGTH, device=self.positions.device).expand(len(self.positions), -1)
        return torch.cat([prefix, self.positions], dim=1)


def pack(encoder: Encoder, scenes: list[tuple[np.ndarray, list[Turn]]]) -> Packed:
    """Pack the turns about each image into one row.

    Args:
        encoder: turns text into ids.
        scenes: for each row its (height, width, 3) uint8 image and its turns.
    """
    shape = (len(scenes), TEXT_LENGTH)
    tokens = torch.full(shape, encoder.pad)
    positions = torch.zeros(shape, dtype=torch.long)
    turns = torch.full(shape, -1)
    labels = torch.full(shape, IGNORED)
    weights = torch.zeros(shape)
    for row, (_, row_turns) in enumerate(scenes):
        start = 0
        for number, turn in enumerate(row_turns, 1):
            prompt, answer = encoder.prompt(turn.prompt), encoder.answer(turn.answer)
            length = len(prompt) + len(answer) - 1
            if start + length > TEXT_LENGTH:
                continue
            here, said = slice(start, start + length), slice(start + len(prompt) - 1, start + length)
            tokens[row, here] = torch.tensor((prompt + answer)[:-1])
            positions[row, here] = torch.arange(PREFIX_LENGTH, PREFIX_LENGTH + length)
            turns[row, here] = number
            labels[row, said] = torch.tensor(answer)
            weights[row, said] = 1.0
            if turn.is_letter:
                weights[row, said.stop - 2] = LETTER_WEIGHT
            start += length
    images = torch.from_numpy(np.stack([image for image, _ in scenes]))
    return Packed(images, tokens, positions, turns, labels, weights)


@dataclass(frozen=True)
class Query:
    """Something to know about a kind, answered by one of ``classes`` words."""

    kind: str
    about: str
    words: tuple[str, ...]

    def target(self, scene: Scene) -> int:
        """Give the index of the right word; ``IGNORED`` but for presence where there is none of the kind, or two."""
        things = scene.of_kind(self.kind)
        if self.about == "presence":
            return int(bool(things))
        if len(things) != 1:
            return IGNORED
        thing = things[0]
        if self.about == "place":
            return self.words.index(place(thing))
        if self.about.startswith("attribute"):
            return self.words.index(thing.values[int(self.about.split()[1])])
        return self.words.index(thing.colours[thing.spec.parts.index(self.about)])


def all_queries() -> list[Query]:
    """List presence, place, every attribute and every part's colour, of every kind."""
    places = tuple(where for row in PLACES for where in row)
    queries = []
    for kind in KINDS.values():
        queries += [Query(kind.name, "presence", ("no", "yes")), Query(kind.name, "place", places)]
        queries += [Query(kind.name, f"attribute {i}", a.values) for i, a in enumerate(kind.attributes)]
        queries += [Query(kind.name, part, tuple(COLOURS)) for part in kind.parts]
    return queries


def told_share(step: int, steps: int) -> float:
    """Say what share of letter questions are told the answer at a step of a training of so many.

    It falls from 0.8 to 0.1 over the first 60 %: a model that can't see yet unlearns the lookup from letter questions
    about images.
    """
    return max(0.1, 0.8 - 0.7 * step / (0.6 * steps))


class JointBatches(Dataset[tuple[Packed, torch.Tensor]]):
    """Batches of images with all kinds of turns, and the answers to all queries: they train the whole model."""

    def __init__(self, encoder: Encoder, seed: int, rows: range, steps: int) -> None:
        """The given rows of every batch of a stage of so many steps."""
        self._encoder, self._seed, self._rows, self._steps = encoder, seed, rows, steps
        self._queries = all_queries()

    def __getitem__(self, step: int) -> tuple[Packed, torch.Tensor]:
        """The batch of one step, and (batch, queries) targets."""
        rows, targets = [], []
        for row in self._rows:
            scene, turns = self._drawn(step, row)
            rows.append((render(scene).image, turns))
            targets.append([query.target(scene) for query in self._queries])
        return pack(self._encoder, rows), torch.tensor(targets)

    def _drawn(self, step: int, row: int) -> tuple[Scene, list[Turn]]:
        rng = scene_random("train", self._seed, "joint", step, row)
        scene = make_scene(rng, "train")
        return scene, dialogue(scene, rng, told_share(step, self._steps))


class HarderBatches(JointBatches):
    """Batches for a finished model: what it is weak at, about scenes half of which have two of a kind."""

    def __init__(self, encoder: Encoder, seed: int, rows: range, steps: int, ask: str) -> None:
        """The given rows of every batch; `ask` names what is asked, of `FURTHER_DIALOGUES`, and has its own scenes."""
        super().__init__(encoder, seed, rows, steps)
        self._ask = ask

    def _drawn(self, step: int, row: int) -> tuple[Scene, list[Turn]]:
        rng = scene_random("train", self._seed, self._ask, step, row)
        scene = make_scene(rng, "train", twins=TWINS)
        return scene, FURTHER_DIALOGUES[self._ask](scene, rng)


class LetterBatches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batches of text alone: a sentence, a letter question that it answers, and the letter."""

    def __init__(self, encoder: Encoder, seed: int, rows: range) -> None:
        """The given rows of every batch."""
        self._encoder, self._seed, self._rows = encoder, seed, rows

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded token ids (batch, length), and the letters' ids (batch,)."""
        texts, letters = [], []
        for row in self._rows:
            rng = scene_random("train", self._seed, "letters", step, row)
            turn = told_letter(random_question(make_scene(rng, "train"), rng))
            texts.append([self._encoder.begin, *self._encoder.prompt(turn.prompt)])
            letters.append(self._encoder.answer(turn.answer)[0])
        length = max(map(len, texts))
        padded = [[self._encoder.pad] * (length - len(text)) + text for text in texts]
        return torch.tensor(padded), torch.tensor(letters)


class VisionBatches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batches of images with the answers to all queries; every kind at most once, so that a query has one answer."""

    def __init__(self, seed: int, rows: range) -> None:
        """The given rows of every batch."""
        self._seed, self._rows = seed, rows
        self._queries = all_queries()

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, height, width, 3) uint8 images and (batch, queries) targets."""
        images, targets = [], []
        for row in self._rows:
            rng = scene_random("train", self._seed, "vision", step, row)
            scene = make_scene(rng, "train", rng.choice((1, 2, 3, 4)), twins=0.0)
            images.append(render(scene).image)
            targets.append([query.target(scene) for query in self._queries])
        return torch.from_numpy(np.stack(images)), torch.tensor(targets)
