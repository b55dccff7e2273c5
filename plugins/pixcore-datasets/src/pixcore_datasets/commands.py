"""`pixcore benchmarks`: get them, check them, build them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pixcore.components import Context
from pixcore.config import apply_settings, component_config
from pixcore.errors import DataError, PluginError
from pixcore.plugins import Kind, registry
from pixcore.terminal import Console
from pixcore_datasets.coco import read_json
from pixcore_datasets.data_files import DataFile, Fetchable, check, fetch
from pixcore_datasets.tables import read_table

_ROOT = click.option("--root", type=click.Path(path_type=Path), required=True, help="The benchmark's folder.")


@click.group()
def benchmarks() -> None:
    """Get benchmarks on real images, check them, and build your own."""


@benchmarks.command(name="fetch")
@click.argument("name")
@_ROOT
@click.option("--revision", help="A branch, tag or commit of the data sets on the hub; the newest by default.")
def fetch_command(name: str, root: Path, revision: str | None) -> int:
    """Get the pieces of benchmark NAME that are missing from --root.

    Notes revision and SHA-256 of each file in pieces.json, which `check` compares with.
    """
    console = Console(stderr=True)
    failed = fetch(root, _pieces(name), revision=revision, report=lambda line: console.print(line, highlight=False))
    for finding in failed:
        console.print(f"{finding.path}: {finding.problem}", highlight=False, soft_wrap=True)
    needed = [finding for finding in failed if not finding.optional]
    if needed:
        names = ", ".join(finding.path for finding in needed)
        raise DataError(
            f"benchmark {name}: could not get {names}", hint="get them by hand, then pixcore benchmarks check"
        )
    console.print(f"{name}: {root} has what it needs", style="bold")
    return 0


@benchmarks.command(name="check")
@click.argument("name")
@_ROOT
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the benchmark.")
def check_command(name: str, root: Path, settings: tuple[str, ...]) -> int:
    """Verify the folder of benchmark NAME: every piece, its checksum where it was fetched, and every sample."""
    console = Console()
    findings = check(root, _pieces(name))
    for finding in findings:
        state = "ok" if not finding.problem else "absent" if finding.optional else "PROBLEM"
        console.print(f"{state:8}{finding.path}{': ' + finding.problem if finding.problem else ''}", soft_wrap=True)
    problems = [finding for finding in findings if finding.problem and not finding.optional]
    if problems:
        raise DataError(f"benchmark {name}: {problems[0].path} {problems[0].problem}", hint="see the list above")
    registration = registry().get(Kind.BENCHMARK, name)
    config = component_config(registration, apply_settings({"root": str(root)}, settings), "benchmark")
    made = registration.create(config, Context())
    samples = absent = unscored = pictures = 0
    for sample in made.samples():
        samples += 1
        absent += sample.absent
        unscored += sample.mask is None or sample.expression is None
        with contextlib.suppress(DataError):
            pictures += bool(sample.image.read())
    console.print(
        f"{samples} samples, {absent} with an empty mask, {unscored} not scored for grounding, {pictures} images there"
    )
    for note in getattr(made, "notes", ()):
        console.print(note, soft_wrap=True)
    return 0


@benchmarks.command(name="import-via")
@click.argument("project", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="Where the images are; VIA keeps no sizes.")
@click.option("--expressions", type=click.Path(path_type=Path), help="CSV with file and expression.")
@click.option("--attribute", default="expression", show_default=True, help="VIA's attribute that holds the expression.")
def import_via_command(
    project: Path, target: Path, images: Path | None, expressions: Path | None, attribute: str
) -> None:
    """Turn a VGG Image Annotator PROJECT (JSON, CSV, or COCO export) into the benchmark folder TARGET."""
    _annotate()
    from pixcore_annotate.via import import_via

    count, said = import_via(project, target, images=images, expressions=expressions, attribute=attribute)
    console = Console(stderr=True)
    console.print(f"{target / 'annotations.json'}: {count} images, {said} with an expression", soft_wrap=True)
    if said < count:
        console.print(f"{count - said} have none and give no sample: add a table with --expressions", style="yellow")


@benchmarks.command(name="parse-objects")
@click.argument("questions", type=click.Path(path_type=Path))
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--model", help="Ask this model (pixcore-openai) in place of rules, as the paper did.")
@click.option("--base-url", help="A server of your own, such as http://localhost:8000/v1")
@click.option("--store", type=click.Path(path_type=Path), default=Path("runs/store"), help="Where answers are kept.")
def parse_objects_command(questions: Path, table: Path, model: str | None, base_url: str | None, store: Path) -> None:
    """Find the objects that QUESTIONS are about into TABLE, a CSV file to be inspected; by rules, offline.

    QUESTIONS is CSV or a JSON list with id, image and question, or CV-Bench's parquet file. A corrected row of TABLE
    (its `objects` differ from `parsed`, or `checked` says anything) is never overwritten.
    """
    _annotate()
    from pixcore_annotate.objects import Question, by_rules, update_table

    parser = by_rules if model is None else _asking(model, base_url, store)
    counts = update_table(table, [Question(*row) for row in _questions(questions)], parser=parser)
    kept, unread = counts["kept"], counts["unread"]
    console = Console(stderr=True)
    console.print(f"{table}: {counts['parsed']} parsed, {kept} corrections kept, {unread} unread")


def _asking(model: str, base_url: str | None, store: Path) -> Any:
    try:
        from pixcore_openai.config import TextConfig
        from pixcore_openai.texts import parse_objects
    except ImportError as error:
        raise PluginError("asking a model needs pixcore-openai", hint="pip install pixcore-openai") from error
    return lambda texts: parse_objects(texts, TextConfig(model=model, base_url=base_url), store=store)


def _questions(path: Path) -> Iterator[tuple[str, str, str]]:
    if path.suffix == ".parquet":
        try:
            from pixcore_pixcvbench.questions import read_questions
        except ImportError as error:
            raise PluginError("CV-Bench's parquet needs pixcore-pixcvbench", hint="pip install it") from error
        for name, question in read_questions(path).items():
            yield str(question.row), name, question.text
        return
    if path.suffix == ".csv":
        rows: list[dict[str, Any]] = [dict(row) for row in read_table(path, ("id", "image", "question"))]
    else:
        document = read_json(path)
        rows = document if isinstance(document, list) else []
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not {"id", "image", "question"} <= row.keys():
            raise DataError(f"{path}: question {number} lacks id, image or question", hint="every question needs them")
        yield str(row["id"]).strip(), str(row["image"]).strip(), str(row["question"])


def _pieces(name: str) -> list[DataFile]:
    component: Any = registry().get(Kind.BENCHMARK, name).component_class
    if not isinstance(component, Fetchable):
        raise DataError(f"the benchmark {name!r} has no files to get", hint="it is made as it is read")
    return list(component.data_files())


def _annotate() -> None:
    try:
        import pixcore_annotate  # noqa: F401
    except ImportError as error:
        raise PluginError("building benchmarks needs pixcore-annotate", hint="pip install pixcore-annotate") from error
