"""The miniature's configs are valid, and its page says what the runs say: intervals, seeds, tests, what is missing."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pixcore_mini.checkpoint import save_checkpoint

from pixcore.config import apply_settings, read_yaml, resolve
from pixcore.figures.rows import OWN_MASKS, Figure, Row, Summary, to_dict
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
    for place, file in (
        ("mini-seg/a-2", run.FILE),
        ("mini-seg/d-1", run.FILE),
        ("mini/1", "config.json"),
        ("mini/2", "config.json"),
    ):
        folder = tmp_path / "runs" / place / "model"
        folder.mkdir(parents=True)
        (folder / file).touch()
    names = [name for name, _, _ in run.runs()]
    # not mini-1: that is the shipped seed
    assert names[:5] == ["mini", "mini-1-sam", "mini-further", "mini-2", "a-1-own"]
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


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Path]:
    """Writes what the table reads of a run: its config, and its summary of one row."""

    def written(
        place: str,
        model: dict[str, str],
        *,
        pairs: int = 3,
        fidelity: str = "corrected",
        samples: int = 6,
        failed: int = 0,
        chosen: tuple[str, ...] = (),
        shard: tuple[int, int] | None = None,
    ) -> Path:
        folder = tmp_path / place
        folder.mkdir(parents=True)
        config = {"benchmark": {"name": "mini-world", "pairs": pairs}, "model": model}
        scope = {"limit": None, "samples": chosen, "shard": shard}
        (folder / "run.json").write_text(json.dumps({"config": config, "scope": scope}))
        rows = (Row("oracle", {"M": Figure(40.0)}),)
        (folder / "summary.json").write_text(
            json.dumps(to_dict(Summary("mini-world", model["name"], fidelity, samples, failed, rows)))
        )
        return folder

    return written


def test_no_run_is_lost_for_its_name(told: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    seg = {"name": "mini-seg", "checkpoint": "a"}
    folders = [told("mini", {"name": "mini"}), told("a-1-mined", seg), told("a-1-sam", seg), told("again/a-1-sam", seg)]
    names = list(side.read(folders))
    assert names[:2] == ["mini", "mini-seg a (a-1-mined)"]
    assert names[2:] == [f"mini-seg a (a-1-sam) at {folder}" for folder in folders[2:]]
    assert list(side.read([folders[0], told("b-1-own", seg | {"checkpoint": "b"}), folders[1]])) == [
        "mini", "mini-seg b", "mini-seg a",
    ]  # fmt: skip
    side.main([str(folder) for folder in folders[:3]])
    printed = capsys.readouterr().out
    assert "(a-1-mined), oracle" in printed
    assert "(a-1-sam), oracle" in printed


def test_what_failed_in_a_run_is_told_below_the_table(told: Callable[..., Path]) -> None:
    folders = [told("mini", {"name": "mini"}), told("seg", {"name": "mini-seg"}, failed=3)]
    assert side.together(side.read(folders)).notes == ("mini-seg: 3 failures",)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"pairs": 4}, "benchmark: mini-world, pairs 4 and mini-world, pairs 3"),
        ({"fidelity": "published"}, "fidelity: published and corrected"),
        ({"samples": 5}, "number of samples: 5 and 6"),
        ({"chosen": ("test-0-0001a",)}, "samples: test-0-0001a and as they come"),
        ({"shard": (1, 2)}, "samples: as they come, shard 1 of 2 and as they come"),
    ],
)
def test_runs_of_other_samples_are_refused(
    told: Callable[..., Path], capsys: pytest.CaptureFixture[str], other: dict[str, Any], said: str
) -> None:
    first, second = told("mini", {"name": "mini"}), told("other", {"name": "mini-seg", "checkpoint": "a"}, **other)
    with pytest.raises(SystemExit) as left:
        side.main([str(first), str(second)])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_run_that_is_given_twice_or_is_not_there_is_one_line(
    told: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = str(told("mini", {"name": "mini"}))
    for second in (first, str(tmp_path / "nothing")):
        with pytest.raises(SystemExit) as left:
            side.main([first, second])
        assert left.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def figure(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": None if value is None else value - 5, "high": None if value is None else value + 5}


def summary(folder: Path, rows: dict[str, dict[str, float | None]]) -> None:
    folder.mkdir(parents=True)
    lines = [
        {
            "name": name,
            "control": name.startswith("random"),
            "candidates": None if name == "own masks" else 6.92,
            "figures": {key: figure(v) for key, v in values.items()},
        }
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


def test_the_first_seed_is_the_least_and_is_named_where_it_is_not_the_shipped_one(runs: Path) -> None:
    for seed in (2, 3, 10):
        summary(runs / f"d-{seed}-own", {"own masks": {"M": 50.0 + seed}})
    (line,) = (line for line in report.lines(runs) if line.model == "d")
    assert line.figures["M"] == (52.0, 47.0, 57.0)
    assert line.seeds["M"] == [52.0, 53.0, 60.0]
    assert "seed, 1, and where it was not run of the first one that was (variant d: 2). Where" in report.page(runs)


def test_folders_of_other_names_are_none_of_the_pages(runs: Path) -> None:
    page = report.page(runs)
    summary(runs / "mine", {"oracle": {"M": 99.0}})
    shutil.copytree(runs / "compared/a-1-own", runs / "compared/mine")
    assert report.page(runs) == page


def test_a_figure_below_nothing_reads_as_the_tables_do() -> None:
    assert report._cell((-0.04, -3.0, 2.0)) == "<td>0.0<small>-3.0 to 2.0</small></td>"


def test_what_would_be_run_can_be_pasted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["run.py", "--only", "b-1-mined", "--dry-run"])
    with pytest.raises(SystemExit):
        run.main()
    words = shlex.split(capsys.readouterr().out)
    assert run.ASKED_ALIKE in words
    assert "model={name: mini-seg, checkpoint: b}" in words


def test_a_run_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run.py", "--only", "a-1-won", "--dry-run"])
    with pytest.raises(SystemExit) as left:
        run.main()
    assert left.value.code == 2
    there = "mini, mini-1-sam, mini-further, a-1-own"
    assert f"--only a-1-won: there is no such run, only {there}" in capsys.readouterr().err


def test_a_row_says_how_many_candidates_it_had(runs: Path) -> None:
    page = report.page(runs)
    assert page.count("<small>6.9 candidates a sample</small>") == 2  # own masks are chosen from none
    summary(runs / "mini-2", {"oracle": {"M": 66.0}})
    assert "6.9 candidates a sample; 2 seeds: mean 6.9, 6.9 to 6.9" in report.page(runs)


def test_models_of_several_seeds_are_named(runs: Path) -> None:
    assert "several seeds (variant a: 2), mean and range over all of them stand below. One seed: mini." in report.page(
        runs
    )
    summary(runs / "mini-2", {"oracle": {"M": 66.0}})
    assert "several seeds (mini: 2, variant a: 2), mean" in report.page(runs)
    shutil.rmtree(runs / "a-2-own")
    assert "several seeds (mini: 2), mean and range over all of them stand below. One seed: variant a." in report.page(
        runs
    )
    shutil.rmtree(runs / "mini-2")
    assert "One seed of each" in report.page(runs)


def test_a_page_of_no_runs_asks_for_runs_and_for_no_training_of_what_is_shipped(tmp_path: Path) -> None:
    page = report.page(tmp_path)
    assert page.count("not run yet; <code>make miniature</code>") == 5
    assert not re.search("not trained here|One seed|<svg", page)
    assert "pixcore_mini_seg.train e --seed 1" in report._not_run("e", weights=False)


def test_masks_mined_are_also_compared_less_their_control(runs: Path) -> None:
    """An oracle among fewer candidates finds less, whatever attention does."""
    figures = {"left": 44.5, "right": 36.7, "difference": -7.8, "low": -15.0, "high": -0.5, "clusters": 150}
    entry = figures | {"name": "M less control", "adjusted": 0.117, "method": "t"}
    for kind in ("mined", "sam"):
        (runs / f"compared/a-1-{kind}").mkdir()
        document = {"differences": [entry, entry | {"name": "M† less control", "adjusted": 0.01}]}
        (runs / f"compared/a-1-{kind}/compare.json").write_text(json.dumps(document))
    said = [text for text, _ in report.sentences(runs) if "less control" in text]
    assert len(said) == 4
    assert "M less control), mined from both by the oracle: no difference is shown: 7.8 points" in said[0]
    assert "M† less control), mined from both by the oracle: cost 7.8 points, from 44.5 to 36.7" in said[1]
    assert "masks by mini-sam" in said[2]


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
    assert "2 seeds: mean 60.0, 58.0\N{WORD JOINER}–\N{WORD JOINER}62.0" in page
    assert "57.0–67.0" in page
    for letter in "abcd":
        assert (f"{html.escape(report.WHAT[letter])}: not run yet" in page) == (letter != "a")
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
    written["rows"][0]["candidates"] = None  # every sample failed
    (folder / "summary.json").write_text(json.dumps(written | {"accounts": {}}))
    assert "<td>–</td><td>1.5</td>" in report.page(runs)


def test_an_ablation_of_training_tells_the_time_of_the_training(tmp_path: Path) -> None:
    runs, trained = tmp_path / "runs", tmp_path / "trained"
    for name in ("neither", "no-joint", "all"):
        summary(runs / name, {"oracle": {"M": 60.0}, "attend-and-segment": {"M": 20.0}})
        written = json.loads((runs / name / "summary.json").read_text())
        (runs / name / "summary.json").write_text(json.dumps(written | {"accounts": {}}))
        (runs / name / "run.json").write_text(json.dumps({"seconds": 90.0}))
    (trained / "neither").mkdir(parents=True)
    recipe = {"recipe": {"batch": [48, 32, 16]}}
    save_checkpoint(trained / "neither/checkpoint.safetensors", torch.nn.Linear(1, 1), None, recipe)
    log = [
        {"stage": "letters", "step": 50, "loss": 1.0, "per_second": 10.0},
        {"stage": "letters", "step": 500, "loss": 1.0, "per_second": 100.0},  # 240 s
        {"stage": "joint", "step": 3500, "loss": 1.0, "per_second": 20.0},  # 2,800 s
        {"stage": "joint", "step": 3500, "attributes": 0.9},
    ]
    (trained / "neither/log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    found = {one["what"]: one["seconds"] for one in ablations.rows(runs, trained)}
    assert list(found.values()) == [90.0, 240.0 + 2800.0, None]
    assert "<td>–</td></tr>" in report._ablation(ablations.rows(runs, trained)[2])
    assert "<td>50.7</td></tr>" in report._ablation(ablations.rows(runs, trained)[1])


def test_nothing_run_is_said(tmp_path: Path) -> None:
    assert "Nothing has been compared yet" in report.page(tmp_path)
