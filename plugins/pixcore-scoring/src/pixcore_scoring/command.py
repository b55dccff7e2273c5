"""The command `pixcore score`: predictions made elsewhere, or a run's own."""

from __future__ import annotations

from pathlib import Path

import click

from pixcore.commands.run import figures_written, json_option, limit_option
from pixcore.plugins import registry
from pixcore.records import Fidelity
from pixcore.terminal import Console
from pixcore_scoring.evaluation import evaluate
from pixcore_scoring.evaluation_table import EvaluationTable
from pixcore_scoring.file import Missing
from pixcore_scoring.source import notes, open_source


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--benchmark", metavar="NAME", help="Which benchmark they answer; a run's own file knows it.")
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the benchmark.")
@click.option("--select", multiple=True, metavar="STRATEGY", help="Choose among candidates; may be given repeatedly.")
@click.option("--fidelity", type=click.Choice([f.value for f in Fidelity]), help="Whose rules; corrected by default.")
@click.option("--judge", metavar="NAME", help="Grades free answers that came without a verdict.")
@click.option(
    "--bare-letters/--letters-or-words",
    default=None,
    help="What A counts: letters alone, or the option's words too; as the run did, else the words too.",
)
@click.option(
    "--missing",
    type=click.Choice(["fail", "skip", "error"]),
    default="fail",
    show_default=True,
    help="What a sample without a line is.",
)
@limit_option
@click.option("--sample", "names", multiple=True, metavar="ID", help="This sample alone; may be given repeatedly.")
@json_option
def score(
    predictions: Path,
    benchmark: str | None,
    root: Path | None,
    settings: tuple[str, ...],
    select: tuple[str, ...],
    fidelity: str | None,
    judge: str | None,
    bare_letters: bool | None,
    missing: Missing,
    limit: int | None,
    names: tuple[str, ...],
    written: Path | None,
) -> None:
    """Score PREDICTIONS, a file in the format of predictions.jsonl.

    Where lines hold candidates and no choice, --select names who chooses: any installed strategy (`pixcore plugins
    selections`) that needs neither a model nor maps.
    """
    source = open_source(
        predictions,
        registry(),
        benchmark=benchmark,
        root=root,
        settings=settings,
        select=select,
        fidelity=fidelity,
        judge=judge,
        bare_letters=bare_letters,
        missing=missing,
        limit=limit,
        names=names,
    )
    found = evaluate(
        source.file,
        source.file.rows,
        benchmark=source.benchmark,
        model=source.origin.model,
        fidelity=source.fidelity,
        seed=source.origin.seed,
        s_of=source.origin.s_of,
        notes=notes(source),
    )
    if not figures_written(written, found.document):
        Console().print(EvaluationTable(found))
