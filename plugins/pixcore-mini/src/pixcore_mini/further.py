"""Trains a finished mini further, in what it is weak at: ``python -m pixcore_mini.further --out runs/mini-further``.

It goes on from the weights of ``--begin`` with harder questions about mini-world's training side: absent things as
often as those that are there, letters without a sentence before them, two things of one kind in half of the scenes;
``--ask letters-alone`` asks for letters mostly. No mask, box or point is used, and no attribute is asked for beside the
answers. Every batch follows from the seed and the step, and the same command goes on from
``OUT/checkpoint.safetensors``; the model is in ``OUT/model``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pixcore_mini_world.scene import Scene

from pixcore_mini.arguments import add_machine, at_least, check_processes, folder, machine_of, seed
from pixcore_mini.batches import HarderBatches
from pixcore_mini.config import SHIPPED, MiniConfig
from pixcore_mini.dialogue import FURTHER_DIALOGUES, Turn
from pixcore_mini.network import read_network
from pixcore_mini.sharing import run_shared
from pixcore_mini.trainer import Recipe, Trainer


@dataclass(frozen=True)
class FurtherRecipe(Recipe):
    """The joint stage alone, slower, from weights that are there.

    Attributes:
        begins: The hash of the weights that it begins with.
        ask: What is asked, of `FURTHER_DIALOGUES`.
    """

    steps: tuple[int, int, int] = (0, 0, 2000)
    rate: tuple[float, float, float] = (0.0, 0.0, 4e-4)
    attribute_weight: float = 0.0
    begins: str = ""
    ask: str = "further"


class Further(Trainer):
    """Runs a recipe from a finished model's weights, or from a checkpoint.

    Args:
        recipe: What to do.
        out: The folder for the checkpoint, the log and the model.
        begin: The folder of the weights.
        options: As a `Trainer` has them.
    """

    def __init__(self, recipe: FurtherRecipe, out: Path, *, begin: Path, **options: Any) -> None:
        super().__init__(recipe, out, **options)
        self._ask = recipe.ask
        self.network.load_state_dict(read_network(begin).state_dict())

    def _joint_batches(self, rows: range) -> HarderBatches:
        return HarderBatches(self.encoder, self.recipe.seed, rows, self.recipe.steps[2], self._ask)

    def _asked(self, scene: Scene, rng: Random) -> list[Turn]:
        return FURTHER_DIALOGUES[self._ask](scene, rng)

    def validate(self) -> dict[str, float]:
        """Measure the answers alone: no decoder of attributes is trained."""
        return {kind: share for kind, share in super().validate().items() if kind != "attributes"}


def _run(rank: int, options: argparse.Namespace) -> None:
    """One of the data-parallel processes."""
    begin = MiniConfig(checkpoint=options.begin)
    recipe = FurtherRecipe(seed=options.seed, steps=(0, 0, options.steps), begins=begin.fingerprint(), ask=options.ask)
    Further(recipe, options.out, begin=begin.folder, rank=rank, **machine_of(options)).train()


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pixcore_mini.further",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = FurtherRecipe()
    parser.add_argument("--out", type=folder, required=True, help="folder for checkpoint, log and model")
    parser.add_argument("--begin", default=SHIPPED, help="shipped, further, or the folder OUT/model of a training")
    parser.add_argument("--ask", choices=FURTHER_DIALOGUES, default=default.ask, help="what the questions are about")
    parser.add_argument("--seed", type=seed, default=default.seed, help="of the batches")
    parser.add_argument("--steps", type=at_least(1), default=default.steps[2])
    add_machine(parser)
    options = parser.parse_args(arguments)
    check_processes(parser, options, default.batch)
    if not (begin := MiniConfig(checkpoint=options.begin).folder).is_dir():
        parser.error(f"argument --begin: {begin} is no folder")
    run_shared(_run, options, processes=options.processes, out=options.out)


if __name__ == "__main__":
    main()
