"""The command `pixcore verify`: a model on ten fixed images, and a report to send to who wrote its plugin."""

from __future__ import annotations

from pathlib import Path

import click

from pixcore.components import Context, ModelConfig
from pixcore.config import ChosenComponent, apply_settings, component_config
from pixcore.errors import StoreError
from pixcore.files import prepare, printable, write_json
from pixcore.plugins import Kind, registry
from pixcore.records import Fidelity
from pixcore_testing.verification import Case, read_expectations, report, run_cases, stored_expectations


@click.command()
@click.argument("name")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the model: --set dtype=float32"
)
@click.option(
    "--fidelity",
    type=click.Choice([one.value for one in Fidelity]),
    default=Fidelity.CORRECTED.value,
    help="Whose rules; corrected by default.",
)
@click.option(
    "--expect", type=click.Path(path_type=Path), help="A report to compare with, in place of the plugin's own."
)
@click.option("--output", type=click.Path(path_type=Path), help="The report; NAME-verified.json by default.")
def verify(name: str, settings: tuple[str, ...], fidelity: str, expect: Path | None, output: Path | None) -> int:
    """Ask the model NAME about ten fixed images and compare with what is expected of it.

    It downloads the weights that the model needs. Exit status 1 when a text or mask differs from an expectation.
    """
    registration = registry().get(Kind.MODEL, name)
    target = output or Path(f"{name}-verified.json")
    part = ChosenComponent(registration, component_config(registration, apply_settings({}, settings), "model"))
    context = Context(fidelity=Fidelity(fidelity))
    expected = read_expectations(expect) if expect else stored_expectations(part, context.fidelity)
    if target.is_dir():
        raise StoreError(f"{target} is a folder", hint="--output names the report's file")
    prepare(target.parent, "--output")
    adapter = part.create(context)
    prompts = part.config.prompts if isinstance(part.config, ModelConfig) else {}
    cases: list[Case] = []
    try:
        for case in run_cases(adapter, prompts, expected):
            cases.append(case)
            click.echo(_line(case))
    finally:
        adapter.close()
    write_json(target, report(part, context, cases), "--output")
    click.echo(_summary(name, cases))
    click.echo(f"report: {target}", err=True)
    return 1 if any(case.agrees is False for case in cases) else 0


def _line(case: Case) -> str:
    verdict = {True: "same", False: "OTHER", None: ""}[case.agrees]
    mask = "" if case.iou is None else f"IoU {case.iou:.2f}"
    text = printable(" ".join(case.text.split()))
    return f"{verdict:5} {case.name:34} {mask:8} {case.seconds:6.1f} s  {text[:80]}".rstrip()


def _summary(name: str, cases: list[Case]) -> str:
    compared = [case for case in cases if case.agrees is not None]
    if not compared:
        return f"{name}: {len(cases)} answers, no expectations; send the report to the plugin's authors"
    same = sum(case.agrees is True for case in compared)
    return f"{name}: {same} of {len(compared)} answers as expected"
