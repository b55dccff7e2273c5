"""Write a run as a data set of Hugging Face: pictures, masks and texts, a line for each sample."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from pixcore import masks
from pixcore.errors import DataError
from pixcore.figures.rows import RowSpec
from pixcore.files import prepare, written_beside
from pixcore.records import SampleResult
from pixcore.runs.plan import Run
from pixcore_export.base import GIVEN, Tell, chosen_masks, lacks, masked_probings, sayable

try:
    import datasets
    from pyarrow import RecordBatch, parquet
except ImportError:
    raise lacks("datasets", "datasets") from None

_GROUP = 4 * 2**20
_MOST = 256
"""A row group has so many bytes of pictures and masks, or so many rows: each costs memory until the file is whole."""


def export_datasets(job: Run, folder: Path, tell: Tell) -> None:
    """Write data/test.parquet, with pictures and masks in it and what each column is, as `load_dataset` reads it."""
    features = _features(job)
    prepare(folder / "data", GIVEN)
    schema = features.arrow_schema
    with (
        written_beside(folder / "data" / "test.parquet", GIVEN) as beside,
        parquet.ParquetWriter(beside, schema) as writer,
    ):
        for group in _groups(_lines(job, tell)):
            writer.write_batch(RecordBatch.from_pylist([dict.fromkeys(schema.names) | line for line in group], schema))


def _column(probing: str, what: str, row: RowSpec | None = None) -> str:
    return ": ".join([probing, what] if row is None else [probing, row.key, what])


def _features(job: Run) -> datasets.Features:
    """The columns: what was asked of all probings, then what each said, then each row's mask and IoU."""
    text, picture, number = datasets.Value("string"), datasets.Image(), datasets.Value("float64")
    found: dict[str, Any] = {"sample_id": text, "image": picture, "mask": picture, "absent": datasets.Value("bool")}
    found |= dict.fromkeys(("expression", "question", "options", "answer", "pair", "categories"), text)
    for probing in job.resolved.config.probings:
        found |= {_column(probing, "prompt"): text, _column(probing, "text"): text}
        found[_column(probing, "correct")] = datasets.Value("bool")
    for probing in masked_probings(job):
        for row in job.rows:
            found |= {_column(probing, "mask", row): picture, _column(probing, "iou", row): number}
    return datasets.Features(found)


def _groups(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        group.append(line)
        size += sum(len(one["bytes"]) for one in line.values() if isinstance(one, dict))
        if size >= _GROUP or len(group) >= _MOST:
            yield group
            group, size = [], 0
    if group:
        yield group


def _lines(job: Run, tell: Tell) -> Iterator[dict[str, Any]]:
    for result in job.results():
        try:
            yield _line(result, job)
        except DataError as error:
            tell(f"sample {result.sample.id} is left out: {error}")


def _line(result: SampleResult, job: Run) -> dict[str, Any]:
    sample = result.sample
    line: dict[str, Any] = {
        "sample_id": sample.id,
        "image": _picture(result),
        "mask": _mask(sample.mask) if sample.mask is not None else None,
        "absent": sample.absent if sample.mask is not None else None,
        "expression": sample.expression,
        "question": sample.question,
        "options": json.dumps(sample.options, ensure_ascii=False) if sample.options else None,
        "answer": sample.options[sample.answer] if sample.answer is not None and sample.options else None,
        "pair": sample.pair,
        "categories": json.dumps(dict(sample.categories), ensure_ascii=False),
    }
    for name, one in result.by_probing.items():
        line[_column(name, "prompt")] = one.prompt
        line[_column(name, "text")] = one.response.text if one.response is not None else None
        line[_column(name, "correct")] = one.verdict.correct if one.verdict is not None else None
    for chosen in chosen_masks(result, job.rows, masked_probings(job)):
        line[_column(chosen.probing, "mask", chosen.row)] = _mask(chosen.mask)
        line[_column(chosen.probing, "iou", chosen.row)] = chosen.iou
    return {name: sayable(value) for name, value in line.items()}


def _picture(result: SampleResult) -> Mapping[str, Any]:
    return _png(result.sample.image.pil())


def _mask(rle: masks.RLE) -> Mapping[str, Any]:
    """A mask as a picture: white inside, black outside."""
    return _png(PILImage.fromarray(masks.decode(rle)).convert("L"))


def _png(picture: PILImage.Image) -> Mapping[str, Any]:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}
