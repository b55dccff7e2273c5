"""Trains a variant of mini-seg: ``python -m pixcore_mini_seg.train VARIANT --seed N``.

{variants}

First the mask decoder is trained alone, once for all variants of a seed, in the folder ``shapes-N`` beside OUT; then it
and the language model learn to say [SEG]. Masks come from mini-world's training side alone. Every batch follows from
variant, seed and step, and once a minute everything is written to ``OUT/checkpoint.safetensors``; the same command goes
on from there. The finished weights are in ``OUT/model``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pixcore_mini.arguments import add_machine, at_least, check_processes, folder, machine_of, seed
from pixcore_mini.sharing import run_shared

from pixcore_mini_seg.dialogue import VARIANTS
from pixcore_mini_seg.trainer import Recipe, Trainer


def _run(rank: int, options: argparse.Namespace) -> None:
    """One of the processes that share every batch."""
    recipe = Recipe.of(options.variant, options.seed, options.steps)
    Trainer(recipe, options.out, rank=rank, **machine_of(options)).train()


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    listed = "\n".join(f"{name}  {what}" for name, what in VARIANTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m pixcore_mini_seg.train",
        description=(__doc__ or "").replace("{variants}", listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--seed", type=seed, default=1)
    parser.add_argument(
        "--out", type=folder, help="folder for checkpoint, log and weights (runs/mini-seg/VARIANT-SEED)"
    )
    parser.add_argument("--steps", type=at_least(1), help="optimizer steps, in place of the recipe's")
    add_machine(parser, compiled="use torch.compile, where everything is trained (d)")
    options = parser.parse_args(arguments)
    check_processes(parser, options, Recipe.of(options.variant).batches)
    options.out = options.out or Path("runs/mini-seg") / f"{options.variant}-{options.seed}"
    run_shared(_run, options, processes=options.processes, out=options.out)


if __name__ == "__main__":
    main()
