"""The command `pixcore figures`: the plots that a reviewer asks for, as pictures, numbers and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from pixcore_plots.every import every_plot, looked_at
from pixcore_plots.kept import Kept
from pixcore_plots.plots import Plots
from pixcore_scoring.source import Source, open_source
from pixcore_scoring.streaming import accumulate
from pixcore_table.table import bare_table

from pixcore.commands.run import figures_written, json_option
from pixcore.errors import ConfigError, nearest
from pixcore.files import prepare, replacing, write_json
from pixcore.plugins import registry
from pixcore.terminal import Console


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--protocol", metavar="NAME", help="Whose masks are looked at; those of segment where it was asked.")
@click.option("--benchmark", metavar="NAME", help="Which benchmark a predictions file answers; a run knows it.")
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; figures/ in the run by default.")
@json_option
def figures(
    run: Path, protocol: str | None, benchmark: str | None, root: Path | None, out: Path | None, written: Path | None
) -> None:
    """Draw the plots of RUN that a reviewer asks for, each with its matched control in it.

    Success over thresholds, IoU by size and by candidates, absence as detection, answers beside masks, risk and
    coverage.
    Writes figures.html, each plot as SVG and CSV, and all numbers as figures.json. RUN may be a predictions file.
    """
    source = open_source(run, registry(), benchmark=benchmark, root=root)
    plots = _plots(source, protocol)
    if str(written) == "-":
        figures_written(written, lambda: _document(source, plots))
        return
    if out is None:
        if not run.is_dir():
            raise ConfigError("a predictions file has no folder to write to", hint="name one with --out")
        out = run / "figures"
    prepare(out, "--out")
    page = _write(out, source, plots)
    figures_written(written, lambda: _document(source, plots))
    Console().print(_summary(plots))
    messages = Console(stderr=True)
    for plot in plots.plots:
        if plot.why_empty:
            messages.print(
                f"{plot.title}: not drawn, {plot.why_empty}", style="yellow", soft_wrap=True, highlight=False
            )
    messages.print(f"figures: {page}", style="bold", soft_wrap=True)


def _plots(source: Source, protocol: str | None) -> Plots:
    masked = [name for name in source.file.protocols if source.file.probings[name].masks]
    if protocol is not None and protocol not in masked:
        raise ConfigError(f"{source.name} has no masks under {protocol!r}", hint=nearest(protocol, masked))
    probing = protocol or looked_at(masked)
    kept = Kept(source.file.rows, source.fidelity, probing, seed=source.origin.seed)
    accumulate(source.file, kept)
    return every_plot(kept)


def _document(source: Source, plots: Plots) -> dict[str, Any]:
    about = {"benchmark": source.benchmark, "model": source.origin.model, "fidelity": str(source.fidelity)}
    return about | plots.document()


def _write(out: Path, source: Source, plots: Plots) -> Path:
    from pixcore_plots.svg import page_rules  # matplotlib is slow to import

    from pixcore_report.page import write_page
    from pixcore_report.plots import FILES, file_of, sections

    for plot in plots.plots:
        for kind in FILES:
            path = out / f"{plot.name}.{kind}"
            path.unlink(missing_ok=True)  # of an earlier run that had more to show
            if plot.panels:
                with replacing(path) as file:
                    file.write(file_of(plots, plot, kind))
    write_json(out / "figures.json", _document(source, plots))
    page = out / "figures.html"
    context = {
        "title": f"Figures of {source.origin.model} on {source.benchmark}",
        "model": source.origin.model,
        "benchmark": source.benchmark,
        "fidelity": str(source.fidelity),
        "plots": plots,
        "sections": list(sections(plots)),
        "files": "",
    }
    write_page(page, "figures.html", styles=("plots.css",), rules=page_rules(), context=context)
    return page


def _summary(plots: Plots) -> Any:
    """What sums up each row: a share above one half, and the areas under the curves that a score makes."""
    from pixcore_plots.panels import estimate

    names = ("Pr@.5", "Pr@.9", "area", "AURC")
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for plot in plots.plots:
        for panel in plot.panels:
            for one in panel.series:
                found = {name: estimate(number) for name, number in one.numbers.items() if name in names}
                lines.setdefault((panel.label, one.name), {}).update(found)
    shown = bare_table()
    for heading in ("selection", "candidates", "Pr@.5", "Pr@.9", "absence\narea", "AURC"):
        shown.add_column(heading)
    for (label, name), numbers in lines.items():
        shown.add_row(label, name, *(numbers.get(each, "–").replace(" (", "\n(") for each in names))
    return shown
