"""Write a run's tables as parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pixcore.files import written_beside
from pixcore.runs.plan import Run
from pixcore_export.base import GIVEN, Tell, lacks
from pixcore_export.spool import Spool, spooled

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:
    raise lacks("pyarrow", "parquet") from None

_KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
_AT_ONCE = 2048


def export_parquet(job: Run, folder: Path, tell: Tell) -> None:
    """Write each table as a parquet file, a row group of some thousand lines at a time."""
    with spooled(job, folder) as tables:
        for name, table in tables.items():
            schema = pa.schema([(column, _KINDS[kind]) for column, kind in table.columns.items()])
            with (
                written_beside(folder / f"{name}.parquet", GIVEN) as beside,
                parquet.ParquetWriter(beside, schema) as writer,
            ):
                for lines in _groups(table):
                    writer.write_batch(pa.RecordBatch.from_pylist(lines, schema))


def _groups(table: Spool) -> Iterator[list[dict[str, Any]]]:
    lines = iter(table)
    while group := list(islice(lines, _AT_ONCE)):
        yield group
