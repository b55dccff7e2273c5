"""One run a seed, and how much of each figure's spread is the seed's: `seeds:` of a config, and `pixcore seeds`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pixcore_scoring.source import open_source

from pixcore.commands.run import about_a_run, carry_out, figures_written, json_option, planned
from pixcore.config import apply_settings, read_yaml, resolve
from pixcore.errors import ConfigError, nearest
from pixcore.figures.rows import ANSWERS_ALONE, OWN_MASKS
from pixcore.files import write_json
from pixcore.plugins import registry
from pixcore.runs.plan import Run
from pixcore.terminal import Console
from pixcore_report.compare import Agreed, noted, print_agreement, rows_of
from pixcore_report.comparison import SPREADS, Side
from pixcore_report.page import write_page


@click.command()
@about_a_run
@click.option("--seed", "seeds", multiple=True, type=click.IntRange(min=0), help="Several, for the config's `seeds`.")
@click.option("--row", metavar="NAME", help="Which row of the tables spreads; the first if left out.")
@json_option
def seeds(
    config: Path,
    settings: tuple[str, ...],
    seeds: tuple[int, ...] = (),
    row: str | None = None,
    written: Path | None = None,
    **scope: Any,
) -> int:
    """Run CONFIG once for each seed, and tell how far answers agree and how figures spread.

    Of each figure: over samples whichever seed, over seeds on the same samples, and the standard error of their mean
    with both. The runs' folders are seed-N in the config's output, beside seeds.html and seeds.json.
    """
    resolved = resolve(apply_settings(read_yaml(config), settings), registry()).config
    chosen = tuple(dict.fromkeys(seeds or resolved.seeds))
    if not chosen:
        raise ConfigError("which seeds?", hint="--seed 1 --seed 2, or seeds: [1, 2] in the config")
    several = scope["shard"] is None and len(chosen) > 1
    if written is not None and not several:
        raise ConfigError("--json has no spread to write", hint="give several seeds, and no --shard")
    folders = [resolved.output / f"seed-{seed}" for seed in chosen]
    status, tables = 0, Console(stderr=str(written) == "-")
    for seed, own in zip(chosen, folders, strict=True):
        quoted = json.dumps(str(own), ensure_ascii=False)  # a setting is YAML, and a path may hold " #"
        job = planned(config, (*settings, "seeds=[]", f"seed={seed}", f"output={quoted}"), **scope)
        if row is not None:
            _check_row(row, job)
        status |= carry_out(job, output=tables)
    if several:
        _tell(resolved.output, folders, chosen[0], row, written)
    elif scope["shard"] is None:
        note = f"note: one seed shows no spread, so there is no seeds.html (--seed {chosen[0]} --seed {chosen[0] + 1})"
        Console(stderr=True).print(note, style="yellow", soft_wrap=True, highlight=False)
    return status


def _check_row(row: str, job: Run) -> None:
    """Refuse a row that no run of the config can have, before anything is computed."""
    possible = [OWN_MASKS, ANSWERS_ALONE, *job.selections]
    if row not in possible:
        raise ConfigError(f"--row: the config has no row {row!r}", hint=nearest(row, possible))


def _tell(output: Path, folders: Sequence[Path], seed: int, row: str | None, written: Path | None) -> None:
    """Print both spreads, and write them as a page and as data."""
    sources = [open_source(own, registry()) for own in folders]
    rows = rows_of(sources, (row,) if row else ())
    sides = [
        Side(own.name, spec, source.fidelity, source.origin.s_of).take(source.file)
        for own, spec, source in zip(folders, rows, sources, strict=True)
    ]
    agreed = Agreed.of(sides, seed, noted(sides, sources))
    found = agreed.document() | {"benchmark": sources[0].benchmark, "row": rows[0].label}
    if not figures_written(written, lambda: found):
        console = Console()
        console.print(f"{len(folders)} seeds, row {rows[0].label}", style="bold", highlight=False)
        print_agreement(console, agreed)
    write_json(output / "seeds.json", found)
    context = {"title": f"{len(folders)} seeds on {found['benchmark']}", "found": found, "legend": SPREADS}
    write_page(output / "seeds.html", "seeds.html", context=context)
    Console(stderr=True).print(f"seeds: {output / 'seeds.html'}", style="bold", soft_wrap=True)
