"""Make samples of a folder of pictures with mask files, as a table says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from pixcore_datasets.data_files import DataFile

from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.files import read_file
from pixcore.records import Sample
from pixcore_folder.columns import Columns, Row
from pixcore_folder.config import FolderConfig
from pixcore_folder.labels import Labels, read_labels
from pixcore_folder.lookup import PictureFolder, stem
from pixcore_folder.tables import read_rows
from pixcore_folder.truth import Truth, sample_of, shortened, sized

_TABLES = ("samples.csv", "samples.json", "samples.jsonl", "metadata.csv", "metadata.jsonl")


@dataclass(frozen=True)
class _Entry:
    """One row with its sample's id, its picture, and its mask file where it has one."""

    id: str
    row: Row
    picture: str
    mask: str | None


class Folder(Benchmark[FolderConfig]):
    """Reads pictures, their mask files, and a table with a row for each sample.

    A sample's id is what the column `id` says, or else its picture's path without extension, with ".0", ".1", … where
    several rows are about one picture. Its mask is the file that the column `mask` names, or else the one called like
    its id or its picture; without one it has no ground truth. Nothing but names is read until a sample is taken.
    """

    opens_files = True

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """What it consists of, by default names."""
        return (
            DataFile(_TABLES[0], "a row for each sample", alternatives=_TABLES[1:], optional=True),
            DataFile("images/", "the pictures", optional=True),
            DataFile("masks/", "their mask files, without which nothing is scored for grounding", optional=True),
        )

    @property
    def needed_files(self) -> Sequence[DataFile]:
        """The same by the names that its options give."""
        config, (table, pictures, masks) = self.config, self.data_files()
        return (
            table if config.table is None else replace(table, path=config.table, alternatives=()),
            replace(pictures, path=f"{config.images}/"),
            replace(masks, path=f"{config.masks}/"),
        )

    @property
    def notes(self) -> Sequence[str]:
        """What was taken for what, what has no ground truth, which objects count as absent."""
        entries = self._entries
        lines = self._columns.notes()
        bare = [entry.id for entry in entries if entry.mask is None and not entry.row.absent]
        if bare:
            lines.append(
                f"{len(bare)} of {len(entries)} samples have no mask: not scored for grounding ({shortened(bare)})"
            )
        for folder, used, what in (
            (self._pictures, {entry.picture for entry in entries}, "pictures"),
            (self._masks, {entry.mask for entry in entries}, "masks"),
        ):
            left = [file for file in folder.files if file not in used]
            if left:
                lines.append(f"{len(left)} of the {what} belong to no row ({shortened(left)})")
        return [*lines, *self._truth.notes]

    def samples(self) -> Iterator[Sample]:
        """Give all samples, in the order of the table.

        Raises:
            DataError: Something is missing, damaged, or contradicts something else.
        """
        labels = lru_cache(maxsize=4)(self._labels)  # of a mask that several rows share
        for entry in self._entries:
            image = sized(self._pictures.folder / entry.picture)
            given = labels(entry.mask) if entry.mask is not None else None
            where = f"{entry.row.where}: mask {entry.mask}" if entry.mask is not None else entry.row.where
            yield sample_of(entry.id, image, entry.row, self._truth.of(given, image, entry.row, entry.id, where))

    def __len__(self) -> int:
        """Number of samples; no picture is read for it."""
        return len(self._entries)

    @cached_property
    def _truth(self) -> Truth:
        return Truth(self.config.threshold)

    @cached_property
    def _pictures(self) -> PictureFolder:
        folder = self.config.root / self.config.images
        if not folder.is_dir():
            raise DataError(
                f"benchmark folder: there is no folder {folder}",
                hint="check root, and images: the folder of pictures below it",
            )
        return PictureFolder(folder, "picture", without=self.config.root / self.config.masks)

    @cached_property
    def _masks(self) -> PictureFolder:
        folder = self.config.root / self.config.masks
        named = self.config.masks != FolderConfig.model_fields["masks"].default  # a run's record names the default too
        if named and not folder.is_dir():
            raise DataError(f"benchmark folder: there is no folder {folder}", hint="check masks: in the config")
        return PictureFolder(folder, "mask", without=self.config.root / self.config.images)

    @cached_property
    def _table(self) -> Path:
        root, named = self.config.root, self.config.table
        if named is not None:
            return root / named
        found = [name for name in _TABLES if (root / name).is_file()]
        if len(found) == 1:
            return root / found[0]
        if found:
            raise DataError(f"{root} has both {found[0]} and {found[1]}", hint=f"say which: table: {found[0]}")
        if not root.is_dir():
            raise DataError(f"benchmark folder: there is no folder {root}", hint="check root / --root")
        raise DataError(
            f"benchmark folder: {root} has no {_TABLES[0]}",
            hint="a table with the columns image and expression; `pixcore benchmarks export mini-world DIR` makes one",
        )

    @cached_property
    def _rows(self) -> tuple[Columns, list[Row], list[str], list[str | None]]:
        """The columns; and of each row what it says, its picture, and the mask that it names."""
        table = self._table
        rows = read_rows(table)
        if not rows:
            raise DataError(f"{table} has no rows", hint="a row for each sample")
        present = list(dict.fromkeys(key for _, row in rows for key in row))
        columns = Columns(str(table), present, self.config.columns, self.config.categories)
        if "image" not in columns.found:
            raise DataError(
                f"{table} has no column 'image'", hint=f"it has: {', '.join(present)}; columns: {{image: NAME}}"
            )
        said, pictures, masks = [], [], []
        for number, row in rows:
            where, cells = f"{table}, row {number}", columns.cells(row)
            said.append(Row.of(cells, where, columns.broken_down(row)))
            pictures.append(self._need(self._pictures, cells.get("image"), where, "image"))
            named = cells.get("mask")
            masks.append(self._need(self._masks, named, where, "mask") if named is not None else None)
        return columns, said, pictures, masks

    @staticmethod
    def _need(folder: PictureFolder, name: object, where: str, column: str) -> str:
        if not isinstance(name, str):
            raise DataError(f"{where}, column {column!r}: got {name!r}", hint="expected a file's name")
        try:
            return folder.need(name)
        except DataError as error:
            raise DataError(f"{where}, column {column!r}: {error.message}", hint=error.hint) from error

    @property
    def _columns(self) -> Columns:
        return self._rows[0]

    @cached_property
    def _entries(self) -> list[_Entry]:
        _, rows, pictures, named = self._rows
        alike = Counter(map(stem, self._pictures.files))
        names = [stem(one) if alike[stem(one)] == 1 else one for one in pictures]
        times, seen = Counter(name for name, row in zip(names, rows, strict=True) if row.id is None), Counter[str]()
        entries: dict[str, _Entry] = {}
        for row, picture, mask, name in zip(rows, pictures, named, names, strict=True):
            own = row.id
            if own is None:
                own = name if times[name] == 1 else f"{name}.{seen[name]}"
                seen[name] += 1
            if own in entries:
                raise DataError(
                    f"{row.where}: another sample has the id {own!r} ({entries[own].row.where})",
                    hint="give each row an `id` of its own",
                )
            called = own if row.id is not None or times[name] > 1 else None
            entries[own] = _Entry(own, row, picture, self._mask_of(row, picture, mask, called, alike))
        found = list(entries.values())
        if self._masks.files and all(one.mask is None and not one.row.absent for one in found):
            raise DataError(
                f"no row has a mask among those of {self._masks.folder} ({shortened(self._masks.files, 2)})",
                hint="call them like their pictures, or name them in a column `mask`",
            )
        return found

    def _mask_of(
        self, row: Row, picture: str, named: str | None, called: str | None, alike: Mapping[str, int]
    ) -> str | None:
        """The mask file of a row: the one that it names, or the one called like it or its picture.

        Args:
            row: The row.
            picture: Its picture.
            named: The mask that it names.
            called: Its id, where a mask may be called so.
            alike: How many pictures are called what, without extension.
        """
        if row.absent:
            if named is not None or row.values:
                raise DataError(
                    f"{row.where} says that its object is absent, and has a {'mask' if named else 'value'}",
                    hint="leave one of them empty",
                )
            return None
        if named is not None:
            return named
        found = self._masks.find(called, anywhere=False) if called is not None else None
        if found is not None and stem(found) in alike and stem(found) != stem(picture):
            other = next(file for file in self._pictures.files if stem(file) == stem(found))
            raise DataError(
                f"{row.where}: mask {found} may be that of id {called} or of picture {other}",
                hint="name the mask in a column `mask`",
            )
        if found is None:
            found = self._masks.find_stem(picture)
            if found is not None and alike[stem(picture)] > 1:
                raise DataError(
                    f"{row.where}: mask {found} may be that of {picture} or of another picture called so",
                    hint="name it in a column `mask`",
                )
        if found is None and row.values:
            raise DataError(f"{row.where}, column 'value': picture {picture} has no mask file", hint="add the file")
        return found

    def _labels(self, file: str) -> Labels:
        path = self._masks.folder / file
        return read_labels(read_file(path, "mask"), str(path))
