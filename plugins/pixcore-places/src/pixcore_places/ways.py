"""The command `pixcore ways`: what each model grounds by attention, by pointing and by a specialist, on one page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.table import Table

from pixcore.commands.run import carry_out, figures_written, json_option, limit_option
from pixcore.config import apply_settings, read_yaml, resolve
from pixcore.errors import ConfigError, PixcoreError, one_line
from pixcore.files import prepare, replacing
from pixcore.plugins import registry
from pixcore.runs.plan import Run, Scope
from pixcore.terminal import Console


@dataclass(frozen=True)
class Line:
    """One row of one run: how well one model grounds in one way.

    Attributes:
        model: The config's name.
        way: What the file of ways calls it.
        row: The row's label.
        probing: Under which probing, by its figure.
        value: mIoU in percent; None where nothing was measured.
        low: The lower end of its interval, where there is one.
        high: The upper end.
        n: Samples that it counts.
        masks: Masks to choose from, a sample; None where there is no choice.
        control: Whether it is a matched control.
        bound: Whether it knows the ground truth.
    """

    model: str
    way: str
    row: str
    probing: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    masks: float | None
    control: bool
    bound: bool


def lines_of(summary: Mapping[str, Any], model: str, way: str) -> Iterator[Line]:
    """List the rows of a run's summary with each mean IoU that was measured."""
    for row in summary["rows"]:
        for name, figure in row["figures"].items():
            if name.split(" ")[0] in ("M", "M†") and figure["value"] is not None and name in _main(summary):
                spread = {key: figure[key] for key in ("value", "low", "high", "n")}
                about = {"masks": row["masks"], "control": row["control"], "bound": bool(row["uses_ground_truth"])}
                yield Line(model, way, row["label"], name, **spread, **about)


def _main(summary: Mapping[str, Any]) -> set[str]:
    return {"M", "M†", *(f"M {name}" for name in summary["own_probings"])}


@click.command()
@click.argument("configs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--ways", "file", required=True, type=click.Path(path_type=Path), help="YAML: a part of a config by name."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder of runs and of ways.html.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value of every run.")
@limit_option
@json_option
def ways(
    configs: Sequence[Path],
    file: Path,
    out: Path,
    settings: tuple[str, ...],
    limit: int | None,
    written: Path | None,
) -> int:
    """Run each CONFIG in every way that a file lists, and set their rows side by side on one page.

    A way is a part of a config, put over CONFIG's own. A way that a model has not (PaliGemma writes no points) is left
    out and named; so is one whose run ends in an error, which the exit status says.
    """
    found: list[Line] = []
    left_out: list[str] = []
    status = 0
    messages = Console(stderr=True)
    listed = read_yaml(file, "file of ways")
    names = [config.stem for config in configs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two configs are called {twice[0]}", hint="rename one: its runs and rows bear its name")
    if odd := [way for way, part in listed.items() if not isinstance(part, Mapping)]:
        raise ConfigError(f"{file}: {odd[0]} is no part of a config", hint="such as {protocols: [point]}")
    for name, own in [(config.stem, read_yaml(config)) for config in configs]:
        for way, part in listed.items():
            output = out / name / str(way)
            document = apply_settings({**own, **part}, settings)
            messages.print(f"{name}, {way}", style="bold", highlight=False)
            try:
                resolved = resolve({**document, "output": str(output)}, registry())
                prepare(resolved.config.output)
                status = max(status, carry_out(Run(resolved, Scope(limit)), messages, Console(stderr=True)))
            except PixcoreError as error:
                status = status if isinstance(error, ConfigError) else max(status, error.exit_status)
                left_out.append(f"{name}, {way}: {error.message}")
                messages.print(f"left out: {error.message}", style="yellow", highlight=False)
                continue
            summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
            found += lines_of(summary, name, str(way))
    write(out, found, left_out)
    if not figures_written(written, lambda: _document(found, left_out)):
        _show(found)
    messages.print(f"page: {out / 'ways.html'}", highlight=False)
    return status


def write(out: Path, found: Sequence[Line], left_out: Sequence[str]) -> None:
    """Write `ways.json` and `ways.html` into a folder."""
    with replacing(out / "ways.json") as file:
        json.dump(_document(found, left_out), file, indent=1)
    environment = Environment(
        loader=PackageLoader("pixcore_places"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    models = {
        model: [line for line in found if line.model == model] for model in dict.fromkeys(one.model for one in found)
    }
    page = environment.get_template("ways.html").render(models=models, left_out=left_out)
    with replacing(out / "ways.html") as file:
        file.write(page)


def _document(found: Sequence[Line], left_out: Sequence[str]) -> dict[str, Any]:
    return {"rows": [asdict(line) for line in found], "left_out": list(left_out)}


def _show(found: Sequence[Line]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("model", "way", "row", "figure"):
        table.add_column(name)
    for name in ("mIoU", "95 %", "n", "masks"):
        table.add_column(name, justify="right")
    for line in found:
        value = "–" if line.value is None else f"{line.value:.1f}"
        spread = "" if line.low is None or line.high is None else f"{line.low:.1f} to {line.high:.1f}"
        masks = "" if line.masks is None else f"{line.masks:.1f}"
        label = one_line(line.row) + (" (upper bound)" if line.bound else "")
        table.add_row(line.model, line.way, label, line.probing, value, spread, str(line.n), masks)
    Console().print(table)
