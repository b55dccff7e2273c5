"""The command `pixcore benchmarks export`: any benchmark becomes a folder of pictures, mask files and a table.

What it writes is what the benchmark `folder` reads, so that it is an example to put pictures of one's own in place of.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from string import ascii_uppercase

import click
from PIL import Image as PILImage
from pixcore_datasets.options import benchmark_config

from pixcore import masks
from pixcore.commands.run import limit_option
from pixcore.components import Context
from pixcore.errors import DataError
from pixcore.files import prepare, replacing, written_beside
from pixcore.plugins import Kind, registry
from pixcore.records import Sample
from pixcore_folder.columns import answers_meant, meaning
from pixcore_folder.pictures import free_stem, stem_of, write_picture

_COLUMNS = ("id", "image", "mask", "expression", "question", "options", "answer", "pair")

_CONFIG = """\
# pixcore run {path}
benchmark:
  name: folder
  root: {root}
  categories: {categories}
model: mini                  # yours: {{name: transformers, checkpoint: Qwen/Qwen2.5-VL-3B-Instruct, dtype: bfloat16}}
selections: [oracle, phrase-overlap]
output: runs/{name}
"""


@click.command(name="export")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@limit_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the benchmark.")
def export_command(name: str, folder: Path, root: Path | None, limit: int | None, settings: tuple[str, ...]) -> int:
    """Write the samples of benchmark NAME to FOLDER: images/, masks/, samples.csv, and run.yaml to run them.

    The benchmark `folder` reads it: put pictures, masks and rows of your own in their place.
    """
    registration = registry().get(Kind.BENCHMARK, name)
    config = benchmark_config(registration, root, settings)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there and not empty", hint="choose a new folder")
    written = write_folder(islice(registration.create(config, Context()).samples(), limit), folder)
    click.echo(f"wrote {written} samples of {name} to {folder}: images/, masks/, samples.csv, and run.yaml; next:")
    click.echo(f"  pixcore run {shlex.quote(str(folder / 'run.yaml'))}")
    return 0


def write_folder(samples: Iterable[Sample], folder: Path) -> int:
    """Write samples as the benchmark `folder` reads them; how many there were comes back."""
    for name in ("images", "masks"):
        prepare(folder / name, "FOLDER")
    rows: list[dict[str, str]] = []
    categories: dict[str, None] = {}
    taken: set[str] = set()
    for sample in samples:
        stem = _own_stem(sample.id, taken)
        picture = write_picture(sample.image, folder / "images", stem, "FOLDER")
        if sample.mask is not None:
            _write_mask(masks.decode(sample.mask), folder / "masks" / f"{stem}.png")
        own = {_column(name): str(value) for name, value in sample.categories.items()}
        categories.update(dict.fromkeys(own))
        rows.append(_row(sample, stem, picture, own))
    columns = [name for name in (*_COLUMNS, *categories) if any(row.get(name) for row in rows)]
    with replacing(folder / "samples.csv", "FOLDER", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    listed = [name for name in categories if name in columns and name != "category"]
    with replacing(folder / "run.yaml", "FOLDER") as file:
        # JSON is YAML
        file.write(
            _CONFIG.format(
                path=shlex.quote(str(folder / "run.yaml")),
                root=json.dumps(str(folder), ensure_ascii=False),
                categories=json.dumps(listed, ensure_ascii=False),
                name=re.sub(r"\W+", "-", folder.resolve().name).strip("-") or "mine",
            )
        )
    return len(rows)


def _own_stem(name: str, taken: set[str]) -> str:
    """A sample's name as its files', and take it; one that can't stay as it is is never another sample's own."""
    stem = stem_of(name)
    if stem != name or stem.lower() in taken:
        stem = f"{stem}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
    return free_stem(stem, taken)


def _column(category: str) -> str:
    """A category's column, which is not to be taken for one that means something else."""
    return f"{category} (category)" if meaning(category) not in (None, "category") else category


def _row(sample: Sample, stem: str, picture: str, categories: Mapping[str, str]) -> dict[str, str]:
    plain = len(sample.options) != 1 and not any("|" in one or one.lstrip().startswith("[") for one in sample.options)
    options = " | ".join(sample.options) if plain else json.dumps(list(sample.options), ensure_ascii=False)
    answer = sample.answer
    said = (sample.options[answer], ascii_uppercase[answer], str(answer)) if answer is not None else ("",)
    return {
        **categories,
        "id": sample.id if sample.id != stem else "",
        "image": picture,
        "mask": f"{stem}.png" if sample.id != stem and sample.mask is not None else "",
        "expression": sample.expression or "",
        "question": sample.question or "",
        "options": options,
        "answer": next((one for one in said if answers_meant(one, sample.options) == {answer}), said[-1]),
        "pair": sample.pair or "",
    }


def _write_mask(mask: masks.Mask, path: Path) -> None:
    with written_beside(path, "FOLDER") as beside:
        PILImage.fromarray(mask).save(beside, "PNG")
