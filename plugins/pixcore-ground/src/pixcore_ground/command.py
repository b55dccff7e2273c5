"""The command `pixcore ground`: one image, one expression, one picture."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from pixcore import config as configs
from pixcore.errors import ConfigError, DataError, StoreError
from pixcore.masks import RLE, area
from pixcore.plugins import registry
from pixcore.records import Candidate, Image, ProtocolResult, Sample, Selection
from pixcore.runs.execute import execute
from pixcore.runs.plan import Run, sees_truth
from pixcore.runs.progress import monitor_for
from pixcore.terminal import Console
from pixcore_ground.picture import ground_picture

_NAME = "image"


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("expression")
@click.option("--config", type=click.Path(path_type=Path), help="A run's config; its benchmark is not used.")
@click.option("--model", help="The model adapter, in place of the config's.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value: --set points.k=3")
@click.option("--output", type=click.Path(path_type=Path), help="The picture; IMAGE with -grounded.png by default.")
def ground(
    image: Path,
    expression: str,
    config: Path | None,
    model: str | None,
    settings: tuple[str, ...],
    output: Path | None,
) -> None:
    """Ask for EXPRESSION in IMAGE and show the phrases, their points and masks, and the chosen one.

    The config's first selection that needs no ground truth chooses; where the config has none, the default for this
    command does.
    """
    if not expression.strip():
        raise DataError("the expression is empty", hint='for example: pixcore ground photo.jpg "the cat\'s ear"')
    picture = Image.from_path(image)
    picture.pil()  # a damaged image is found before any weight is loaded
    document: dict[str, Any] = {} if config is None else configs.read_yaml(config)
    document = configs.apply_settings(document, [*([f"model={model}"] if model else []), *settings])
    document |= {"benchmark": None, "protocols": ["segment"], "control": None, "on_error": "stop"}
    if document.get("selections") is None and (chooser := registry().default_for("ground")) is not None:
        document["selections"] = [chooser]
    with tempfile.TemporaryDirectory() as store, ExitStack() as opened:
        resolved = _without_truth(configs.resolve({**document, "store": store, "output": store}, registry()))
        job = Run(resolved, samples=[Sample(_NAME, picture, expression=expression)])
        for stage in job.stages():
            opened.enter_context(stage.store)  # closed before the folder goes: not every system removes open files
        execute(job, monitor_for(Console(stderr=True, quiet=not Console(stderr=True).is_terminal)))
        (result,) = next(iter(job.results())).by_probing.values()
    strategy = next(iter(result.selections), "")
    target = output or image.with_name(f"{image.stem}-grounded.png")
    _draw(picture, expression, result, strategy, target)
    _tell(result, strategy)
    click.echo(f"picture: {target}", err=True)


def _without_truth(resolved: configs.ResolvedRun) -> configs.ResolvedRun:
    """Keep the config's first strategy that works without ground truth: here there is none."""
    strategies = resolved.components.several("selections")
    usable = tuple(one for one in strategies if not sees_truth(one))
    if strategies and not usable:
        raise ConfigError(
            "every selection strategy of the config needs the ground truth, and an image of yours has none",
            hint="name one that does not: --set 'selections=[NAME]'; they are listed by: pixcore plugins selections",
        )
    return replace(resolved, components=configs.ChosenComponents(resolved.components | {"selections": usable[:1]}))


def _draw(picture: Image, expression: str, result: ProtocolResult, strategy: str, target: Path) -> None:
    candidates, selection = result.candidates, result.selections.get(strategy)
    if selection is None:  # a model that segments by itself
        candidates, selection = _own_mask(result)
    drawn = ground_picture(
        picture, expression=expression, candidates=candidates, selection=selection, strategy=strategy
    )
    try:
        drawn.save(target, "PNG")
    except OSError as error:
        raise StoreError(f"can't write {target}: {error.strerror or error}", hint="choose another --output") from error


def _tell(result: ProtocolResult, strategy: str) -> None:
    console = Console()
    if result.response is not None:
        console.print(Text(result.response.text, style="italic"))
    selection = result.selections.get(strategy)
    table = Table(box=None, pad_edge=False)
    for column in ("", "phrase", "point (x, y)", "masks: pixels (score)"):
        table.add_column(column)
    for index, candidate in enumerate(result.candidates):
        chosen = selection is not None and selection.candidate == index
        points = ", ".join(f"({x:.0f}, {y:.0f})" for x, y in candidate.point.points) if candidate.point else ""
        table.add_row(
            "→" if chosen else "",
            Text(candidate.group.phrase if candidate.group else "", style="bold" if chosen else ""),
            points,
            _masks(candidate.masks, candidate.scores),
        )
    if result.candidates:
        console.print(table)
    if selection is not None:
        console.print(Text(f"{strategy}: {selection.outcome} {selection.reason}".strip()))


def _own_mask(result: ProtocolResult) -> tuple[tuple[Candidate, ...], Selection]:
    """A pixel-level MLLM's own mask as the one candidate."""
    mask = result.response.mask if result.response is not None else None
    if mask is None or not area(mask):
        return (), Selection.nothing("the model gave no mask")
    return (Candidate(None, None, (mask,), ()),), Selection.chosen(0, 0)


def _masks(masks: Sequence[RLE], scores: Sequence[float]) -> str:
    sizes = [area(mask) for mask in masks]
    if len(scores) != len(sizes):
        return ", ".join(map(str, sizes))
    return ", ".join(f"{size} ({score:.2f})" for size, score in zip(sizes, scores, strict=True))
