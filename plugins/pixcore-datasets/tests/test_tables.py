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


def test_the_header_says_what_separates_fields(tmp_path: Path) -> None:
    """Semicolons and tabs also where a column's name has a comma; empty rows before the header are none."""
    table = tmp_path / "samples.csv"
    for separator in ",;\t":
        name = "left, right, or neither; and\nabove, or below"
        head, row = separator.join((f'"{name}"', "image", "what")), separator.join(("left", "a.png", "it"))
        for before in ("", "\r\n\r\n", f"{separator * 2}\r\n"):
            table.write_text(f"{before}{head}\r\n{row}\r\n", newline="")
            ((number, found),) = numbered_rows(table, ("image",))
            assert found == {name: "left", "image": "a.png", "what": "it"}
            assert number == 2 + before.count("\n")


def test_a_row_of_another_length_says_what_to_quote(tmp_path: Path) -> None:
    table = tmp_path / "samples.csv"
    table.write_text("image;what;how\na.png;it;here; there\n")
    with pytest.raises(DataError, match="row 2 has 4 fields, its header 3") as told:
        numbered_rows(table)
    assert "semicolons" in (told.value.hint or "")


def test_the_line_that_tells_a_spreadsheet_what_separates_fields_is_no_header(tmp_path: Path) -> None:
    table = tmp_path / "samples.csv"
    for separator, said in ((";", "sep=;"), (",", '"sep=,"'), ("\t", "SEP=\t"), ("|", "sep=|")):
        rows = separator.join(("image", "what")), separator.join(("a.png", "it"))
        table.write_text("\ufeff" + "\r\n".join((said, *rows)))
        assert numbered_rows(table, ("image",)) == [(3, {"image": "a.png", "what": "it"})]
    table.write_text("sep=;\n")
    with pytest.raises(DataError, match="is empty"):
        numbered_rows(table)
