"""Ground one expression in one image: ask the model, mine masks from its attention, choose one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore import config as configs
from pixcore.errors import ConfigError, DataError, PixcoreError, SampleError
from pixcore.masks import area
from pixcore.plugins import registry
from pixcore.records import Candidate, Image, ProtocolResult, Response, Sample, SampleResult, Selection
from pixcore.runs.execute import StoppingMonitor, execute
from pixcore.runs.plan import Run
from pixcore.stages.answer import Loader
from pixcore.stages.base import Item, Monitor

_NAME = "image"
NOTICE = "notice"
"""The key of `Response.extra` under which a model says what a reader of its answer has to know."""


@dataclass(frozen=True, eq=False)
class Grounded:
    """What was found of an expression in an image.

    Attributes:
        image: The picture.
        expression: What was asked for.
        model: The model's name.
        strategy: The name of the strategy that chose; empty where the model segments by itself.
        response: What the model said.
        candidates: What was chosen from; of a model that segments by itself, its own mask.
        selection: The choice.
        maps: Where the model looked at each token, as the transforms leave it, (tokens, cells); None where none are.
    """

    image: Image
    expression: str
    model: str
    strategy: str
    response: Response
    candidates: tuple[Candidate, ...]
    selection: Selection
    maps: NDArray[np.float32] | None = None

    @property
    def chosen(self) -> Candidate | None:
        """The chosen candidate; None where none was."""
        place = self.selection.candidate
        return self.candidates[place] if self.selection.outcome == "chosen" and place is not None else None

    @property
    def notice(self) -> str:
        """What the model says that a reader of its answer has to know; mostly nothing."""
        return str(self.response.extra.get(NOTICE, ""))


def ground(
    image: Image,
    expression: str,
    document: Mapping[str, Any],
    monitor: Monitor,
    loader_for: Callable[[Run], Loader] | None = None,
) -> Grounded:
    """Ask for an expression in an image, and choose among the masks that were mined.

    The config's first selection that needs no ground truth chooses; where it names none, the default for this does.

    Args:
        image: The picture.
        expression: What is asked for, such as "the cat's ear".
        document: A run's config; its benchmark is not used, and nothing is left in its folders.
        monitor: Is told how it goes on.
        loader_for: Gives the model's loader, for whoever keeps one loaded; left out: the run's own, which frees it.

    Raises:
        DataError: The image can't be read, or nothing is asked for.
        ConfigError: The config is none, or no strategy of it works without a ground truth.
        SampleError: The model or what follows failed.
    """
    if not expression.strip():
        raise DataError("the expression is empty", hint='say what to look for, such as "the cat\'s ear"')
    sample = Sample(_NAME, image, expression=expression)
    job, result = probe(sample, "segment", document, monitor, loader_for, most=1)
    (found,) = result.by_probing.values()
    return _grounded(image, expression, job, found)


def probe(
    sample: Sample,
    probing: str,
    document: Mapping[str, Any],
    monitor: Monitor,
    loader_for: Callable[[Run], Loader] | None = None,
    *,
    store: Path | None = None,
    most: int | None = None,
) -> tuple[Run, SampleResult]:
    """Take one sample that has no ground truth through the pipeline that a config describes.

    Args:
        sample: What is shown and asked.
        probing: How it is asked: "segment" for an expression, "question" for a question.
        document: A run's config; its benchmark is not used, and nothing is left in its folders.
        monitor: Is told how it goes on.
        loader_for: Gives the model's loader, for whoever keeps one loaded; left out: the run's own, which frees it.
        store: Keeps the records, so that what is asked again is not computed again; left out: nothing is kept.
        most: How many of the config's strategies choose, in its order; left out: all that need no ground truth.

    Returns:
        The run, over, and what came of the sample.

    Raises:
        DataError: The image can't be read.
        ConfigError: The config is none, or no strategy of it works without a ground truth.
        SampleError: The model or what follows failed.
    """
    sample.image.pil()  # a damaged image is found before any weight is loaded
    own = {**document, "benchmark": None, "protocols": [probing], "control": None, "on_error": "record"}
    if not own.get("selections") and (chooser := registry().default_for("ground")) is not None:
        own["selections"] = [chooser]
    with ExitStack() as opened:
        folder = str(store or opened.enter_context(tempfile.TemporaryDirectory()))
        resolved = _without_truth(configs.resolve({**own, "store": folder, "output": folder}, registry()), most)
        job = Run(resolved, samples=[sample])
        if loader_for is not None:
            job.loader = loader_for(job)
            job.context = replace(job.context, model=job.loader)
        for stage in job.stages():
            opened.callback(stage.store.close)  # closed before the folder goes: not every system removes open files
        execute(job, _FirstFailure(monitor))
        result = next(iter(job.results()))
        if (failure := next((one.error for one in result.by_probing.values() if one.error), None)) is not None:
            raise SampleError(f"sample {sample.id} ({probing}) {failure}")
        return job, result


class _FirstFailure(StoppingMonitor):
    """Stops at the first failure, as a run does, and promises nothing of a run: none goes on without the sample."""

    def __init__(self, display: Monitor) -> None:
        super().__init__("stop", display)

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        """Raise it, with where it was."""
        try:
            super().failed(stage, item, error)
        except PixcoreError as told:
            told.hint = ""
            raise


def transformed_maps(job: Run, response: Response | None) -> NDArray[np.float32] | None:
    """Give the map of each token as the run's transforms leave it, (tokens, cells); None where there are none."""
    if response is None or response.maps is None or response.layout is None:
        return None
    maps: NDArray[np.float32] = response.maps
    for transform in job.resolved.components.several("transforms"):
        maps = transform.create(job.context).transform(maps, response.layout, response.reference)
    return maps


def _without_truth(resolved: configs.ResolvedRun, most: int | None) -> configs.ResolvedRun:
    """Keep the config's first strategies that work without ground truth: here there is none."""
    strategies = resolved.components.several("selections")
    usable = tuple(one for one in strategies if not one.says("uses_ground_truth"))
    if strategies and not usable:
        raise ConfigError(
            "every selection strategy of the config needs the ground truth, and an image of yours has none",
            hint="name one that does not: --set 'selections=[NAME]'; they are listed by: pixcore plugins selections",
        )
    return replace(resolved, components=configs.ChosenComponents(resolved.components | {"selections": usable[:most]}))


def _grounded(image: Image, expression: str, job: Run, result: ProtocolResult) -> Grounded:
    response, model = result.response or Response(""), job.resolved.components.one("model").name
    maps = transformed_maps(job, response)
    for strategy, selection in result.selections.items():
        return Grounded(image, expression, model, strategy, response, result.candidates, selection, maps)
    if response.mask is None or not area(response.mask):
        nothing = Selection.nothing("the model gave no mask")
        return Grounded(image, expression, model, "", response, (), nothing, maps)
    own = Candidate(None, None, (response.mask,), ())
    return Grounded(image, expression, model, "", response, (own,), Selection.chosen(0, 0), maps)
