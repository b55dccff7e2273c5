"""The table of figures: an entry is everything that it takes, and the documentation holds to it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pixcore import masks
from pixcore.figures.columns import FIGURES, FigureColumn
from pixcore.records import Protocol

ADDED = """
import sys
from pixcore.figures import columns
from pixcore.figures.columns import FigureColumn
from pixcore.records import Protocol
found = FigureColumn("found", "share of masks above one half", Protocol.SEGMENT, main=True,
                     mask=lambda one: (float(one.iou > 0.5), 1.0))
area = FigureColumn("area", "mean area of the masks", Protocol.SEGMENT, unit="pixels",
                    mask=lambda one: (float(one.predicted), 1.0))
columns.FIGURES += (found, area)
from pixcore.cli import main
sys.argv[0] = "pixcore"
sys.exit(main())
"""
"""What adds two figures, and is pixcore then."""


def column(shown: str, heading: str) -> list[str]:
    """What a terminal shows below a heading of one word, in whichever table has it."""
    lines = iter(shown.splitlines())
    for line in lines:
        if found := re.search(rf"(?<!\S){heading}(?!\S)", line):
            rows = itertools.dropwhile(lambda one: set(one.strip()) != {"─"}, lines)
            body = itertools.takewhile(str.strip, itertools.islice(rows, 1, None))
            return [cell for one in body if (cell := one[: found.end()].split()[-1])[0].isdigit()]
    raise AssertionError(f"no column {heading}:\n{shown}")


def test_a_figure_added_in_one_place_appears_everywhere(workplace):
    def pixcore(*arguments: str) -> str:
        command = [sys.executable, "-c", ADDED, *arguments]
        done = subprocess.run(
            command, cwd=workplace.folder, env=workplace.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = pixcore("run", str(workplace.config(selections=["toy-first", "toy-best"])))
    heading = next(line for line in shown.splitlines() if line.split()[-1:] == ["found"])
    assert heading.split() == ["A†", "A", "M†", "M", "S", "found"]
    assert "found share of masks above one half; area mean area of the masks (pixels)" in " ".join(shown.split())

    summary = workplace.summary()
    for row in summary["rows"]:
        assert list(row["figures"])[5] == "found"
        assert list(row["figures"])[-1] == "area"
    lines = [line for line in workplace.predictions() if line["protocol"] == "segment"]
    areas = [_area(line["candidates"][line["choices"]["toy-first"]["candidate"]], line["choices"]) for line in lines]
    first = summary["rows"][0]["figures"]
    assert first["area"]["value"] == pytest.approx(sum(areas) / len(areas))
    assert first["found"]["n"] == len(lines)
    controls = [row for row in summary["rows"] if row["control"]]
    told = [row for row in summary["rows"] if row not in controls[1:]]
    assert column(shown, "area") == [f"{row['figures']['area']['value']:.1f}*" for row in told]  # of six samples

    page = (workplace.folder / "out" / "report.html").read_text()
    assert 'title="share of masks above one half">found' in page
    assert 'title="mean area of the masks (pixels)">area' in page

    assert column(pixcore("score", "out"), "area") == column(shown, "area")
    scored = json.loads(pixcore("score", "out", "--json", "-"))
    assert [row["figures"] for row in scored["rows"]] == [row["figures"] for row in summary["rows"]]

    compared = pixcore("compare", "out", "out", "--output", "beside")
    names = [line.split()[0] for line in compared.splitlines() if line.strip()]
    assert {"found", "area"} <= set(names)
    beside = json.loads((workplace.folder / "beside" / "compare.json").read_text())
    assert {"found", "area"} <= {one["name"] for one in beside["differences"]}


def _area(candidate: dict, choices: dict) -> int:
    return masks.area(candidate["masks"][choices["toy-first"]["mask"]])


def test_figures_have_names_of_their_own():
    names = [column.name for column in FIGURES]
    assert len(set(names)) == len(names)
    made_of = {name for column in FIGURES for name in column.parts}
    assert made_of <= set(names)


def test_an_entry_says_what_feeds_it():
    with pytest.raises(ValueError, match="one of answer, mask, made_of and less_control"):
        FigureColumn("x", "nothing feeds it", Protocol.SEGMENT)
    with pytest.raises(ValueError, match="name the probing"):
        FigureColumn("x", "of no probing", mask=lambda one: (one.iou, 1.0))


def test_the_documentation_lists_the_figures_as_the_table_has_them():
    text = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
    listed = re.findall(r"^\| ([^|]+) \| `?([\w†, ]+?)`? \| ([^|]+) \|$", text.split("## Answers")[0], re.MULTILINE)
    wanted = [(column.name, column.probing or ", ".join(column.parts), column.meaning) for column in FIGURES]
    assert [row for row in listed if row[0] != "name"] == wanted
