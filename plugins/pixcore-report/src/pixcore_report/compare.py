"""The command `pixcore compare`: two runs on the same samples, side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click
from pixcore_pictures.drawing import data_uri, fitted, overlay
from pixcore_scoring.source import Source, check_one_benchmark, notes, open_source
from pixcore_statistics.agreement import Agreement
from pixcore_table.table import value
from rich import box
from rich.measure import Measurement
from rich.table import Table

from pixcore.commands.run import figures_written, json_option
from pixcore.errors import ConfigError, DataError, nearest
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import predicted_mask
from pixcore.files import prepare, write_json
from pixcore.plugins import registry
from pixcore.protocols import PROBINGS
from pixcore.records import ProtocolResult, Sample, SampleResult
from pixcore.terminal import Console
from pixcore_report.comparison import (
    SPREADS,
    Comparison,
    Flip,
    Side,
    Spread,
    agreements,
    comparable,
    compare,
    counted_as_wrong,
    shared_by,
    spreads,
    told,
)
from pixcore_report.page import write_page
from pixcore_report.report import MOST

_PICTURES = 60
_NAMED = 10  # flips, in the terminal
_LONGEST = 560


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--row", "rows", multiple=True, metavar="NAME", help="Which row of the tables; twice: left and right.")
@click.option("--benchmark", metavar="NAME", help="Which benchmark predictions files answer; runs know it.")
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@click.option("--select", multiple=True, metavar="STRATEGY", help="Choose among the candidates of predictions files.")
@click.option("--primary", metavar="FIGURE", help="Of two runs, the figure that decides, named before: no correction.")
@click.option(
    "--delta",
    type=click.FloatRange(min=0),
    help="Of two runs, a difference of no matter: which figures are alike within it?",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Of two runs, the folder of compare.html and compare.json."
)
@json_option
def compare_command(
    runs: tuple[Path, ...],
    rows: tuple[str, ...],
    benchmark: str | None,
    root: Path | None,
    select: tuple[str, ...],
    primary: str | None,
    delta: float | None,
    output: Path | None,
    written: Path | None,
) -> None:
    """Compare RUNS: folders of runs, or predictions files.

    Two are set side by side: paired differences with intervals and corrected p-values, what could have been found,
    within what both are alike, McNemar's test, and the samples that flipped. More than two, such as several judges or
    seeds: how far their answers agree, and how much of each figure's spread is theirs and how much the samples'.
    """
    if len(runs) < 2:
        raise ConfigError("compare needs two runs", hint="pixcore compare RUN RUN")
    if len(rows) > 2:
        raise ConfigError("--row is given more than twice", hint="once for both sides, twice for left and right")
    of_two = {"--primary": primary, "--delta": delta, "--output": output}
    if len(runs) > 2 and (given := [option for option, value in of_two.items() if value is not None]):
        raise ConfigError(f"{given[0]} is about two runs, and {len(runs)} are given", hint="leave it out, or name two")
    if delta is not None and not math.isfinite(delta):
        raise ConfigError(f"--delta is {delta:g}, which is no difference", hint="give percent points, such as 2.5")
    plugins = registry()
    sources = [open_source(path, plugins, benchmark=benchmark, root=root, select=select) for path in runs]
    check_one_benchmark(sources)
    chosen = rows_of(sources, rows)
    names = _names(runs)
    sides = [
        Side(name, row, source.fidelity, source.origin.s_of, _control(source, row)).take(source.file)
        for name, row, source in zip(names, chosen, sources, strict=True)
    ]
    console, lacking = Console(), noted(sides, sources)
    if len(sides) > 2:
        agreed = Agreed.of(sides, sources[0].origin.seed, lacking)
        if not figures_written(written, agreed.document):
            print_agreement(console, agreed)
        return
    found = compare(sides[0], sides[1], seed=sources[0].origin.seed, primary=primary, delta=delta)
    found = replace(found, notes=(*found.notes, *lacking))
    if not figures_written(written, lambda: _document(found, chosen)):
        _print(console, found, chosen)
    if output is not None:
        prepare(output, "--output")
        _write(output, found, sources, chosen, [path / "report.html" for path in runs])
        Console(stderr=True).print(f"side by side: {output / 'compare.html'}", style="bold", soft_wrap=True)


def noted(sides: Sequence[Side], sources: Sequence[Source]) -> list[str]:
    """Tell what each source's own table would note, by the side's name; not of predictions that no side has."""
    return [
        f"{side.name}: {note}"
        for side, source in zip(sides, sources, strict=True)
        for note in notes(source, lacking=counted_as_wrong(side, sides))
    ]


def rows_of(sources: Sequence[Source], rows: tuple[str, ...]) -> list[RowSpec]:
    """One row a side: the named one, or the first that all sides have, or each side's first.

    Upper bounds and controls stand behind: what two runs are compared by is what their strategies choose.
    """
    aside = [sorted(source.file.rows, key=lambda row: row.control or row.uses_ground_truth) for source in sources]
    tables = [{row.key: row for row in rows_of_one} for rows_of_one in aside]
    if rows:
        wanted = [rows[0]] + [rows[-1]] * (len(sources) - 1)
        for name, table, source in zip(wanted, tables, sources, strict=True):
            if name not in table:
                raise ConfigError(f"{source.name} has no row {name!r}", hint=nearest(name, table))
        return [table[name] for name, table in zip(wanted, tables, strict=True)]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    if shared:
        return [table[shared[0]] for table in tables]
    return [next(iter(table.values())) for table in tables]


def _control(source: Source, row: RowSpec) -> RowSpec | None:
    return next((one for one in source.file.rows if one.control_of == row.key), None)


def _names(runs: Sequence[Path]) -> list[str]:
    """Short names that differ: the folders' own, or as much of the paths as it takes."""
    runs = [path if path.name.strip(".") else Path(os.path.abspath(path)) for path in runs]  # "." has no name
    for depth in range(1, max(len(path.parts) for path in runs) + 1):
        names = ["/".join(path.parts[-depth:]) for path in runs]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name} ({number})" for number, path in enumerate(runs, start=1)]


def in_width(table: Table, console: Console) -> Table:
    """Fit a table of figures into a narrow terminal: names are folded, then the last columns go; no number is cut."""

    def is_wider() -> bool:
        room = console.options.update(max_width=1000)
        return console.is_terminal and Measurement.get(console, room, table).maximum > console.width

    if is_wider():
        table.columns[0].max_width = 10
    while is_wider() and len(table.columns) > 4:
        table.columns.pop()
    return table


def _print(console: Console, found: Comparison, rows: Sequence[RowSpec]) -> None:
    title = f"{found.left} ({rows[0].label}) and {found.right} ({rows[1].label}), right minus left, in percent points"
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False
    )
    table.add_column("figure")
    for heading in ("left", "right", "difference", "p", "alike\nwithin", "detects", "clus-\nters"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.differences:
        if one.difference is None:
            continue
        ends = "" if one.low is None or one.high is None else f"\n{one.low:+.1f} to {one.high:+.1f}"
        shown = (f"{one.left:.1f}", f"{one.right:.1f}", f"{one.difference:+.1f}{ends}", chance(one.adjusted))
        more = (value(one.margin), value(one.detectable), str(one.clusters))
        table.add_row(one.name + "*" * one.primary, *shown, *more, style="bold" if one.clear else "")
    console.print(in_width(table, console))
    for line in told(found):
        console.print(line, style="dim", highlight=False)
    for test in found.tests:
        console.print(
            f"{test.protocol}, {test.unit}s: {test.both} right on both sides, {test.only_left} on the left alone, "
            f"{test.only_right} on the right alone, {test.neither} on neither; McNemar p {chance(test.p, '= ')}",
            soft_wrap=True,
        )
    for protocol, agreed in found.agreements.items():
        low, high = agreed.kappa_low, agreed.kappa_high
        ends = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
        if agreed.kappa is not None:
            line = f"{protocol}, samples: Cohen's kappa {agreed.kappa:.2f}{ends}"
            console.print(line, highlight=False, soft_wrap=True)
    named = f", of which {_NAMED} are named" if len(found.flips) > _NAMED else ""
    console.print(f"{len(found.flips)} flipped{named}", highlight=False)
    for flip in found.flips[:_NAMED]:
        console.print(f"  {flip.sample_id} {flip.protocol}: {_what(flip)}", highlight=False)
    for note in found.notes:
        console.print(note, style="dim")


def chance(p: float | None, sign: str = "") -> str:
    """Write a p-value."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{sign}{p:.3f}"


@dataclass(frozen=True)
class Agreed:
    """How far several runs' answers agree, and how each figure spreads.

    Attributes:
        sides: The runs, over the same samples.
        agreements: By probing.
        spreads: Of each figure.
        notes: What a reader has to know.
    """

    sides: Sequence[Side]
    agreements: Mapping[str, Agreement]
    spreads: Sequence[Spread]
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, sides: Sequence[Side], seed: int, lacking: Sequence[str] = ()) -> Agreed:
        """Measure it, with the intervals that the seed draws; `lacking` is what the runs' own tables would note."""
        notes = [*comparable(sides), *lacking]
        return cls(sides, agreements(sides, seed=seed), tuple(spreads(sides)), notes)

    def document(self) -> dict[str, Any]:
        """Give it as data."""
        return {
            "runs": [side.name for side in self.sides],
            "samples": len(shared_by(self.sides)),
            "agreements": {protocol: asdict(one) for protocol, one in self.agreements.items()},
            "figures": [_spread(asdict(one)) for one in self.spreads],
            "notes": list(self.notes),
        }


def _spread(spread: Mapping[str, Any]) -> dict[str, Any]:
    """A spread with its components beside its values, null where there are none."""
    parts = spread["components"] or dict.fromkeys(("mean", "of_samples", "of_sides", "rest", "error"))
    return {**spread, **parts, "mean": sum(spread["values"]) / len(spread["values"])}


def print_agreement(console: Console, found: Agreed) -> None:
    """Print how far several runs agree, and how their figures spread."""
    sides = found.sides
    for protocol, one in found.agreements.items():
        ends = "" if one.low is None or one.high is None else f" ({one.low:.2f} to {one.high:.2f})"
        alpha = "not defined: all answers are alike" if one.alpha is None else f"{one.alpha:.2f}{ends}"
        line = f"{protocol}, {one.samples} answers of {one.sides} runs: Krippendorff's alpha {alpha}"
        console.print(line, soft_wrap=True, highlight=False)
        for side, gained, lost in zip(sides[1:], one.gained, one.lost, strict=True):
            line = f"  {side.name} against {sides[0].name}: {gained} wrong to right, {lost} right to wrong"
            console.print(line, soft_wrap=True, highlight=False)
    if not found.agreements:
        console.print("the runs share no judged answers")
    table = Table(
        title="figures over the runs", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("figure")
    for heading in ("least", "mean", "most", "spread of\nsamples", "spread of\nruns", "the rest", "standard\nerror"):
        table.add_column(heading, justify="right", no_wrap=True)
    for spread in found.spreads:
        values, parts = spread.values, spread.components
        split = (parts.of_samples, parts.of_sides, parts.rest, parts.error) if parts else (None,) * 4
        table.add_row(spread.name, *map(value, (min(values), sum(values) / len(values), max(values), *split)))
    console.print(in_width(table, console))
    for line in (*SPREADS, *found.notes):
        console.print(line, style="dim", highlight=False)


def _document(found: Comparison, rows: Sequence[RowSpec]) -> dict[str, Any]:
    return asdict(found) | {"rows": [row.key for row in rows]}


def _what(flip: Flip) -> str:
    if flip.kind == "mask":  # with the digits that tell the two apart
        return next(
            f"IoU {left} to {right}"
            for digits in range(2, 20)
            if (left := f"{flip.left:.{digits}f}") != (right := f"{flip.right:.{digits}f}")
        )
    return "right to wrong" if flip.left else "wrong to right"


def _write(
    output: Path, found: Comparison, sources: Sequence[Source], rows: Sequence[RowSpec], reports: Sequence[Path]
) -> None:
    write_json(output / "compare.json", _document(found, rows))
    shown = list(found.flips[:_PICTURES])
    wanted = {flip.sample_id for flip in shown}
    kept = [
        {one.sample.id: (place, one) for place, one in enumerate(source.file) if one.sample.id in wanted}
        for source in sources
    ]
    links = [_address(report, output) if report.is_file() else None for report in reports]
    write_page(
        output / "compare.html",
        "compare.html",
        styles=("compare.css",),
        context={
            "title": f"{found.left} and {found.right}",
            "found": found,
            "told": list(told(found)),
            "chance": chance,
            "benchmark": sources[0].benchmark,
            "rows": [row.label for row in rows],
            "shown": list(_shown(shown, kept, rows, (found.left, found.right), links)),
            "reports": list(zip((found.left, found.right), links, strict=True)),
        },
    )


def _address(report: Path, output: Path) -> str:
    """Where a report is, seen from a page in a folder."""
    try:
        return quote(Path(os.path.relpath(report, output)).as_posix())
    except ValueError:  # on another drive
        return report.resolve().as_uri()


def _shown(
    flips: Sequence[Flip],
    kept: Sequence[Mapping[str, tuple[int, SampleResult]]],
    rows: Sequence[RowSpec],
    names: tuple[str, str],
    links: Sequence[str | None],
) -> Iterator[dict[str, Any]]:
    for flip in flips:
        both = [results[flip.sample_id] for results in kept]
        sample = both[0][1].sample
        yield {
            "id": flip.sample_id,
            "protocol": str(flip.protocol),
            "what": _what(flip),
            "question": _asked(sample, both[0][1].by_probing[flip.protocol]),
            "truth": sample.mask is not None and not sample.absent,
            "sides": [
                _side(name, result.sample, result.by_probing[flip.protocol], row, flip)
                | {"link": _card(link, place, flip, row)}
                for name, (place, result), row, link in zip(names, both, rows, links, strict=True)
            ],
        }


def _card(report: str | None, place: int, flip: Flip, row: RowSpec) -> str | None:
    """The address of a sample's card in a report; the last samples of a large run have none."""
    if report is None or place >= MOST:
        return None
    return f"{report}?{urlencode({'protocol': flip.protocol, 'row': row.key})}#sample-{place}"


def _asked(sample: Sample, outcome: ProtocolResult) -> str:
    """What a sample was asked, without what every prompt of its probing says."""
    if outcome.protocol not in PROBINGS:
        return outcome.prompt
    asks = PROBINGS[outcome.protocol].asks
    return (sample.expression if "expression" in asks else sample.question) or ""


def _side(name: str, sample: Sample, outcome: ProtocolResult, row: RowSpec, flip: Flip) -> dict[str, Any]:
    score = outcome.scores.get(row.key)
    if flip.kind == "mask" and score is not None and score.iou is not None:
        caption = f"IoU {score.iou:.2f}"
    else:
        caption = "right" if outcome.verdict is not None and outcome.verdict.correct else "wrong"
    said = outcome.error or (outcome.response.text if outcome.response is not None else "")
    return {"name": name, "caption": caption, "text": said, "picture": _picture(sample, outcome, row)}


def _picture(sample: Sample, outcome: ProtocolResult, row: RowSpec) -> str:
    """The image with the chosen mask, as a data address; empty where the image is not at hand."""
    try:
        picture = sample.image.pil()
    except DataError:
        return ""
    selection = outcome.selections.get(row.key)
    pool = outcome.pool(row.pool)
    mask = outcome.response.mask if outcome.response is not None else None
    point = None
    if selection is not None:
        mask = predicted_mask(sample, selection, pool)
        point = pool[selection.candidate].point if selection.candidate is not None else None
    truth = None if sample.absent else sample.mask
    size = fitted(picture.size, _LONGEST, thinnest=24, enlarge=True)
    return data_uri(overlay(picture, size, mask, point, truth=truth).convert("RGB"), "webp", quality=80, method=2)
