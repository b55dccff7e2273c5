"""Trains mini from scratch: ``python -m pixcore_mini.train --out runs/mini``.

Three stages, on mini-world's training side alone, and no mask anywhere:

1. *letters*: the language model learns, in text alone, to look up the letter of an option, begun anew until it can;
2. *vision*: the vision tower learns to see by naming attributes (state, colour, place, presence) through a
   decoder that is thrown away. This is supervision by words, as captions are;
3. *joint*: the whole model learns to answer about images; the decoder's loss goes on beside it, with a small weight.

Every batch follows from the seed and the step, and every few minutes everything is written to
``OUT/checkpoint.safetensors``; the same command goes on from there. The finished model is in ``OUT/model``; with
``--keep-every N`` the model of every N-th joint step stays in ``OUT/steps``, for `benchmarks/miniature/training.py`.
"""

from __future__ import annotations

import argparse

import torch

from pixcore_mini.arguments import add_machine, at_least, between, check_processes, folder, machine_of, seed
from pixcore_mini.sharing import run_shared
from pixcore_mini.trainer import STAGES, Recipe, Trainer


def _run(rank: int, options: argparse.Namespace) -> None:
    """One of the data-parallel processes."""
    trainer = Trainer(
        Recipe(
            seed=options.seed,
            steps=tuple(options.steps),
            rounds=options.rounds,
            attribute_weight=options.attribute_weight,
        ),
        options.out,
        workers=options.workers,
        keep_every=options.keep_every,
        rank=rank,
        **machine_of(options),
    )
    trainer.train()


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pixcore_mini.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Recipe()
    gpu = torch.cuda.is_available()
    parser.add_argument("--out", type=folder, required=True, help="folder for checkpoint, log and model")
    parser.add_argument("--seed", type=seed, default=default.seed)
    parser.add_argument(
        "--steps", type=at_least(0), nargs=3, default=default.steps, metavar=STAGES, help="steps of each stage"
    )
    parser.add_argument(
        "--rounds", type=at_least(1), default=default.rounds, help="how often the letters stage is begun at most"
    )
    parser.add_argument(
        "--attribute-weight",
        type=between(0),
        default=default.attribute_weight,
        help="of the vision stage's loss in the joint stage",
    )
    parser.add_argument(
        "--keep-every",
        type=at_least(0),
        default=0,
        metavar="N",
        help="keep the model of every N-th joint step in OUT/steps",
    )
    add_machine(parser)
    parser.add_argument("--workers", type=at_least(0), default=8 if gpu else 0, help="processes that draw images")
    options = parser.parse_args(arguments)
    check_processes(parser, options, default.batch)
    run_shared(_run, options, processes=options.processes, out=options.out)


if __name__ == "__main__":
    main()
