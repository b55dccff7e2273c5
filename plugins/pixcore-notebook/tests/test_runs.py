"""`pixcore.run` and `pixcore.open_run`: the figures, the samples, the candidates, as text, HTML and frames."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import pixcore
from pixcore.cli import main
from pixcore.errors import StoreError
from pixcore.plugins import Kind, registry


def figures(folder: Path) -> dict[str, float]:
    rows = json.loads((folder / "summary.json").read_text())["rows"]
    return {row["name"]: row["figures"]["M"]["value"] for row in rows}


def test_the_table_is_the_runs(finished: pixcore.Run, folder: Path) -> None:
    text = str(finished.table())
    for name, value in figures(folder).items():
        if not name.startswith("random points, phrase"):
            assert name in text
            assert f"{value:.1f}" in text
    assert repr(finished) == f"<Run of mini on mini-world, 4 samples, in {folder}>"


def test_a_notebook_shows_the_table(finished: pixcore.Run, checked: Callable[[str], str], folder: Path) -> None:
    for html in (finished._repr_html_(), finished.table()._repr_html_()):
        checked(html)
        for name, value in figures(folder).items():
            if not name.startswith("random points, phrase"):
                assert name in html
                assert f"{value:.1f}" in html


def test_a_figure_of_a_handful_has_the_star_that_the_note_explains(finished: pixcore.Run) -> None:
    assert any(note.startswith("* counts fewer") for note in finished.table().notes)
    html = finished.table()._repr_html_()
    (row,) = [row for row in finished.summary.rows if row.key == "oracle"]
    assert f"{row.figures['M'].value:.1f}*</span>" in html


def test_the_rows_are_a_frame(finished: pixcore.Run, folder: Path) -> None:
    pytest.importorskip("pandas")
    frame = finished.table().to_pandas().set_index("row")
    assert frame["M"].to_dict() == figures(folder)
    assert frame.loc["oracle", "upper_bound"]
    assert (frame["A low"] <= frame["A"]).all()  # four samples say nothing of how a mean may vary


def test_samples_by_number_id_and_slice(finished: pixcore.Run) -> None:
    samples = finished.samples()
    assert len(samples) == 4
    first = samples[0]
    assert samples[first.id].id == first.id
    assert [one.id for one in samples[1:3]] == [samples[1].id, samples[2].id]
    assert samples[-1].id == list(samples)[3].id
    assert set(first.texts) == {"segment", "letter"}
    with pytest.raises(pixcore.DataError, match="the run has no sample 'nobody'"):
        samples["nobody"]
    with pytest.raises(IndexError):
        samples[4]


def test_a_notebook_shows_samples(finished: pixcore.Run, checked: Callable[[str], str]) -> None:
    html = checked(finished.samples()._repr_html_())
    for one in finished.samples():
        assert one.id in html
        own = checked(one._repr_html_())
        for text in one.texts.values():
            assert text in re.sub("<[^>]+>", "", own)


def test_samples_and_candidates_are_frames_that_agree_with_predictions(finished: pixcore.Run, folder: Path) -> None:
    pandas = pytest.importorskip("pandas")
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    samples = finished.samples().to_pandas()
    assert samples[["sample_id", "probing", "text"]].values.tolist() == [
        [line["sample_id"], line["protocol"], line["text"]] for line in lines
    ]
    asked = samples[samples["probing"] == "segment"]
    present = asked[~asked["absent"]]
    assert present["iou: oracle"].mean() * 100 == pytest.approx(figures(folder)["oracle"])
    candidates = finished.candidates().to_pandas()
    counted = sum(len(one["masks"]) for line in lines for one in line.get("candidates", ()))
    assert len(candidates) == counted
    best = candidates.groupby("sample_id")["iou"].max()
    by_oracle = candidates[candidates["chosen_by"].str.contains("oracle", na=False)].set_index("sample_id")["iou"]
    pandas.testing.assert_series_equal(best.loc[by_oracle.index], by_oracle, check_names=False)


def test_lines_are_looked_at_without_pandas(finished: pixcore.Run, checked: Callable[[str], str]) -> None:
    lines = finished.candidates()
    html = checked(lines._repr_html_())
    assert f"the first 20 of {len(lines)}" in html
    assert lines[0]["candidate"] == 0
    assert len(lines[:3]) == 3
    assert lines.columns[:3] == ["sample_id", "probing", "candidate"]


def test_a_run_is_opened_from_its_folder(finished: pixcore.Run, folder: Path) -> None:
    opened = pixcore.open_run(str(folder))
    assert opened.summary == finished.summary
    assert np.array_equal(opened.samples()[0].image.pixels(), finished.samples()[0].image.pixels())
    with pytest.raises(pixcore.DataError, match="is it a run's folder"):
        pixcore.open_run(folder.parent)


def test_a_run_that_nobody_holds_leaves_no_file_open(folder: Path, finished: pixcore.Run) -> None:
    opened = pixcore.open_run(folder)
    view = opened.samples()[0]
    stores = [stage.store for stage in opened._job.stages()]
    gc.disable()  # which would close them some time
    try:
        del opened
        assert all(store.get("") is None for store in stores)
        assert view.texts
        del view
        for store in stores:
            with pytest.raises(StoreError, match="closed database"):
                store.get("")
    finally:
        gc.enable()


def test_its_config_runs_again_and_computes_nothing(
    finished: pixcore.Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = pixcore.run(finished.config, limit=2)
    assert "answer: 2 of 2 there already" in capsys.readouterr().out
    assert again.summary.samples == 2
    whole = pixcore.run(finished.config)  # leaves the folder as it was
    assert figures(folder) == {row.key: row.figures["M"].value for row in whole.summary.rows}


def test_the_same_config_from_a_file(finished: pixcore.Run, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(finished.config))
    one = pixcore.run(path, samples=[finished.samples()[1].id], output=tmp_path / "one")
    assert one.folder == tmp_path / "one"
    assert [sample.id for sample in one.samples()] == [finished.samples()[1].id]
    same = pixcore.run(path, samples=finished.samples()[1].id, output=tmp_path / "one")
    assert same.summary.samples == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_fewer_samples_than_one_are_refused(finished: pixcore.Run, tmp_path: Path, limit: int) -> None:
    with pytest.raises(pixcore.ConfigError, match=f"limit is {limit}"):
        pixcore.run(finished.config, limit=limit, output=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_command_and_the_function_leave_the_same(finished: pixcore.Run, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({**finished.config, "output": str(tmp_path / "by-command")}))
    with pytest.raises(SystemExit):
        main(["run", str(config)])
    assert figures(tmp_path / "by-command") == figures(finished.folder)


def test_records_that_are_gone_are_told_and_the_table_stays(finished: pixcore.Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "summary.json"):
        text = (finished.folder / name).read_text()
        (copy / name).write_text(text.replace(str(finished.folder.parent / "store"), str(tmp_path / "gone")))
    moved = pixcore.open_run(copy)
    assert moved.summary == finished.summary
    with pytest.raises(pixcore.DataError, match="are not at"):
        moved.samples()


@pytest.mark.parametrize("damaged", [{}, {"config": ["model"]}])
def test_a_run_whose_document_is_damaged_says_so(damaged: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(damaged))
    with pytest.raises(pixcore.DataError, match=r"run\.json holds no config \(run the config again"):
        _ = pixcore.open_run(tmp_path).config


@pytest.mark.parametrize("limit", [0, -1, 2.5, "2", True])
def test_a_limit_is_a_whole_number_of_samples(limit: Any, folder: Path, finished: pixcore.Run) -> None:
    with pytest.raises(pixcore.ConfigError, match=r"limit is .*1 or more"):
        pixcore.run(finished.config, limit=limit, output=str(folder.parent / "limited"))


def test_a_config_that_is_none_is_refused() -> None:
    """It stood for an empty one, so that a slip carried out whatever is the default, over its whole benchmark."""
    with pytest.raises(pixcore.ConfigError, match="a NoneType is no config"):
        pixcore.run(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [None, 3, b"a", [1], ["a", None]])
def test_samples_are_chosen_by_their_ids(samples: Any, folder: Path, finished: pixcore.Run) -> None:
    with pytest.raises(pixcore.ConfigError, match="is no sample"):
        pixcore.run(finished.config, samples=samples, output=str(folder.parent / "chosen"))


def test_numbers_of_numpy_are_numbers(folder: Path, finished: pixcore.Run) -> None:
    """A limit of NumPy's failed at the end of the run, a seed was refused."""
    other = str(folder.parent / "numpy")
    first = finished.samples()[0].id
    run = pixcore.run(finished.config, limit=np.int64(1), seed=np.int64(7), output=other)
    assert (run.summary.samples, run.config["seed"]) == (1, 7)
    run = pixcore.run(finished.config, samples=np.array([first]), merge_iou=np.float32(0.5), output=other)
    assert [one.id for one in run.samples()] == [first]
    assert run.config["merge_iou"] == 0.5


def test_a_run_stays_the_one_that_was_carried_out_when_another_takes_its_folder(
    folder: Path, finished: pixcore.Run
) -> None:
    """The first one's table was the second one's, or its own beside the second one's samples."""
    other = folder.parent / "twice"
    first = pixcore.run(finished.config, limit=1, output=str(other))
    second = pixcore.run(finished.config, limit=2, output=str(other))
    assert [len(run.samples()) for run in (first, second)] == [1, 2]
    assert [run.summary.samples for run in (first, second)] == [1, 2]


def test_an_id_is_in_the_samples_that_have_it(finished: pixcore.Run) -> None:
    samples = finished.samples()
    assert samples[0].id in samples
    assert "nobody" not in samples


def test_a_run_can_be_pickled_also_after_its_samples_were_read(finished: pixcore.Run) -> None:
    assert len(finished.samples()) == 4
    for copied in (pickle.loads(pickle.dumps(finished)), copy.deepcopy(finished)):
        assert repr(copied) == repr(finished)
        assert len(copied.samples()) == 4


def test_a_component_that_exits_is_an_error_and_ends_no_script_as_if_all_were_well(
    folder: Path, finished: pixcore.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = registry().get(Kind.SELECTIONS, "phrase-overlap").component_class
    monkeypatch.setattr(strategy, "select", lambda *given: sys.exit(0))
    with pytest.raises(pixcore.PluginError, match=r"SystemExit: 0"):
        pixcore.run(finished.config, output=str(folder.parent / "exits"), seed=99, store=str(folder.parent / "another"))
