"""The commands `pixcore power` and `pixcore probing`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from pixcore_scoring.source import Origin, open_benchmark, open_source
from pixcore_table.table import bare_table, value
from rich.table import Table

from pixcore.commands.run import figures_written, json_option
from pixcore.components import Context
from pixcore.figures.intervals import Cluster, cluster_of
from pixcore.plugins import registry
from pixcore.records import Fidelity
from pixcore.terminal import Console
from pixcore_statistics.power import least_mean_difference, least_share_difference
from pixcore_statistics.probing import Halves, halves
from pixcore_statistics.wording import joined, plural

DISCORDANCES = (0.05, 0.1, 0.2, 0.3, 0.4)
SPREADS = (0.1, 0.2, 0.3, 0.4)


@click.command()
@click.argument("benchmark", required=False)
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the benchmark.")
@click.option(
    "--clusters", type=click.IntRange(2, 1_000_000), help="So many pairs or images, in place of a benchmark's."
)
@json_option
def power(
    benchmark: str | None, root: Path | None, settings: tuple[str, ...], clusters: int | None, written: Path | None
) -> None:
    """Say which differences BENCHMARK can show: found with 80 % power, at a level of 5 %, on two sides.

    Before any model is run. After, `pixcore compare` tells the same of the two runs themselves, column by column.
    """
    if clusters is not None:
        groups, counted = {"all": clusters}, plural(clusters, "cluster")
    elif benchmark is None:
        raise click.UsageError("name a benchmark, or --clusters N")
    else:
        groups, counted = _counted(benchmark, root, settings)
    if figures_written(written, lambda: _document(benchmark, groups)):
        return
    console = Console()
    console.print(f"{benchmark or 'a benchmark'}: {counted}", style="bold", highlight=False)
    console.print(_table("A or A†", "discordance", DISCORDANCES, least_share_difference, groups))
    console.print(_table("M or M†", "spread", SPREADS, _least_mean, groups))
    for line in (
        "A, A†: the discordance is the share of pairs that one side alone has right; McNemar's exact test",
        "n: pairs, or images where there are no pairs, as samples that share one are not independent",
        "M, M†: by the standard deviation of what both sides differ by, in IoU; between the mask strategies of one "
        "model .2 to .4 are usual; t test",
        "–: not even if all that differs fell to one side, or M were 0 beside 100",
    ):
        console.print(line, style="dim", highlight=False)


def _counted(benchmark: str, root: Path | None, settings: Sequence[str]) -> tuple[dict[str, int], str]:
    """How many clusters a benchmark has, and how many have a sample of each category; and all of them in words."""
    data, _ = open_benchmark(registry(), Origin(), Context(Fidelity.CORRECTED, 0), benchmark, root, settings)
    found: dict[Cluster, set[str]] = {}
    for sample in data.samples():
        own = found.setdefault(cluster_of(sample), set())
        own.update(f"{key} {one}" for key, one in sample.categories.items())
    kinds = Counter("pair" if cluster.pair else "image" for cluster in found)
    counts = Counter(name for own in found.values() for name in own)
    return {"all": len(found), **dict(sorted(counts.items()))}, joined(plural(n, kind) for kind, n in kinds.items())


def _document(benchmark: str | None, groups: dict[str, int]) -> dict[str, Any]:
    """Both tables as data, in points; null where not even all that differs would do."""
    found = []
    for name, n in groups.items():
        shares = {f"{share:g}": _in_points(least_share_difference(n, share)) for share in DISCORDANCES}
        means = {f"{spread:g}": _in_points(_least_mean(n, spread)) for spread in SPREADS}
        found.append({"samples": name, "n": n, "by_discordance": shares, "by_spread": means})
    return {"benchmark": benchmark, "groups": found}


def _least_mean(n: int, spread: float) -> float | None:
    least = least_mean_difference(spread / np.sqrt(n), n) if n > 1 else np.inf
    return least if least <= 1 else None  # no mean IoU differs by more


def _in_points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _table(
    figure: str, by: str, values: Sequence[float], least: Callable[[int, float], float | None], groups: dict[str, int]
) -> Table:
    table = bare_table(f"least difference of {figure}, in points, by {by}")
    table.add_column("samples")
    for heading in ("n", *(f"{one:g}" for one in values)):
        table.add_column(heading, justify="right")
    for name, n in groups.items():
        table.add_row(name, str(n), *(_points(least(n, one)) for one in values))
    return table


def _points(share: float | None) -> str:
    return value(_in_points(share))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--benchmark", metavar="NAME", help="Which benchmark a predictions file answers; a run knows it.")
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@click.option(
    "--fix", metavar="A,M", help="The two figures that S is made of, named before you look; the config's s_of."
)
@json_option
def probing(run: Path, benchmark: str | None, root: Path | None, fix: str | None, written: Path | None) -> None:
    """Work out S of RUN without its flattery: the probing is chosen on one half and S measured on the other.

    Both ways, then the mean. --fix names the probing instead, and S is measured on everything.
    """
    source = open_source(run, registry(), benchmark=benchmark, root=root)
    origin = source.origin
    fix = fix or ",".join(origin.s_of) or None
    found = list(halves(source.file, source.file.rows, source.fidelity, fix=fix, s_of=origin.s_of, seed=origin.seed))
    if figures_written(written, lambda: {"fix": fix, "rows": [{"row": row, **asdict(one)} for row, one in found]}):
        return
    if not found:
        Console().print("no row has both an accuracy and a mean IoU: S is made of one of each")
        return
    table = bare_table()
    table.add_column("selection")
    for heading in (
        "S as in tables",
        "S of the other half" if fix is None else f"S of {fix}",
        "95 % interval",
        "made of",
    ):
        table.add_column(heading, justify="right")
    for label, one in found:
        table.add_row(label, *_cells(one))
    Console().print(table)


def _cells(found: Halves) -> Iterator[str]:
    yield value(found.chosen)
    yield value(found.honest)
    yield "–" if found.low is None or found.high is None else f"{found.low:.1f}–{found.high:.1f}"
    yield " / ".join(found.made_of)
