"""The command `pixcore layers`: what each decoder layer of one run would have mined alone, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from pixcore_report.reading import open_run
from pixcore_statistics.estimates import Estimate
from pixcore_table.table import interval, value
from rich.table import Table

from pixcore.commands.run import figures_written, json_option
from pixcore.figures.rows import Figure
from pixcore.plugins import registry
from pixcore.protocols import LOOKED_AT
from pixcore.terminal import Console
from pixcore_emergence.layers import Line, by_layer


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--protocol", metavar="NAME", default=LOOKED_AT[0], show_default=True, help="Whose masks are looked at.")
@click.option("--heads", is_flag=True, help="A line for each head that was kept, too.")
@json_option
def layers(run: Path, protocol: str, heads: bool, written: Path | None) -> None:
    """Show which decoder layer of RUN grounds: the best mask that each layer's attention alone gives, in one table.

    RUN has answered once, with `extractor: {name: raw, folder: ROWS, reduce: heads}` (without `reduce`, heads are kept
    too). Each layer's rows take the place of the run's maps; groups, points, generator and control are the run's own.
    """
    found = by_layer(open_run(run, registry()), protocol, heads=heads)
    if not figures_written(written, lambda: {"protocol": protocol, "lines": [asdict(line) for line in found]}):
        Console().print(_table(found))


def _table(found: Sequence[Line]) -> Table:
    first = found[0]
    lacking = f" ({first.left_out} left out: failed, or no phrase in the answer)" if first.left_out else ""
    title = f"mean over {first.samples} samples whose object is there{lacking}, in percent"
    table = Table(title=title, title_justify="left")
    for column in ("attention of", "best mask (mIoU)", "less control", "inside beyond area"):
        table.add_column(column, justify="left" if column == "attention of" else "right")
    for line in found:
        table.add_row(line.name, *(_cell(one) for one in (line.best, line.less, line.inside)))
    return table


def _cell(one: Estimate | None) -> str:
    if one is None or one.value != one.value:
        return ""
    within = interval(Figure(*one))
    return value(one.value) + (f" ({within})" if within else "")
