"""The command `pixcore emergence`: when and where grounding emerges in a run, or in several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from pixcore_datasets.tables import read_table
from pixcore_scoring.source import Source, check_one_benchmark, open_source
from pixcore_scoring.streaming import accumulate

from pixcore.commands.run import figures_written, json_option
from pixcore.errors import ConfigError, DataError, nearest
from pixcore.figures.rows import RowSpec
from pixcore.files import RUN, prepare, read_object
from pixcore.plugins import registry
from pixcore.protocols import LOOKED_AT, in_order
from pixcore.terminal import Console
from pixcore_emergence.concepts import Concept, agreement_told, read_letters
from pixcore_emergence.emergence import Emergence, EmergenceTally, Shares, matched_control
from pixcore_emergence.looks import CONCEPTS
from pixcore_emergence.standing import parser


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    metavar="NAME",
    default=LOOKED_AT[0],
    show_default=True,
    help="Whose masks are looked at; the paper looks at segment.",
)
@click.option(
    "--row", metavar="NAME", help="Whose masks count in the four outcomes; the first upper bound's by default."
)
@click.option(
    "--answers",
    metavar="NAME",
    help="The probing whose answers count in the four outcomes; the first that is graded by default.",
)
@click.option(
    "--judged",
    type=click.Path(path_type=Path),
    help="CSV with sample_id and letters, and of several runs the model: a judge's concepts.",
)
@click.option("--benchmark", metavar="NAME", help="Which benchmark predictions files answer; runs know it.")
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder; emergence/ in the first run by default.")
@json_option
def emergence(
    runs: tuple[Path, ...],
    protocol: str,
    row: str | None,
    answers: str | None,
    judged: Path | None,
    benchmark: str | None,
    root: Path | None,
    output: Path | None,
    written: Path | None,
) -> None:
    """Show at which place of the output, and with which concept, the best mask of each sample comes in RUNS.

    Writes emergence.html, each figure as PNG and SVG, and its numbers as CSV. phrases.csv holds the paper's question to
    a judge for every best phrase; the judge's letters come back with --judged, and stand in a figure beside the rules'
    categories, with how far both agree.
    """
    plugins = registry()
    sources = [open_source(path, plugins, benchmark=benchmark, root=root, select=_select(path)) for path in runs]
    check_one_benchmark(sources)
    _check_probings(sources, protocol, answers)
    if output is None:
        if not runs[0].is_dir() and str(written) != "-":
            raise ConfigError("a predictions file has no folder to write to", hint="name one with --output")
        output = runs[0] / "emergence"
    names = _names(sources, runs)
    rows = [_row(source, row) for source in sources]
    found = [
        _analyse(source, name, protocol, outcome_row, answers)
        for source, name, outcome_row in zip(sources, names, rows, strict=True)
    ]
    if not any(one.best for one in found):
        raise DataError(
            "no sample has both an object to find and candidates whose phrases stand in the answer",
            hint="emergence needs ground truth masks, and candidates with phrase, start and end",
        )
    if judged is not None:
        letters = _judged(judged, names)
        for one in found:
            one.judged_by(letters[one.model])
        if not any(one.agreement for one in found):
            raise DataError(f"{judged} has letters of none of the phrases", hint="sample_id and letters: a, or a, b")
    from pixcore_emergence.page import document, write  # matplotlib is slow to import

    if figures_written(written, lambda: document(found)):
        return
    prepare(output, "--output")
    write(output, found, sources, rows, _layers(runs))
    _print(Console(), found)
    Console(stderr=True).print(f"emergence: {output / 'emergence.html'}", style="bold", soft_wrap=True)


def _check_probings(sources: Sequence[Source], protocol: str, answers: str | None) -> None:
    for source in sources:
        known = [name for name, probing in source.file.probings.items() if probing.masks]
        if protocol not in known:
            raise ConfigError(f"{source.name} has no masks under {protocol!r}", hint=nearest(protocol, known))
        graded = [name for name in in_order(source.file.probings) if source.file.probings[name].judge]
        if answers is not None and answers not in graded:
            raise ConfigError(f"{source.name} has no graded answers under {answers!r}", hint=nearest(answers, graded))


def _select(path: Path) -> tuple[str, ...]:
    """A run's file has its own choices; one made elsewhere may have none, and emergence looks at the oracle."""
    return () if path.is_dir() else ("oracle",)


def _names(sources: Sequence[Source], runs: Sequence[Path]) -> list[str]:
    """What tells the runs apart: their models, else their folders' names too, else their paths."""
    models = [source.origin.model for source in sources]
    for places in ([Path(source.name).name for source in sources], list(map(str, runs))):
        if len(set(models)) == len(models):
            break
        models = [f"{source.origin.model} ({place})" for source, place in zip(sources, places, strict=True)]
    if len(set(models)) < len(models):
        raise ConfigError("a run is named twice", hint="name each run once")
    return models


def _row(source: Source, name: str | None) -> RowSpec | None:
    rows = {row.key: row for row in source.file.rows if not row.control}
    if name is not None:
        if name not in rows:
            raise ConfigError(f"{source.name} has no row {name!r}", hint=f"its rows: {', '.join(rows)}")
        return rows[name]
    return next((row for row in rows.values() if row.uses_ground_truth), next(iter(rows.values()), None))


def _analyse(source: Source, name: str, protocol: str, row: RowSpec | None, answers: str | None) -> Emergence:
    seed, control = source.origin.seed, matched_control(source.file.controls)
    tally = EmergenceTally(
        name, protocol, row=row, answers=answers, fidelity=source.fidelity, seed=seed, control=control
    )
    accumulate(source.file, tally)
    return tally.finish()


def _judged(path: Path, models: Sequence[str]) -> dict[str, dict[str, frozenset[Concept]]]:
    """A judge's letters by model and sample: several runs have other phrases of the same sample."""
    letters: dict[str, dict[str, frozenset[Concept]]] = {model: {} for model in models}
    columns = ("sample_id", "letters") if len(models) == 1 else ("sample_id", "letters", "model")
    for row in read_table(path, columns):
        sample, model = row["sample_id"].strip(), models[0] if len(models) == 1 else row["model"].strip()
        own = letters.get(model)
        if own is None:
            raise DataError(f"{path} has letters of the model {model!r}", hint=nearest(model, models))
        if sample in own:
            raise DataError(f"{path} has letters of sample {sample!r} twice", hint="one line a sample, and model")
        own[sample] = read_letters(row["letters"])
    return letters


def _layers(runs: Sequence[Path]) -> list[int] | None:
    """The decoder layer of each run, where each read the attention of one alone."""
    layers = []
    for path in runs:
        if not (path / RUN).exists():
            return None
        extractor = (read_object(path / RUN).get("config") or {}).get("extractor")
        read = extractor.get("layers") if isinstance(extractor, dict) else None
        if not isinstance(read, list) or len(read) != 1 or not isinstance(read[0], int):
            return None
        layers.append(read[0])
    return layers if len(set(layers)) > 1 else None


def _print(console: Console, found: Sequence[Emergence]) -> None:
    console.print(
        f"concepts by rule, with {f'the parse of {name}' if (name := parser()) else 'no parse'}", highlight=False
    )
    for one in found:
        console.print(f"{one.model}: the object was found in {one.found()} of {len(one.own)} samples", soft_wrap=True)
        for spread in one.concepts():
            console.print(f"  {_told(spread)}", highlight=False)
        drawn = (("masks", one.curves), ("distinct masks", one.distinct))
        for kind, curve in ((kind, curve) for kind, curves in drawn for curve in curves):
            last = curve.points[-1]
            ends = "" if last.low is None else f" ({last.low:.1f}-{last.high:.1f})"
            values = f"N = {curve.n[0]}: {curve.points[0].value:.1f}, N = {curve.n[-1]}: {last.value:.1f}{ends}"
            console.print(f"  best of N {kind}, {curve.name}: {values}, n = {curve.samples}", highlight=False)
        if one.agreement:
            for spread in one.judged_concepts()[:1]:
                console.print(f"  by the judge, {_told(spread)}", highlight=False)
            console.print(f"  of {one.agreement['n']} phrases rules and judge agree on {agreement_told(one.agreement)}")


def _told(spread: Shares) -> str:
    known = zip(CONCEPTS, spread.values, strict=True)
    shares = ", ".join(f"{concept} {share.value:.0f} %" for concept, share in known if share.value)
    return f"{spread.name}: {shares} (n = {spread.samples})"
