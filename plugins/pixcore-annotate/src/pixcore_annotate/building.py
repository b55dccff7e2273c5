"""The commands `pixcore benchmarks import-via` and `parse-objects`: a benchmark of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pixcore_datasets.tables import read_table

from pixcore.errors import ConfigError, DataError, PluginError
from pixcore.files import read_json
from pixcore.terminal import Console
from pixcore_annotate.objects import Question, by_rules, update_table
from pixcore_annotate.via import import_via


@click.command(name="import-via")
@click.argument("project", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="Where the images are; VIA keeps no sizes.")
@click.option("--expressions", type=click.Path(path_type=Path), help="CSV with file and expression.")
@click.option("--attribute", default="expression", show_default=True, help="VIA's attribute that holds the expression.")
def import_via_command(
    project: Path, target: Path, images: Path | None, expressions: Path | None, attribute: str
) -> None:
    """Turn a VGG Image Annotator PROJECT (JSON, CSV, or COCO export) into the benchmark folder TARGET."""
    count, said = import_via(project, target, images=images, expressions=expressions, attribute=attribute)
    console = Console(stderr=True)
    console.print(f"{target / 'annotations.json'}: {count} images, {said} with an expression", soft_wrap=True)
    if said < count:
        console.print(f"{count - said} have none and give no sample: add a table with --expressions", style="yellow")


@click.command(name="parse-objects")
@click.argument("questions", type=click.Path(path_type=Path))
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--model", help="Ask this model (pixcore-openai) in place of rules, as the paper did.")
@click.option("--base-url", help="A server of your own, such as http://localhost:8000/v1")
@click.option("--store", type=click.Path(path_type=Path), default=Path("runs/store"), help="Where answers are kept.")
def parse_objects_command(questions: Path, table: Path, model: str | None, base_url: str | None, store: Path) -> None:
    """Find the objects that QUESTIONS are about and write them to TABLE, a CSV file to be inspected; by rules, offline.

    QUESTIONS is CSV or a JSON list with id, image and question, or CV-Bench's parquet file. A corrected row of TABLE
    (its `objects` differ from `parsed`, or `checked` says anything) is never overwritten.
    """
    if model is None and base_url is not None:
        raise ConfigError("--base-url asks no model", hint="name one: --model")
    parser = by_rules if model is None else _asking(model, base_url, store)
    asked = [Question(*row) for row in _questions(questions)]
    counts = update_table(table, asked, parser=parser, source=str(questions))
    kept, unread = counts["kept"], counts["unread"]
    console = Console(stderr=True)
    console.print(f"{table}: {counts['parsed']} parsed, {kept} corrections kept, {unread} unread")


def _asking(model: str, base_url: str | None, store: Path) -> Any:
    try:
        from pixcore_openai.config import text_config
        from pixcore_openai.texts import parse_objects
    except ImportError as error:
        raise PluginError("asking a model needs pixcore-openai", hint="pip install pixcore-openai") from error
    config = text_config(model, base_url)
    return lambda texts: parse_objects(texts, config, store=store)


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
