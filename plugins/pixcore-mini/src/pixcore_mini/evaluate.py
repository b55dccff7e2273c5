"""Measure how well mini answers on a side it was not trained on: ``python -m pixcore_mini.evaluate``.

Every kind of prompt is answered by generation, as pixcore does it, and compared with what the scene says. The table
is the one in the model card.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pixcore_mini_world.language import Question
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import Split, make_scene, scene_random
from rich.progress import track
from rich.table import Table

from pixcore.records import Image, Protocol, Request
from pixcore.terminal import Console
from pixcore_mini.adapter import Mini
from pixcore_mini.arguments import at_least, between, ended_by_one_line
from pixcore_mini.config import SHIPPED, MiniConfig
from pixcore_mini.dialogue import (
    Turn,
    as_letter,
    as_sentence,
    either_presence,
    identify,
    identify_absent,
    random_question,
)

try:
    from pixcore_judges.option_letters import read
except ImportError as error:
    raise SystemExit('pixcore-judges is not installed: pip install "pixcore-mini[evaluate]"') from error


@dataclass(frozen=True)
class Asked:
    """One prompt about one image, and what counts as right.

    Attributes:
        image: the picture.
        turn: prompt and the whole answer that training would want.
        question: the question, where it is one.
    """

    image: Image
    turn: Turn
    question: Question | None

    def right(self, answer: str) -> bool:
        """Say whether the answer names the right option and no other one, or the description is exact."""
        if self.question is None:
            return answer == self.turn.answer
        return read(answer, self.question.options).option == self.question.answer

    def words_right(self, answer: str) -> float:
        """Measure the share of words that stand in their place, as `words_in_place` does."""
        return words_in_place(self.turn.answer, answer)


def words_in_place(wanted: str, said: str) -> float:
    """Measure the share of the longer text's words that stand in their place in the other, 1 where both are the same.

    >>> words_in_place("a red house", "a red house with a door")
    0.5
    """
    both = wanted.split(), said.split()
    return sum(a == b for a, b in zip(*both, strict=False)) / max(*map(len, both), 1)


def ask(split: Split, seed: int, scenes: int, twins: float = 0.3) -> Iterator[Asked]:
    """Put seven prompts about each of some scenes; `twins` is the share of those with two things of one kind."""
    for index in range(scenes):
        rng = scene_random(split, seed, "evaluation", index)
        scene = make_scene(rng, split, twins=twins)
        image = Image.from_pixels(render(scene).image, name=f"{split}-{seed}-{index}")
        for question in (random_question(scene, rng), either_presence(scene, rng)):
            yield Asked(image, as_sentence(question), question)
            yield Asked(image, as_letter(question), question)
        thing = rng.randrange(len(scene.things))
        yield Asked(image, identify(scene, thing, None, rng), None)
        yield Asked(image, identify(scene, thing, rng.choice(scene.things[thing].spec.all_parts), rng), None)
        yield Asked(image, identify_absent(scene, rng), None)


@ended_by_one_line()
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pixcore_mini.evaluate", description=__doc__)
    parser.add_argument("--checkpoint", default=SHIPPED, help="shipped, further, or a folder that a training wrote")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--scenes", type=at_least(1), default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--twins", type=between(0, 1), default=0.3, help="the share of scenes with two things of one kind"
    )
    parser.add_argument("--batch", type=at_least(1), default=16)
    options = parser.parse_args(arguments)
    model = Mini(MiniConfig.model_validate({"checkpoint": options.checkpoint}))
    asked = list(ask(options.split, options.seed, options.scenes, options.twins))
    results: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for first in track(range(0, len(asked), options.batch), "answering", console=Console(stderr=True)):
        some = asked[first : first + options.batch]
        requests = [Request(one.image.name, Protocol.QUESTION, one.image, one.turn.prompt) for one in some]
        for one, response in zip(some, model.answer(requests), strict=True):
            results[one.turn.kind].append((one.right(response.text), one.words_right(response.text)))
    table = Table("prompt", "n", "right", "words in place", title=f"{options.split} side, seed {options.seed}")
    for kind, found in sorted(results.items()):
        right = sum(ok for ok, _ in found) / len(found)
        words = sum(share for _, share in found) / len(found)
        table.add_row(kind, str(len(found)), f"{right:.3f}", f"{words:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
