"""The command `pixcore seeds`: one run a seed, and how much of each figure's spread is the seed's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from pixcore_scoring.source import open_source

from pixcore.commands.run import about_a_run, carry_out, planned
from pixcore.config import apply_settings, read_yaml, resolve
from pixcore.plugins import registry
from pixcore.terminal import Console
from pixcore_report.compare import print_agreement, rows_of
from pixcore_report.comparison import Side


@click.command()
@about_a_run
@click.option(
    "--seed", "seeds", multiple=True, required=True, type=click.IntRange(min=0), help="Several: one run each."
)
@click.option("--row", metavar="NAME", help="Which row of the tables spreads; the first if left out.")
def seeds(config: Path, settings: tuple[str, ...], seeds: tuple[int, ...], row: str | None, **scope: Any) -> int:
    """Run CONFIG once for each seed, and tell how far answers agree and how figures spread.

    Of each figure: over samples whichever seed, over seeds on the same samples, and the standard error of their mean
    with both. The runs' folders are seed-N in the config's output.
    """
    folder = resolve(apply_settings(read_yaml(config), settings), registry()).config.output
    folders = [folder / f"seed-{seed}" for seed in seeds]
    status = 0
    for seed, own in zip(seeds, folders, strict=True):
        own.parent.mkdir(parents=True, exist_ok=True)
        status |= carry_out(planned(config, (*settings, f"seed={seed}", f"output={own}"), **scope))
    if scope["shard"] is None and len(folders) > 1:
        sources = [open_source(own, registry()) for own in folders]
        chosen = rows_of(sources, (row,) if row else ())
        sides = [
            Side(own.name, spec, source.fidelity).take(source.file)
            for own, spec, source in zip(folders, chosen, sources, strict=True)
        ]
        console = Console()
        console.print(f"{len(folders)} seeds, row {chosen[0].label}", style="bold", highlight=False)
        print_agreement(console, sides, seeds[0])
    return status
