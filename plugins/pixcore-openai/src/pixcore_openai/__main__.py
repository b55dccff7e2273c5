"""The command `python -m pixcore_openai concepts PHRASES.csv LETTERS.csv`: concepts for `pixcore emergence`."""

from __future__ import annotations

import csv
from pathlib import Path

import click
from pixcore_datasets.tables import read_table

from pixcore.errors import DataError, PixcoreError, UserError
from pixcore.files import replacing
from pixcore_openai.config import text_config
from pixcore_openai.texts import answer_concepts


@click.group()
def main() -> None:
    """Ask a language model about text."""


@main.command()
@click.argument("phrases", type=click.Path(path_type=Path))
@click.argument("letters", type=click.Path(path_type=Path))
@click.option("--model", default="gpt-4o", show_default=True)
@click.option("--base-url", help="A server of your own, such as http://localhost:8000/v1")
@click.option("--store", type=click.Path(path_type=Path), default=Path("runs/store"), show_default=True)
def concepts(phrases: Path, letters: Path, model: str, base_url: str | None, store: Path) -> None:
    """Ask what the noun phrases in PHRASES are about, and write their letters.

    PHRASES is the phrases.csv of `pixcore emergence` (columns sample_id and prompt, and model, which tells several
    runs' phrases apart); LETTERS is what its --judged reads. A phrase without a readable answer gets no letters.
    """
    rows = read_table(phrases, ("sample_id", "prompt"))
    questions = [row["prompt"] for row in rows]
    found = answer_concepts(questions, text_config(model, base_url), store=store)
    names = [name for name in ("model", "sample_id") if all(name in row for row in rows)]
    failed = 0
    errors: list[Exception] = []
    with replacing(letters) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, "letters"])
        for row, outcome in zip(rows, found, strict=True):
            if isinstance(outcome, UserError) and not isinstance(outcome, DataError):
                raise outcome
            failed += outcome is None or isinstance(outcome, Exception)
            errors += [outcome] if isinstance(outcome, Exception) else []
            named = "" if outcome is None or isinstance(outcome, Exception) else ", ".join(outcome)
            writer.writerow([*(row[name] for name in names), named])
    click.echo(f"{len(rows)} phrases, {failed} without an answer: {letters}")
    if errors:
        click.echo(f"{len(errors)} of the calls failed, the first: {errors[0]}; run again for these", err=True)


if __name__ == "__main__":
    try:
        main(standalone_mode=True)
    except PixcoreError as error:
        raise SystemExit(f"pixcore_openai: {error}") from None
