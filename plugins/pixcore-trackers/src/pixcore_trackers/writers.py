"""Run writers that tell a tracker what a run has come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pixcore_pictures.drawing import fitted, overlay

from pixcore.errors import DataError
from pixcore.figures.rows import RowSpec, Summary, to_dict
from pixcore.files import printable
from pixcore.masks import RLE
from pixcore.records import ProtocolResult, SampleResult
from pixcore.runs.writers import RunWriter
from pixcore.stages.store import content_key
from pixcore_trackers.sessions import has_failed, open_of, session, was_told
from pixcore_trackers.tracker import Shown

MOST_SAMPLES = 50
"""Samples of a run that a tracker's table shows: the first."""

_SIDE = 256  # pixels


class TrackerWriter(RunWriter):
    """Tells one tracker the figures of a run and shows it samples, once, where the run's config names it.

    Attributes:
        name: The tracker's.
    """

    name: ClassVar[str]

    @classmethod
    def owes(cls, folder: Path) -> bool:
        """Say whether the tracker is still to be told of a run: the next command does it, though nothing changed."""
        return has_failed(folder, cls.name)

    def begin(self, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        """See whether the config names the tracker; only then is anything told."""
        self._folder, self._config = folder, run["config"]
        self._wanted = self.name in (self._config.get("writers") or ())
        self._rows = rows
        self._shown: list[SampleResult] = []

    def add(self, result: SampleResult) -> None:
        """Keep the first samples for the table."""
        if self._wanted and len(self._shown) < MOST_SAMPLES:
            self._shown.append(result)

    def finish(self, summary: Summary) -> None:
        """Tell the tracker, unless it was told the same."""
        document = to_dict(summary)
        digest = content_key(document)
        if not self._wanted or (was_told(self._folder, self.name, digest) and not open_of(self._folder)):
            return
        table = [one for result in self._shown for one in shown(result, self._rows)]
        own = session(self.name, self._folder, self._config)
        own.finish(digest, figures_of(document), table)
        own.close()


class MlflowWriter(TrackerWriter):
    """Tells MLflow of a run."""

    name = "mlflow"


class TensorboardWriter(TrackerWriter):
    """Tells TensorBoard of a run."""

    name = "tensorboard"


class TrackioWriter(TrackerWriter):
    """Tells Trackio of a run."""

    name = "trackio"


class WandbWriter(TrackerWriter):
    """Tells Weights & Biases of a run."""

    name = "wandb"


def figures_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """Give a summary's figures by "row/figure", and how many samples there are and failed."""
    found = {
        f"{row['name']}/{name}": float(figure["value"])
        for row in summary["rows"]
        for name, figure in row["figures"].items()
        if figure["value"] is not None
    }
    return {**found, "samples": float(summary["samples"]), "failed": float(summary["failed"])}


def shown(result: SampleResult, rows: Sequence[RowSpec]) -> Iterator[Shown]:
    """Give the lines of one sample in a tracker's table; a picture that can't be read has none.

    What no tracker can keep of a text, such as half of a surrogate pair, is written as its escape.
    """
    try:
        picture = result.sample.image.pil()
    except DataError:
        return
    size = fitted(picture.size, _SIDE)
    for name, outcome in result.by_probing.items():
        ious = {row: 100 * score.iou for row, score in outcome.scores.items() if score.iou is not None}
        said = outcome.response.text if outcome.response is not None else outcome.error or ""
        yield Shown(
            sample=printable(result.sample.id),
            probing=str(name),
            asked=printable(outcome.prompt),
            said=printable(said),
            correct=outcome.verdict.correct if outcome.verdict is not None else None,
            ious=ious,
            picture=overlay(picture, size, _mask_of(outcome, rows)),
        )


def _mask_of(outcome: ProtocolResult, rows: Sequence[RowSpec]) -> RLE | None:
    """The model's own mask, or what the first strategy that knows no ground truth chose; None where that is no mask."""
    if outcome.response is not None and outcome.response.mask is not None:
        return outcome.response.mask
    chosen = sorted((row for row in rows if row.control_of is None), key=lambda row: row.uses_ground_truth)
    choice = next((outcome.selections[row.key] for row in chosen if row.key in outcome.selections), None)
    if choice is None or choice.candidate is None or choice.mask is None:
        return None
    return outcome.candidates[choice.candidate].masks[choice.mask]
