"""The report page beside the paper's figures, and the configs of the systems that segment themselves."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from pixcore.config import read_yaml, resolve
from pixcore.errors import UserError
from pixcore.plugins import registry
from tests.scripts import loaded

HERE = Path(__file__).resolve().parents[1]
OWN_MASKS = ("glamm-7b", "glamm-regcap-7b", "lisa-7b", "llava-grounding-7b", "omg-llava-7b")


@pytest.fixture(scope="module")
def report() -> ModuleType:
    return loaded(HERE / "report.py")


def test_every_row_of_the_paper_has_its_config(report: ModuleType) -> None:
    configs = {path.stem for path in HERE.glob("*.yaml")}
    assert {config for config, _ in report.SYSTEMS.values()} == configs
    assert len(list(report.lines(Path("nowhere")))) == 2 * len(report.SYSTEMS)


def test_s_of_the_papers_own_columns(report: ModuleType) -> None:
    compared = 0
    for line in report.lines(Path("nowhere")):
        paper = {name: cell.paper for name, cell in line.cells.items()}
        if paper["S"] is not None:
            assert report.harmonic(paper) == pytest.approx(paper["S"], abs=0.051)
            compared += 1
    assert compared == 27


def test_the_page_says_what_the_table_can_show(report: ModuleType, tmp_path: Path) -> None:
    found = list(report.lines(tmp_path))
    assert "10 of the 13 neighbours on PixMMVP are less than 5.3 points apart" in report.page(found)


def test_our_figures_stand_beside_the_papers_with_the_difference(report: ModuleType, tmp_path: Path) -> None:
    assert "Nothing has been run" in report.page(list(report.lines(tmp_path)))
    for fidelity, m in (("paper", 40.5), ("published", 51.25), ("corrected", 44.0)):
        folder = tmp_path / f"llava-1.5-7b-pixmmvp-{fidelity}"
        folder.mkdir()
        figures = {
            name: {"value": value} for name, value in {"A†": 25.0, "A": 28.0, "M†": None, "M": m, "S": 33.0}.items()
        }
        (folder / "summary.json").write_text(json.dumps({"rows": [{"name": "oracle", "figures": figures}]}))
    found = list(report.lines(tmp_path))
    (line,) = (
        one for one in found if (one.method, one.base, one.benchmark) == ("PixFoundation (oracle)", "7B", "pixmmvp")
    )
    assert (line.cells["M"].paper, line.cells["M"].ours) == (
        38.0,
        {"paper": 40.5, "published": 51.25, "corrected": 44.0},
    )
    page = report.page(found)
    assert '<td class="paper">38.0</td><td>40.5<small>+2.5</small></td><td>51.2</td><td>44.0</td>' in page
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", page.split("<tbody>")[0])
    assert heads[:6] == ["Method", "A†", "A", "M†", "M", "S"]
    assert heads[6:] == ["Table 1", "paper", "published", "corrected"] * 5
    assert "Nothing has been run" not in page
    (bare,) = (one for one in found if (one.method, one.base, one.benchmark) == ("LLaVA-1.5", "7B", "pixmmvp"))
    assert bare.cells["A"].ours["published"] == 28.0
    assert bare.cells["M"].ours["published"] is None


def test_a_figure_that_no_run_is_like_is_compared_with_none(report: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "llava-grounding-7b-pixmmvp-paper"
    folder.mkdir()
    figures = {name: {"value": 20.0} for name in ("A†", "A", "M†", "M", "S")}
    (folder / "summary.json").write_text(json.dumps({"rows": [{"name": "own masks", "figures": figures}]}))
    found = [one for one in report.lines(tmp_path) if one.method == "LLaVA-G"]
    (line,) = (one for one in found if one.benchmark == "pixmmvp")
    assert [name for name, cell in line.cells.items() if not cell.alike] == ["M†", "M", "S"]
    assert f'<td class="paper">{line.cells["M"].paper:.1f}*</td><td>20.0</td>' in report.page(found)


@pytest.mark.parametrize("name", OWN_MASKS)
def test_configs_of_systems_that_segment_themselves(name: str) -> None:
    try:
        resolved = resolve(read_yaml(HERE / f"{name}.yaml"), registry())
    except UserError as error:
        pytest.skip(str(error))
    assert resolved.components["masks"] is None
    assert resolved.components["extractor"] is None
    assert resolved.config.fidelity == "paper"


def test_what_150_pairs_can_tell_of_the_table_is_on_the_page() -> None:
    with (HERE / "table1.csv").open() as file:
        scores = sorted(float(row["pixmmvp_S"]) for row in csv.DictReader(file) if row["pixmmvp_S"])
    gaps = np.diff(scores)
    least = TTestPower().solve_power(nobs=150, alpha=0.05, power=0.8) * 23  # of differences that spread by .23 IoU
    assert least == pytest.approx(5.3, abs=0.05)
    assert (len(gaps), int((gaps < least).sum())) == (13, 10)
    page = " ".join((HERE.parents[1] / "docs" / "explanation" / "paper.md").read_text().split())
    assert "ten of the thirteen gaps between neighbours in that order, on PixMMVP, are below 5.3 points" in page
