"""Small CSV files as people keep them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pixcore_datasets.tables import numbered_rows

from pixcore.errors import DataError


def test_a_quote_that_is_never_closed_swallows_no_rows(tmp_path: Path) -> None:
    table = tmp_path / "samples.csv"
    table.write_text('image,expression\na.png,"the cat\nb.png,the dog\nc.png,the cow\n')
    with pytest.raises(DataError, match="row 2 has a quote that is never closed"):
        numbered_rows(table)
    table.write_text('image,expression\na.png,"the ""cat"""\nb.png,a 5" dog\nc.png,"two\nlines"')
    assert [(number, row["expression"]) for number, row in numbered_rows(table)] == [
        (2, 'the "cat"'),
        (3, 'a 5" dog'),
        (4, "two\nlines"),
    ]
