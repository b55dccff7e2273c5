"""Maps of an answer's tokens, under transforms and of layers and heads that one picks; masks of points."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_attention.raw import file_name
from pixcore_emergence.layers import kept_rows
from pixcore_report.payload import ShownMaps

from pixcore import masks
from pixcore.components import MapTransform, MaskGenerator
from pixcore.config import ChosenComponent, component_config
from pixcore.errors import DataError
from pixcore.plugins import Kind, registry
from pixcore.records import PointPrompt, Response, Sample
from pixcore_explorer.opened import OpenedRun

Floats = NDArray[np.float32]

_GRID = 48
_MOST_POINTS = 32


@dataclass(frozen=True)
class Reading:
    """Which maps of an answer are looked at.

    Attributes:
        sample: The sample's id.
        probing: The probing.
        transforms: Names of transforms; None: the run's own.
        layer: The place of one of the layers whose rows were kept; None: their mean.
        head: Likewise of one head.
    """

    sample: str
    probing: str
    transforms: tuple[str, ...] | None = None
    layer: int | None = None
    head: int | None = None

    @classmethod
    def of(cls, sample: str, given: Any) -> Reading:
        """Read what a page asks for.

        Raises:
            DataError: It asks for something else.
        """
        if not isinstance(given, dict) or not isinstance(given.get("probing"), str):
            raise DataError("a reading names its probing", hint='{"probing": "segment"}')
        names = given.get("transforms")
        if names is not None and not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
            raise DataError("transforms are a list of names", hint="or null for the run's own")
        places = [given.get(word) for word in ("layer", "head")]
        if not all(one is None or (_is_place(one) and one >= 0) for one in places):
            raise DataError("a layer and a head are counted from 0", hint="or null for their mean")
        return cls(sample, given["probing"], None if names is None else tuple(names), *places)


class Looking:
    """Reads maps of a run's answers, and makes masks with the run's own generator.

    Args:
        run: The run.
    """

    def __init__(self, run: OpenedRun) -> None:
        self._run = run
        self._generator: tuple[ChosenComponent, MaskGenerator[Any]] | None = None
        self._generating = threading.Lock()

    def choices(self) -> dict[str, Any]:
        """Say which transforms there are, and which the run itself has."""
        own = [part.name for part in self._run.job.resolved.components.several("transforms")]
        return {"transforms": sorted(one.name for one in registry().all(Kind.TRANSFORMS)), "own": own}

    def maps(self, reading: Reading) -> dict[str, Any]:
        """Give the map of every token of an answer.

        Returns:
            "grid": [rows, cols, x0, y0, x1, y1] in the image; "maps": for each token its least and largest value and
            its cells between them, a byte each, in base64; "layers" and "heads": how many of each were kept.
        """
        sample, response, rows = self._answer(reading)
        shown = ShownMaps.of_response(response, sample.image.size, _GRID)
        if shown is None or response.maps is None:
            return {"grid": None, "maps": [], "layers": 0, "heads": 0}
        found = self._transformed(reading, response, self._picked(reading, response, rows))
        layers, heads = rows.shape[1:3] if rows is not None else (0, 0)
        return {
            "grid": [shown.grid.rows, shown.grid.cols, *shown.grid.box],
            "maps": [shown.packed(one) for one in found],
            "layers": layers,
            "heads": heads,
        }

    def matrix(self, reading: Reading, tokens: Sequence[int]) -> dict[str, Any]:
        """Give the mean map of some tokens at every layer and head whose rows were kept, each between its own ends.

        Raises:
            DataError: None were kept.
        """
        sample, response, rows = self._answer(reading)
        shown = ShownMaps.of_response(response, sample.image.size, _GRID)
        if rows is None or shown is None:
            raise DataError("the run kept no rows of layers and heads", hint="extractor: {name: raw, folder: ROWS}")
        chosen = _known(tokens, response)
        cells = []
        for layer in range(rows.shape[1]):
            line = []
            for head in range(rows.shape[2]):
                own = np.asarray(rows[:, layer, head], np.float32)
                line.append(shown.of(self._transformed(reading, response, own)[chosen].mean(axis=0)))
            cells.append(line)
        return {"grid": [shown.grid.rows, shown.grid.cols, *shown.grid.box], "cells": cells}

    def masks(self, reading: Reading, given: Any) -> dict[str, Any]:
        """Make masks with the run's own generator: of points, or where the map of some tokens has its peak.

        Args:
            reading: Of which answer.
            given: {"points": [[x, y, label], …]} or {"tokens": […]}.

        Returns:
            "point", as a candidate's; "masks", "scores", and "ious" where there is a ground truth.

        Raises:
            DataError: It is neither, or the run has no generator.
        """
        sample, response, rows = self._answer(reading)
        prompt = self._prompt(reading, given, sample, response, rows)
        job = self._run.job
        if job.resolved.components["masks"] is None:
            raise DataError("the run has no mask generator", hint="masks: in its config")
        chosen = job.resolved.components.one("masks")
        with self._generating:
            if self._generator is None or not self._generator[0].same_as(chosen):
                self._generator = chosen, chosen.create(job.context)
            (proposal,) = self._generator[1].segment(sample.image, [prompt])
        found = masks.encode_many(proposal.masks, proposal.size)
        truth = None if sample.mask is None or sample.absent else sample.mask
        ious = None if truth is None else [round(float(one), 4) for one in masks.iou(found, [truth])[:, 0]]
        at = [[float(x), float(y), int(sign)] for (x, y), sign in zip(prompt.points, prompt.labels, strict=True)]
        return {
            "point": {"at": at, "box": None if prompt.box is None else [float(one) for one in prompt.box]},
            "masks": [one["counts"] for one in found],
            "scores": [float(one) for one in proposal.scores],
            "ious": ious,
        }

    def _prompt(
        self, reading: Reading, given: Any, sample: Sample, response: Response, rows: NDArray[Any] | None
    ) -> PointPrompt:
        if isinstance(given, dict) and isinstance(given.get("tokens"), list):
            chosen = _known(given["tokens"], response)
            if response.layout is None:
                raise DataError("the answer has no maps", hint="its points can be set by hand")
            found = self._transformed(reading, response, self._picked(reading, response, rows))
            selector = self._run.job.resolved.components.one("points").create(self._run.job.context)
            selected: PointPrompt = selector.select(
                response.layout.to_image(found[chosen].mean(axis=0), sample.image.size)
            )
            return selected
        points = given.get("points") if isinstance(given, dict) else None
        width, height = sample.image.size
        try:
            array = np.asarray(points, np.float64).reshape(-1, 3)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError("points are [x, y, label] each", hint="label 1 inside, 0 outside") from error
        inside = np.isfinite(array).all() and (array[:, :2] >= 0).all() and (array[:, :2] <= (width, height)).all()
        if not 0 < len(array) <= _MOST_POINTS or not inside:
            raise DataError(
                f"1 to {_MOST_POINTS} points inside the image are expected", hint=f"{width}x{height} pixels"
            )
        if not (array[:, 2] > 0).any():
            raise DataError("no point is inside of the object", hint="set one there first")
        return PointPrompt(array[:, :2].astype(np.float32), (array[:, 2] > 0).astype(np.int8))

    def _answer(self, reading: Reading) -> tuple[Sample, Response, NDArray[Any] | None]:
        result, _ = self._run.result(reading.sample)
        outcome = result.by_probing.get(reading.probing)
        if outcome is None or outcome.response is None:
            raise DataError(f"sample {reading.sample} has no answer under {reading.probing!r}", hint="pick another")
        return result.sample, outcome.response, self._rows(reading, outcome.response)

    def _rows(self, reading: Reading, response: Response) -> NDArray[Any] | None:
        """(tokens, layers, heads, cells) of an answer, read from disk where they are looked at; None without any."""
        for part in self._run.job.resolved.components.several("extractor"):
            folder = getattr(part.config, "folder", None)
            if part.name == "raw" and folder is not None:
                return kept_rows(Path(folder) / file_name(reading.sample, reading.probing), response)
        return None

    def _picked(self, reading: Reading, response: Response, rows: NDArray[Any] | None) -> Floats:
        if reading.layer is None and reading.head is None:
            assert response.maps is not None
            return response.maps
        if rows is None:
            raise DataError("the run kept no rows of layers and heads", hint="extractor: {name: raw, folder: ROWS}")
        for word, place, count in (("layer", reading.layer, rows.shape[1]), ("head", reading.head, rows.shape[2])):
            if place is not None and place >= count:
                raise DataError(f"there is no {word} {place}", hint=f"0 to {count - 1} were kept")
        picked = rows if reading.layer is None else rows[:, reading.layer : reading.layer + 1]
        picked = picked if reading.head is None else picked[:, :, reading.head : reading.head + 1]
        mean: Floats = np.asarray(picked).mean(axis=(1, 2), dtype=np.float32)
        return mean

    def _transformed(self, reading: Reading, response: Response, maps: Floats) -> Floats:
        if response.layout is None:
            raise DataError("the answer has no maps", hint="its model gives none, or its run read none")
        for transform in self._transforms(reading):
            maps = transform.transform(maps, response.layout, response.reference)
        return maps

    def _transforms(self, reading: Reading) -> list[MapTransform[Any]]:
        job = self._run.job
        own = {part.name: part for part in job.resolved.components.several("transforms")}
        if reading.transforms is None:
            return [part.create(job.context) for part in own.values()]
        made = []
        for name in reading.transforms:
            if name in own:
                made.append(own[name].create(job.context))
                continue
            found = registry().get(Kind.TRANSFORMS, name)
            made.append(found.create(component_config(found, {}, name), job.context))
        return made


def _is_place(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)


def _known(tokens: Sequence[Any], response: Response) -> list[int]:
    count = len(response.tokens)
    if not tokens or not all(_is_place(one) and 0 <= one < count for one in tokens):
        raise DataError("tokens are named by their numbers", hint=f"0 to {count - 1}")
    return list(tokens)
