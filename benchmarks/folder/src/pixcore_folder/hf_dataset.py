"""Make samples of a dataset of Hugging Face's library: pictures, masks and texts in columns.

The library maps a dataset into memory: a row is read when its sample is taken, its picture again when it is looked at.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import Benchmark
from pixcore.errors import DataError, UserError, describe, nearest
from pixcore.files import read_file
from pixcore.masks import RLE
from pixcore.records import Image, Sample
from pixcore_folder.columns import Columns, Row
from pixcore_folder.config import HfDatasetConfig
from pixcore_folder.labels import Labels, labels_of, read_labels
from pixcore_folder.truth import Truth, sample_of, sized

_FEW = 8  # outlines of one object that have the same number of points; and numbers of four corners
_KINDS = {".parquet": "parquet", ".arrow": "arrow"}
_MASK_NAMES = ("mask", "masks", "segmentation_mask", "label", "annotation")  # a picture column's, not an image's


class HfDataset(Benchmark[HfDatasetConfig]):
    """Reads a dataset of the hub, or a local one, with a picture, a mask and a text in each row.

    A sample's id is what the column `id` says, or else the row's number from 0. A mask is a picture as in `folder`,
    COCO's run lengths or polygons, or rows of numbers; nothing there means that nobody knows.
    """

    @property
    def notes(self) -> Sequence[str]:
        """Which columns were taken for what, which objects count as absent."""
        return [*self._columns.notes(), *self._truth.notes]

    def samples(self) -> Iterator[Sample]:
        """Give all samples, in the order of the dataset.

        Raises:
            DataError: It can't be loaded, lacks a column, or a row is damaged.
        """
        columns, seen = self._columns, set[str]()
        for number in range(len(self)):
            where = f"{self.config.dataset}, row {number}"
            cells = self._parts[1][number]
            row = Row.of(columns.cells(cells), where, columns.broken_down(cells))
            name = row.id if row.id is not None else str(number)
            if name in seen:
                raise DataError(f"{where}: another sample has the id {name!r}", hint="ids must be unique")
            seen.add(name)
            image = self._picture(number, f"{where}, column {columns.found['image']!r}")
            where = f"{where}, column {columns.found.get('mask')!r}"
            mask = None if row.absent else self._mask(cells, image, where)
            yield sample_of(name, image, row, self._truth.of(mask, image, row, name, where))

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._data)

    @cached_property
    def _truth(self) -> Truth:
        return Truth(self.config.threshold)

    @cached_property
    def _data(self) -> Any:
        library = _library()
        try:
            with _told_once():
                found = _loaded(library, self.config)
        except UserError:
            raise
        except Exception as error:  # whatever its readers and the hub's client raise
            raise DataError(
                f"can't load the dataset {self.config.dataset}: {describe(error)}",
                hint="expected owner/name of the hub, a parquet or arrow file, or a folder of them or of pictures",
            ) from error
        if isinstance(found, dict):
            found = self._split_of(found)
        for name, feature in found.features.items():
            if isinstance(feature, library.Image):
                found = found.cast_column(name, library.Image(decode=False))
        return found

    def _split_of(self, found: Mapping[str, Any]) -> Any:
        wanted, named = self.config.split, ", ".join(found)
        if wanted is not None and wanted in found:
            return found[wanted]
        if wanted is not None:
            raise DataError(f"{self.config.dataset} has no split {wanted!r}", hint=nearest(wanted, found))
        if len(found) > 1:
            raise DataError(f"{self.config.dataset} has the splits {named}", hint="say which: split: NAME")
        return next(iter(found.values()))

    @cached_property
    def _columns(self) -> Columns:
        """Which column holds what: as the config says, by name, and else by what the columns hold."""
        features = self._data.features
        columns = Columns(self.config.dataset, list(features), self.config.columns, self.config.categories)
        pictures = [name for name in columns.unused if _holds_pictures(features[name])]
        masks = [name for name in pictures if name.lower() in _MASK_NAMES]
        others = [name for name in pictures if name not in masks]
        if "image" not in columns.found and others:
            columns.guess("image", others.pop(0))
        if "mask" not in columns.found and (masks or len(others) == 1):
            columns.guess("mask", [*masks, *others][0])
        texts = [
            name for name in columns.unused if getattr(features[name], "dtype", None) in ("string", "large_string")
        ]
        if "expression" not in columns.found and "question" not in columns.found and len(texts) == 1:
            columns.guess("expression", texts[0])
        if "image" not in columns.found or not {"expression", "question"} & columns.found.keys():
            lacking = "image" if "image" not in columns.found else "expression"
            raise DataError(
                f"{self.config.dataset} has no column that is plainly the {lacking}",
                hint=f"name it, as in columns: {{{lacking}: NAME}}; it has {', '.join(features)}",
            )
        return columns

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        """The column of pictures, and all others: neither is read with the other."""
        picture = self._columns.found["image"]
        return self._data.select_columns([picture]), self._data.remove_columns([picture])

    def _picture(self, number: int, where: str) -> Image:
        column = self._columns.found["image"]
        source, folder = self._parts[0], self._folder

        def read() -> bytes:
            return _encoded(source[number][column], folder, where)

        return sized(Image(read, where))

    @cached_property
    def _folder(self) -> Path:
        """Where the pictures lie that a local dataset names by path."""
        path = Path(self.config.dataset)
        return path if path.is_dir() else path.parent

    def _mask(self, cells: Mapping[str, Any], image: Image, where: str) -> Labels | RLE | None:
        value = cells.get(self._columns.found.get("mask", ""))
        if value is None or (isinstance(value, Mapping) and all(one is None for one in value.values())):
            return None
        if isinstance(value, Mapping) and "counts" in value:
            return self._truth.outlined(value, image, where)
        if isinstance(value, (bytes, str, Mapping)):
            return read_labels(_encoded(value, self._folder, where), where)
        try:
            rows = np.asarray(value)
        except ValueError:
            rows = np.zeros(0)
        fits = rows.shape[::-1] == image.known_size
        if rows.ndim == 2 and rows.dtype.kind in "biuf" and (fits or _no_outlines(rows)):
            return labels_of(rows, where)  # of another size, they are refused like a file
        return self._truth.outlined(value, image, where)


def _no_outlines(rows: NDArray[Any]) -> bool:
    """Whether rows of one length are a mask of another size than its picture, and not x, y, x, y, … of a ring each.

    Rows of a mask repeat; of boxes in a line or a column at most half of the numbers do. Where none does, a mask has
    more rows, and longer ones, than one object has outlines with the same number of points.
    """
    height, width = rows.shape
    if rows.dtype.kind == "b" or height < 3 or not width:
        return rows.dtype.kind == "b"
    repeated = float(np.mean(rows[1:] == rows[:-1]))
    return width % 2 == 1 or repeated > 0.5 or min(height, width) > _FEW


@contextmanager
def _told_once() -> Iterator[None]:
    """Keep the library from printing what it then raises."""
    logger = logging.getLogger("datasets")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(
            "benchmark hf-dataset needs the library datasets", hint='pip install "pixcore-folder[datasets]"'
        ) from error


def _loaded(library: Any, config: HfDatasetConfig) -> Any:
    """A dataset, or its splits by name."""
    path = Path(config.dataset)
    local = path.exists()
    if not local and path.suffix.lower() in _KINDS:  # the hub need not be asked, five times, for a file
        raise DataError(f"there is no file {path}", hint="check the path")
    if local:
        library.disable_progress_bars()
    saved = (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()
    whole = saved or path.is_file()
    for option, value in (
        ("subset", config.subset if whole else None),
        ("revision", config.revision if local else None),
    ):
        if value is not None:
            raise DataError(f"{path} has no {option} {value!r}", hint=f"it is on this machine: leave {option} out")
    if saved:
        found = library.load_from_disk(str(path))
        if config.split is not None and not isinstance(found, dict) and str(found.split) != config.split:
            hint = "it was saved as one dataset: leave split out"
            raise DataError(f"{path} has no split {config.split!r}", hint=hint)
        return found
    if path.is_file():
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise DataError(f"{path} is no parquet or arrow file", hint="benchmark folder reads a CSV or JSON table")
        return library.load_dataset(kind, data_files=str(path), split=config.split)
    return library.load_dataset(config.dataset, config.subset, split=config.split, revision=config.revision)


def _holds_pictures(feature: Any) -> bool:
    """Whether a column holds pictures: the library's own, their bytes with a path, or bytes."""
    if isinstance(feature, Mapping):
        return {"bytes", "path"} <= feature.keys()
    return type(feature).__name__ == "Image" or getattr(feature, "dtype", None) in ("binary", "large_binary")


def _encoded(cell: Any, folder: Path, where: str) -> bytes:
    """The bytes of a picture in a cell: its own, or those of the file that it names."""
    given, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (cell, None)
    if isinstance(given, str):
        given, path = None, given
    if isinstance(given, bytes):
        return given
    if not isinstance(path, str):
        raise DataError(f"{where} holds no picture", hint="expected its bytes, or a file's path")
    return read_file(folder / path, "image")
