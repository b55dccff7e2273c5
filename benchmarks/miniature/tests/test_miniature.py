"""The miniature's configs are valid, and its page says what the runs say: intervals, seeds, tests, what is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pixcore.config import apply_settings, read_yaml, resolve
from pixcore.figures.rows import OWN_MASKS, Figure, Row, Summary
from pixcore.plugins import registry
from pixcore.records import Protocol
from tests.scripts import loaded

HERE = Path(__file__).resolve().parents[1]


report, run, side, ablations = (loaded(HERE / f"{name}.py") for name in ("report", "run", "side", "ablations"))


@pytest.mark.parametrize("path", sorted(HERE.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_option_is_one_that_its_component_knows(path: Path) -> None:
    resolved = resolve(read_yaml(path), registry())
    assert (resolved.components["masks"] is None) == (path.stem == "own")


def test_each_run_is_of_a_variant_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place, file in (("mini-seg/a-2", run.FILE), ("mini-seg/d-1", run.FILE), ("mini/2", "config.json")):
        folder = tmp_path / "runs" / place / "model"
        folder.mkdir(parents=True)
        (folder / file).touch()
    names = [name for name, _, _ in run.runs()]
    assert names[:3] == ["mini", "mini-1-sam", "mini-2"]
    assert {"a-2-own", "a-2-mined", "a-2-sam", "d-1-own"} < set(names)
    for name, path, settings in run.runs():
        document = apply_settings(read_yaml(path), settings)
        resolved = resolve(document, registry())
        config, masks = resolved.config, resolved.components["masks"]
        assert config.output.parent == run.RUNS
        if name.endswith(("mined", "sam")) and not name.startswith("mini"):  # asked as mini is
            assert config.prompts[Protocol.SEGMENT] == "Identify {expression} in the scene."
        assert (masks is not None and masks.name == "mini-sam") == name.endswith("sam")


def test_own_masks_are_compared_with_mini_s_best(tmp_path: Path) -> None:
    found = dict(run.comparisons({"mini", "mini-1-sam", "mini-2", "a-1-own", "a-1-mined", "a-1-sam"}))
    assert found["a-1-sam"][:2] == ["runs/miniature/mini-1-sam", "runs/miniature/a-1-sam"]
    assert "a-1-sam" not in dict(run.comparisons({"mini", "a-1-sam"}))
    assert found["a-1-own"][:6] == [
        "runs/miniature/mini",
        "runs/miniature/a-1-own",
        "--row",
        "oracle",
        "--row",
        "own masks",
    ]
    assert found["a-1-mined"].count("--row") == 1
    assert found["a-1-plain"][3] == "attend-and-segment"
    assert set(report.AGAINST) == {name.split("-")[2] for name in found}


def test_rows_of_several_runs_stand_in_the_paper_s_order() -> None:
    def made(model: str, *rows: Row) -> Summary:
        return Summary("mini-world", model, "corrected", 300, 0, rows)

    said = {"A†": Figure(90.0), "M": Figure(40.0), "M gIoU": Figure(1.0)}
    mined = made(
        "mini", Row("oracle", said, uses_ground_truth=True, masks=7.0), Row("first", said),
        Row("random oracle", said, control_of="oracle", uses_ground_truth=True),
    )  # fmt: skip
    own = made("mini-seg", Row(OWN_MASKS, said | {"A†": Figure(8.0)}))
    rows = side.together({"mini": mined, "mini-seg": own}).rows
    assert [row.label for row in rows] == [
        "mini, no masks", "mini-seg, own masks", "mini, first", "mini, oracle", "mini, random oracle",
    ]  # fmt: skip
    assert [dict(row.figures) for row in rows[:2]] == [{"A†": Figure(90.0)}, {"A†": Figure(8.0), "M": Figure(40.0)}]
    assert len({row.key for row in rows}) == 5


def figure(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": None if value is None else value - 5, "high": None if value is None else value + 5}


def summary(folder: Path, rows: dict[str, dict[str, float | None]]) -> None:
    folder.mkdir(parents=True)
    lines = [
        {"name": name, "control": name.startswith("random"), "figures": {key: figure(v) for key, v in values.items()}}
        for name, values in rows.items()
    ]
    (folder / "summary.json").write_text(json.dumps({"rows": lines}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    same = {"A†": 90.0, "A": 80.0}
    summary(
        tmp_path / "mini", {"oracle": same | {"M†": 40.0, "M": 70.0}, "random points, oracle pick": same | {"M": 25.0}}
    )
    summary(tmp_path / "a-1-own", {"own masks": {"A†": 10.0, "A": 5.0, "M†": 31.0, "M": 62.0}})
    summary(tmp_path / "a-2-own", {"own masks": {"A†": 20.0, "A": None, "M†": 33.0, "M": 58.0}})
    told = {"left": 90.0, "right": 10.0, "difference": -80.0, "low": -86.0, "high": -72.0, "clusters": 150}
    entries = [
        told | {"name": "A†", "adjusted": 0.0, "method": "Bonett-Price, McNemar"},
        told
        | {"name": "M", "right": 91.0, "difference": 1.0, "low": -3.0, "high": 5.0, "adjusted": 0.6, "method": "t"},
        told | {"name": "S", "adjusted": 0.0, "method": "bootstrap"},
    ]
    (tmp_path / "compared/a-1-own").mkdir(parents=True)
    (tmp_path / "compared/a-1-own/compare.json").write_text(json.dumps({"differences": entries}))
    (tmp_path / "compared/a-2-own").mkdir()
    again = [{"name": "A†", "difference": -70.0}, {"name": "M", "difference": None}]
    (tmp_path / "compared/a-2-own/compare.json").write_text(json.dumps({"differences": again}))
    return tmp_path


def test_seeds_of_a_variant_share_a_line(runs: Path) -> None:
    lines = {(line.model, line.row): line for line in report.lines(runs)}
    assert list(lines) == [("mini", "oracle"), ("mini", "random points, oracle pick"), ("a", "own masks")]
    own = lines["a", "own masks"]
    assert own.figures["M"] == (62.0, 57.0, 67.0)
    assert own.seeds["M"] == [62.0, 58.0]
    assert own.seeds["A"] == [5.0]
    assert own.figures["S"] is None


def test_each_sentence_has_its_figure_and_its_test(runs: Path) -> None:
    (lost, shown), (even, nothing) = report.sentences(runs)
    assert shown is False
    assert "cost 80.0 points, from 90.0 to 10.0 (95 % interval -86.0 to -72.0; p < .001" in lost
    assert lost.endswith("2 seeds: mean -75.0, -80.0 to -70.0.")
    assert nothing is None
    assert "seeds" not in even
    assert "no difference is shown: 1.0 points" in even
    assert "p = .600 after Holm, t, 150 clusters" in even


def test_the_page_says_what_is_there_and_what_is_missing(runs: Path) -> None:
    page = report.page(runs)
    assert "2 seeds: mean 60.0, 58.0 to 62.0" in page
    assert "57.0–67.0" in page
    for letter in "bcd":
        assert f"pixcore_mini_seg.train {letter} --seed 1" in page
    assert "train a --seed 1" not in page
    assert page.count("<circle") == 3
    assert not re.search(r"\{[a-z]+\}", page)
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("name", ablations.ABLATIONS)
def test_each_ablation_is_a_config(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    change = ablations.ABLATIONS[name]
    assert (name in dict(ablations.runs(3))) != bool(change.training)  # those of training once there is a model
    (ablations.TRAINED / name / "model").mkdir(parents=True)
    (ablations.RUNS).mkdir(parents=True)
    heads = [{"layer": at // 4, "head": at % 4, "best": [float(at), None, None]} for at in range(16)]
    (ablations.RUNS / "heads.json").write_text(json.dumps({"lines": [{"head": None}, *heads]}))
    settings = [one.replace("{heads}", ablations.best_heads()) for one in dict(ablations.runs(3))[name]]
    resolved = resolve(apply_settings(read_yaml(HERE / "mini.yaml"), settings), registry())
    assert resolved.config.output == ablations.RUNS / name
    if name == "three-heads":
        assert resolved.components.one("extractor").config.chosen == ((3, 3), (3, 2), (3, 1))


def test_an_ablation_is_a_row_of_the_page(runs: Path) -> None:
    folder = runs / "ablations/no-subtraction"
    summary(folder, {"oracle": {"M": 60.0, "M less control": 33.0}, "attend-and-segment": {"M": 20.0}})
    written = json.loads((folder / "summary.json").read_text())
    written["rows"][0]["candidates"] = 6.5
    (folder / "summary.json").write_text(json.dumps(written | {"accounts": {}}))
    (folder / "run.json").write_text(json.dumps({"seconds": 90.0}))
    page = report.page(runs)
    assert "the mean over tokens not subtracted" in page
    assert "<td>33.0<small>28.0–38.0</small></td><td>–</td><td>20.0" in page
    assert "<td>6.5</td><td>1.5</td>" in page


def test_nothing_run_is_said(tmp_path: Path) -> None:
    assert "Nothing has been compared yet" in report.page(tmp_path)
