"""Read the hub's parquet files: rows without their pictures, and a picture when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixcore.errors import DataError, first_line
from pixcore_datasets.data_files import there


class Pictures:
    """The pictures in a parquet file's column `image`, one row group in memory at a time; threads may share it."""

    def __init__(self, path: Path) -> None:
        there(path)  # pyarrow opens it itself
        self._path = path
        self._group: tuple[int, list[Any]] | None = None

    def read(self, row: int) -> bytes:
        """Give a row's picture, encoded as it is in the file.

        Raises:
            DataError: The row holds none.
        """
        from pyarrow import parquet

        first = 0
        with parquet.ParquetFile(self._path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row < first + rows:
                    break
                first += rows
            held = self._group  # another thread may put its own there at any time
            if held is None or held[0] != group:
                held = self._group = (group, file.read_row_group(group, columns=["image"])["image"].to_pylist())
        picture = held[1][row - first]
        content = picture.get("bytes") if isinstance(picture, Mapping) else picture
        if not isinstance(content, bytes):
            raise DataError(f"{self._path} row {row} holds no picture", hint="fetch it again, with its pictures")
        return content


def read_rows(path: Path, *, hint: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Read a parquet file but for its pictures.

    Args:
        path: The file.
        hint: What to do where it can't be read.

    Returns:
        The names of its columns, `image` among them, and its rows.

    Raises:
        DataError: It can't be read.
    """
    import pyarrow as arrow
    from pyarrow import parquet

    there(path)
    try:
        columns: list[str] = parquet.read_schema(path).names
        table = parquet.read_table(path, columns=[name for name in columns if name != "image"])
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"can't read {path}: {first_line(error)}", hint=hint) from error
    return columns, table.to_pylist()
