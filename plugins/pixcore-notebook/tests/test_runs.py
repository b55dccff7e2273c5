"""`pixcore.run` and `pixcore.open_run`: the figures, the samples, the candidates, as text, HTML and frames."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import pixcore
from pixcore.cli import main


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
