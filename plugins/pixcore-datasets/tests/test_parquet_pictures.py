"""Pictures of a parquet file, read by several threads at once."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pixcore_datasets.parquet import Pictures

arrow = pytest.importorskip("pyarrow")


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_get_the_pictures_of_their_rows(tmp_path: Path) -> None:
    from pyarrow import parquet

    path = tmp_path / "p.parquet"
    rows = [{"bytes": str(row).encode()} for row in range(40)]
    parquet.write_table(arrow.table({"image": rows}), path, row_group_size=10)
    pictures = Pictures(path)
    asked = random.Random(0).choices(range(40), k=1500)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(pictures.read, asked)) == [str(row).encode() for row in asked]
