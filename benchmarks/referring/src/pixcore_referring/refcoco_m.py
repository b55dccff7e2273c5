"""Read RefCOCO-M: RefCOCO's validation split with masks drawn anew, as parquet files that hold the pictures too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pixcore_datasets import run_lengths
from pixcore_datasets.data_files import DataFile, require
from pixcore_datasets.parquet import Pictures, read_rows

from pixcore import masks
from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.records import Image, Sample
from pixcore_referring.config import RefCocoMConfig

_FILES = DataFile("data/", "moondream/refcoco-m on the hub", repo="moondream/refcoco-m", remote="data/")
_HINT = "fetch it again: pixcore benchmarks fetch refcoco-m"
_NEEDED = ("image", "samples")


class RefCocoM(Benchmark[RefCocoMConfig]):
    """Reads RefCOCO-M: each expression of each object is a sample.

    A sample's id is the object's, with ".0", ".1", … where it has several expressions; the object's category breaks the
    table down. Pictures are read from the parquet files when they are looked at.
    """

    opens_files = True
    _nowhere = 0
    """Objects whose mask covers no pixel; known once they were read."""

    @property
    def notes(self) -> Sequence[str]:
        """How many objects have a mask that covers no pixel: that is a gap, no absent object."""
        if not self._nowhere:
            return ()
        return (f"{self._nowhere} object(s) have a mask that covers no pixel: not scored for grounding",)

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """The folder of parquet files."""
        return (_FILES,)

    def samples(self) -> Iterator[Sample]:
        """Give all samples, in the order of the files.

        Raises:
            DataError: A file is missing or damaged.
        """
        self._nowhere = 0
        require(self.config.root, [_FILES], benchmark="refcoco-m")
        folder = self.config.root / _FILES.path
        files = sorted(folder.glob(f"{self.config.split}-*.parquet"))
        if not files:
            raise DataError(f"{folder} holds no {self.config.split}-*.parquet", hint=_HINT)
        seen: set[str] = set()
        for path in files:
            for about in _objects(path):
                self._nowhere += about[0].mask is None
                for sample in about:
                    if sample.id in seen:
                        raise DataError(f"{path}: two samples have the id {sample.id}", hint=_HINT)
                    seen.add(sample.id)
                    yield sample


def _objects(path: Path) -> Iterator[list[Sample]]:
    """Give each object's samples, one at least."""
    columns, rows = read_rows(path, hint=_HINT)
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking:
        raise DataError(f"{path} has no column {lacking[0]!r}", hint=f"its columns: {', '.join(columns)}")
    pictures = Pictures(path)
    for number, row in enumerate(rows):
        where = f"{path} row {number}"
        objects = row["samples"]
        if not isinstance(objects, list) or not objects or not all(isinstance(one, Mapping) for one in objects):
            raise DataError(f"{where} has no samples", hint=_HINT)
        name = str(row.get("file_name") or row.get("image_id") or where)
        for one in objects:
            yield list(_about(one, partial(pictures.read, number), name, where))


def _about(one: Mapping[str, Any], read: Any, name: str, where: str) -> Iterator[Sample]:
    """Make the samples of one object."""
    here = f"{where}, object {one.get('id')!r}"
    said = one.get("sentences")
    if one.get("id") is None or not isinstance(said, list) or not said:
        raise DataError(f"{here} has no id or no sentences", hint=_HINT)
    if not all(isinstance(text, str) and text.strip() for text in said):
        raise DataError(f"{here} has a sentence that is no text", hint=_HINT)
    mask = run_lengths.parse(one.get("mask"), where=f"{here}: mask")
    for number, text in enumerate(said):
        yield Sample(
            id=str(one["id"]) if len(said) == 1 else f"{one['id']}.{number}",
            image=Image(read, name, masks.size_of(mask)),
            expression=text.strip(),
            mask=mask if masks.area(mask) else None,
            categories={"category": str(one["category"])} if one.get("category") else {},
        )
