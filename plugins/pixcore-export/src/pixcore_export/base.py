"""What all formats share: the masks that a sample's rows chose, and JSON that is written as it comes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from pixcore_folder.pictures import stem_of, write_picture

from pixcore.errors import DataError, PluginError
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import predicted_mask
from pixcore.masks import RLE
from pixcore.records import ProtocolResult, Sample, SampleResult
from pixcore.runs.plan import Run

GIVEN = "--out"
"""What names the folder, for the hints of errors."""

Tell = Callable[[str], None]
"""Tells the user a line."""


class Exporter(Protocol):
    """Writes a run's results in one format, sample by sample."""

    def __call__(self, job: Run, folder: Path, tell: Tell) -> None:
        """Write the results of a run to an empty folder, and tell what is left out."""


def lacks(package: str, extra: str) -> PluginError:
    """Make the error of a format whose package is not installed."""
    return PluginError(f"{package} is not installed", hint=f'pip install "pixcore-export[{extra}]"')


@dataclass(frozen=True)
class Chosen:
    """The mask that a row stands for under one probing.

    Attributes:
        probing: The probing's name.
        row: The row.
        mask: Its mask; an empty one where it says that the object is absent.
        score: The strategy's own figure for it, else the mask generator's, else 1.
        iou: Its IoU with the ground truth; None where there is none.
    """

    probing: str
    row: RowSpec
    mask: RLE
    score: float
    iou: float | None


def masked_probings(job: Run) -> list[str]:
    """List the probings whose answers are looked at for masks."""
    return [name for name, probing in job.resolved.config.probings.items() if probing.masks]


def chosen_masks(result: SampleResult, rows: Sequence[RowSpec], probings: Sequence[str]) -> Iterator[Chosen]:
    """Give each row's mask under these probings, if it has one: a model may segment where nobody looks at its masks."""
    for name, one in result.by_probing.items():
        for row in rows if name in probings else ():
            mask = _mask_of(result.sample, one, row)
            if mask is not None:
                scored = one.scores.get(row.key)
                yield Chosen(name, row, mask, _score(one, row), scored.iou if scored is not None else None)


def _mask_of(sample: Sample, one: ProtocolResult, row: RowSpec) -> RLE | None:
    if one.error is not None:
        return None
    if row.own_masks:
        return one.response.mask if one.response is not None else None
    selection = one.selections.get(row.key)
    return None if selection is None else predicted_mask(sample, selection, one.pool(row.pool))


def _score(one: ProtocolResult, row: RowSpec) -> float:
    selection, score = one.selections.get(row.key), None
    if selection is not None:
        score = selection.score
        if score is None and selection.outcome == "chosen":
            candidate = one.pool(row.pool)[selection.candidate or 0]
            score = dict(enumerate(candidate.scores)).get(selection.mask or 0)
    return float(score) if score is not None and math.isfinite(score) else 1.0


def with_pictures(
    results: Iterable[SampleResult], folder: Path, tell: Tell
) -> Iterator[tuple[int, SampleResult, str, tuple[int, int]]]:
    """Write each sample's picture to a folder as its result comes by; one that can't be read is told and left out.

    Yields:
        The sample's number from 1 on, its result, the picture's file and its (width, height).
    """
    folder.mkdir()
    for number, result in enumerate(results, 1):
        try:
            name = write_picture(result.sample.image, folder, f"{number:06d}-{stem_of(result.sample.id)}", GIVEN)
            size = result.sample.image.size
        except DataError as error:
            tell(f"sample {result.sample.id} is left out: {error}")
            continue
        yield number, result, name, size


def sayable(value: Any) -> Any:
    """Give a value as it is, and a text with each half of a surrogate pair, which no file can say, as its escape."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class JsonArray:
    """An array in a JSON file, written one entry at a time.

    Args:
        file: The open file, where the array begins.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file, self._before = file, "["

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write an entry."""
        self._file.write(f"{self._before}\n{json.dumps(entry)}")
        self._before = ","

    def end(self) -> None:
        """Write the array's end."""
        self._file.write("[]" if self._before == "[" else "\n]")
