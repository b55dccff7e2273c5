"""`pixcore compare` on runs of folders: the same pictures in another format, and samples of equal names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pixcore_report.compare import _card, _what
from pixcore_report.comparison import Flip
from pixcore_report.report import MOST

from pixcore.figures.rows import RowSpec
from tests.workplace import Workplace

pytest.importorskip("pixcore_folder")

COUNT = 12


def ran(workplace, name, *, extension="png", expression="the box", shift=0):
    """Run the toy on a folder of noise with a bright box, two samples a picture."""
    root = workplace.folder / f"{name}-files"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rows = ["id,image,mask,expression"]
    for index in range(COUNT):
        pixels = np.random.default_rng(index).integers(0, 90, (24, 40, 3)).astype(np.uint8)
        truth = np.zeros((24, 40), np.uint8)
        truth[4:16, 3 + index + shift : 13 + index + shift] = 255
        pixels[truth > 0] = 255
        Image.fromarray(pixels).save(root / "images" / f"{index}.{extension}")
        Image.fromarray(truth).save(root / "masks" / f"{index}.png")
        rows += [f"{index}-{of},{index}.{extension},{index}.png,{expression}" for of in "ab"]
    (root / "samples.csv").write_text("\n".join(rows) + "\n")
    benchmark = {"name": "folder", "root": str(root)}
    workplace("run", str(workplace.config(benchmark=benchmark, selections=["toy-best"], control=None, output=name)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    workplace = Workplace(tmp_path_factory.mktemp("folders"))
    workplace.environment["PIXCORE_PLUGINS"] += ",folder"
    ran(workplace, "left")
    return workplace


def test_pictures_in_another_format_are_paired_by_the_left_sides(folders):
    ran(folders, "jpeg", extension="jpg")
    found = json.loads(folders("compare", "left", "jpeg", "--json", "-").stdout)
    assert {one["name"]: one["clusters"] for one in found["differences"]}["M"] == COUNT
    assert not any("truth" in note for note in found["notes"])


def test_other_questions_of_equal_names_are_refused_in_a_line(folders):
    ran(folders, "sky", expression="the sky")
    for runs in (("left", "sky"), ("left", "left", "sky")):
        said = folders("compare", *runs, status=2).stderr
        assert "24 of 24 shared samples are asked something else on each side, first '0-a'" in said
        assert said.count("\n") == 1


def test_another_truth_is_told_below_the_comparison(folders):
    ran(folders, "moved", shift=2)
    for runs in (("left", "moved"), ("left", "left", "moved")):
        assert "24 shared sample(s) have another truth" in " ".join(folders("compare", *runs).stdout.split())


@pytest.mark.parametrize("option", [("--output", "side"), ("--primary", "M"), ("--delta", "0")])
def test_what_is_about_two_runs_is_refused_for_three(folders, option):
    said = folders("compare", "left", "left", "left", *option, status=2).stderr
    assert f"{option[0]} is about two runs, and 3 are given" in said
    assert said.count("\n") == 1
    assert not (folders.folder / "side").exists()


@pytest.mark.parametrize("given", ["nan", "inf"])
def test_a_difference_that_is_no_number_is_refused(folders, given):
    said = folders("compare", "left", "left", "--delta", given, status=2).stderr
    assert f"--delta is {given}, which is no difference" in said
    assert said.count("\n") == 1


def test_a_run_that_is_named_by_a_dot_has_its_folders_name(folders):
    inside = Workplace(folders.folder / "left")
    inside.environment = folders.environment
    found = json.loads(inside("compare", ".", "../left", "--json", "-").stdout)
    assert (found["left"][-5:], found["right"]) == ("/left", "../left")


def test_what_predictions_lack_is_told_of_several_too(folders):
    lines = (folders.folder / "left" / "predictions.jsonl").read_text().splitlines()
    (folders.folder / "few.jsonl").write_text("\n".join(lines[:-3]) + "\n")
    root = str(folders.folder / "left-files")
    for runs in (("left", "few.jsonl"), ("left", "left", "few.jsonl")):
        said = folders("compare", *runs, "--benchmark", "folder", "--root", root).stdout
        assert "3 sample(s) lack a prediction; what is missing counts as wrong" in " ".join(said.split())


def test_a_page_says_nothing_of_what_the_sides_do_not_share(folders):
    """Both sides have judged answers, to other questions: neither lacks them, and no sample came out the same."""
    for protocol in ("question", "letter"):
        folders("run", str(folders.config(protocols=[protocol], output=protocol)))
    folders("compare", "question", "letter", "--output", "beside")
    page = (folders.folder / "beside" / "compare.html").read_text()
    assert "The sides share no judged answers." in page
    assert "Of the samples that both sides have, none came out otherwise." in page
    assert "drawn by scripts" not in page
    assert "drawn by scripts" in (folders.folder / "letter" / "report.html").read_text()


def test_a_pair_with_a_sample_that_is_not_asked_counts_as_in_the_table(folders):
    """Of three samples a pair, the third has no question: the table has no A, and says so; nor has a comparison."""
    root = folders.folder / "left-files"
    rows = ["id,image,mask,expression,question,options,answer,pair"]
    for of in "abc":
        asked = "Where?,left|right,left" if of < "c" else ",,"
        rows += [f"{of}{index},{index}.png,{index}.png,the box,{asked},{index}" for index in range(COUNT)]
    (root / "threes.csv").write_text("\n".join(rows) + "\n")
    benchmark = {"name": "folder", "root": str(root), "table": "threes.csv"}
    folders("run", str(folders.config(benchmark=benchmark, protocols=["letter"], output="threes")))
    summary = folders.summary("threes")
    assert summary["rows"][0]["figures"]["A"]["value"] is None
    assert summary["accounts"]["A"]["left_out"]["without the other one of their pair"] == 2 * COUNT
    found = json.loads(folders("compare", "threes", "threes", "--json", "-").stdout)
    known = {one["name"]: one["left"] for one in found["differences"] if one["left"] is not None}
    assert known == {"A per sample": 100.0}
    assert [one["unit"] for one in found["tests"]] == ["sample"]


def test_a_card_that_a_large_report_has_not_is_not_linked():
    flip, row = Flip("s", "letter", "answer", 0, 1), RowSpec("of phrases")
    assert _card("a/report.html", MOST - 1, flip, row) == "a/report.html?protocol=letter&row=of+phrases#sample-4999"
    assert _card("a/report.html", MOST, flip, row) is None
    assert _card(None, 0, flip, row) is None


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        (0.2, 0.9, "IoU 0.20 to 0.90"),
        (0.4996, 0.5004, "IoU 0.4996 to 0.5004"),
        (0.5, 0.51, "IoU 0.50 to 0.51"),
        (0.5, np.nextafter(0.5, 1), "IoU 0.5000000000000000 to 0.5000000000000001"),
    ],
)
def test_a_flip_s_ious_are_told_apart(left, right, said):
    assert _what(Flip("s", "segment", "mask", left, right)) == said
