"""The command `pixcore ground`: one image, one expression, one picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from pixcore import config as configs
from pixcore.commands.run import figures_written, json_option
from pixcore.errors import ConfigError
from pixcore.files import prepare, written_beside
from pixcore.masks import RLE, area
from pixcore.plugins import registry
from pixcore.records import Image, PointPrompt
from pixcore.runs.progress import display_for
from pixcore.terminal import Console
from pixcore_ground.grounded import Grounded
from pixcore_ground.grounded import ground as ground_in
from pixcore_ground.picture import ground_picture


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("expression")
@click.option("--config", type=click.Path(path_type=Path), help="A run's config; its benchmark is not used.")
@click.option("--model", help="The model adapter, in place of the config's.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value: --set points.k=3")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The picture, a PNG; IMAGE with -grounded.png by default.",
)
@json_option
def ground(
    image: Path,
    expression: str,
    config: Path | None,
    model: str | None,
    settings: tuple[str, ...],
    output: Path | None,
    written: Path | None,
) -> None:
    """Ask for EXPRESSION in IMAGE and show the phrases, their points and masks, and the chosen one.

    The picture has the mask beside the attention that it was mined from, the model's answer below them, and the other
    candidates. The config's first selection that needs no ground truth chooses; where the config has none, the default
    for this command does.
    """
    if output is not None and output.suffix.lower() != ".png":
        raise ConfigError(f"--output {output}: the picture is written as PNG", hint="a name that ends in .png")
    document: dict[str, Any] = {} if config is None else configs.read_yaml(config)
    document = configs.apply_settings(document | ({} if model is None else {"model": model}), settings)
    messages = Console(stderr=True)
    messages.quiet = not messages.is_terminal
    picture = Image.from_path(image)
    picture.pil()  # what can't be read, or written beside, is found before any model is asked
    target = output or image.with_name(f"{image.stem}-grounded.png")
    taken = {os.path.realpath(image): "that is the image itself"}
    for option, path in (("--output", target), ("--json", written)):
        if path is not None and str(path) != "-":
            if os.path.realpath(path) in taken:
                raise ConfigError(f"{option} {path}: {taken[os.path.realpath(path)]}", hint="choose another name")
            if path.is_dir():
                raise ConfigError(f"{option} {path}: that is a folder", hint="name a file")
            prepare(path.parent, option)
            taken[os.path.realpath(path)] = "the picture is written there"
    found = ground_in(picture, expression, document, display_for(messages, registry()))
    with written_beside(target, "--output") as beside:
        ground_picture(found).save(beside, "PNG")
    if not figures_written(written, lambda: _document(found)):
        _tell(found)
    click.echo(f"picture: {target}", err=True)


def _document(found: Grounded) -> dict[str, Any]:
    """What was found, as data: masks as COCO run lengths, and what each candidate's were made of."""
    candidates = [
        {
            "phrase": one.group.phrase if one.group else None,
            **_prompt(one.point),
            "masks": list(one.masks),
            "scores": [float(score) for score in one.scores],
        }
        for one in found.candidates
    ]
    choice = {"strategy": found.strategy or None, **asdict(found.selection)}
    named = {"expression": found.expression, "model": found.model, "text": found.response.text}
    return {**named, "choice": choice, "candidates": candidates}


def _prompt(prompt: PointPrompt | None) -> dict[str, Any]:
    """Points (label 1: of the object, 0: not) and box in pixels, the text in their place, further places likewise."""
    return {
        "points": prompt.points.tolist() if prompt else [],
        "labels": prompt.labels.tolist() if prompt else [],
        "box": prompt.box if prompt else None,
        "text": prompt.text if prompt else None,
        "also": [_prompt(other) for other in prompt.also] if prompt else [],
    }


def _tell(found: Grounded) -> None:
    console = Console()
    console.print(Text(found.response.text, style="italic"))
    table = Table(box=None, pad_edge=False)
    for column in ("", "phrase", "point (x, y)", "masks: pixels (score)"):
        table.add_column(column)
    for candidate in found.candidates if found.strategy else ():
        chosen = candidate is found.chosen
        table.add_row(
            "→" if chosen else "",
            Text(candidate.group.phrase if candidate.group else "", style="bold" if chosen else ""),
            ", ".join(_places(candidate.point)) if candidate.point else "",
            _masks(candidate.masks, candidate.scores),
        )
    if table.rows:
        console.print(table)
    if found.strategy or found.chosen is None:
        said = ", ".join(filter(None, (found.selection.outcome, found.selection.reason)))
        console.print(Text(f"{found.strategy or found.model}: {said}"))


def _places(prompt: PointPrompt) -> Iterator[str]:
    """Where a generator was told to look, and where not."""
    for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
        yield f"{'' if label else 'not '}({x:.0f}, {y:.0f})"
    if prompt.box is not None:
        yield "box ({:.0f}, {:.0f}) to ({:.0f}, {:.0f})".format(*prompt.box)
    for other in prompt.also:
        yield from _places(other)


def _masks(masks: Sequence[RLE], scores: Sequence[float]) -> str:
    sizes = [area(mask) for mask in masks]
    if len(scores) != len(sizes):
        return ", ".join(map(str, sizes))
    return ", ".join(f"{size} ({score:.2f})" for size, score in zip(sizes, scores, strict=True))
