"""What a finished run leaves behind, and what happens where a writer fails or is left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pixcore.config import resolve
from pixcore.figures.rows import to_dict
from pixcore.plugins import Guest, GuestKind, Registry
from pixcore.runs.execute import execute
from pixcore.runs.plan import Run
from pixcore.runs.progress import Display
from pixcore.runs.results import write
from pixcore.runs.writers import RunWriter, Writers
from pixcore.terminal import Console
from tests.workplace import TOY_RUN


def files(workplace) -> set[str]:
    return {path.name for path in (workplace.folder / "out").iterdir()}


def test_what_is_written_where_a_config_does_not_say(workplace):
    done = workplace("run", str(workplace.config()))
    assert files(workplace) == {"run.json", "summary.json", "predictions.jsonl", "report.html"}
    assert "report: out/report.html" in done.stderr


@pytest.mark.parametrize("folder", ["out", "figures/of/mine"])
def test_figures_go_to_a_folder_that_is_yet_to_be_made(workplace, folder):
    workplace("run", str(workplace.config()), "--json", f"{folder}/figures.json")
    assert json.loads((workplace.folder / folder / "figures.json").read_text()) == workplace.summary()


def test_a_core_alone_prints_the_table_and_says_what_would_write_a_report(workplace):
    workplace.environment["PIXCORE_PLUGINS"] = "toy"
    absent = ("jinja2", "matplotlib", "pixcore_report", "pixcore_emergence", "pixcore_datasets", "pixcore_testing")
    site = workplace.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import sys\nfor name in {absent}: sys.modules[name] = None\n")
    workplace.environment["PYTHONPATH"] += os.pathsep + str(site)
    done = workplace("run", str(workplace.config()))
    assert "toy-best" in done.stdout
    assert files(workplace) == {"run.json", "summary.json", "predictions.jsonl"}
    (line,) = [line for line in done.stderr.splitlines() if "report" in line]
    assert "pip install pixcore-report" in line


def test_a_config_names_the_writers(workplace):
    done = workplace("run", str(workplace.config(writers=["toy-count"])))
    assert files(workplace) == {"run.json", "summary.json", "count.json"}
    assert "toy-count: out/count.json" in done.stderr
    count = json.loads((workplace.folder / "out/count.json").read_text())
    assert count["samples"] == [f"s{index}" for index in range(6)]
    assert count["rows"] == [row["key"] for row in workplace.summary()["rows"]]
    assert (count["seed"], count["benchmark"]) == (0, "toy-boxes")


def test_a_config_may_want_none(workplace):
    for nobody in (None, []):
        done = workplace("run", str(workplace.config(writers=nobody)))
        assert files(workplace) == {"run.json", "summary.json"}
        assert "report" not in done.stderr
    workplace("report", "out")  # who asks for a report gets one
    assert files(workplace) == {"run.json", "summary.json", "report.html"}


def test_a_writer_that_fails_costs_no_other_its_file(workplace):
    whole = workplace("run", str(workplace.config()))
    lines = (workplace.folder / "out/predictions.jsonl").read_bytes()
    named = ["toy-fails", "toy-broken", "predictions", "toy-count"]
    done = workplace("run", str(workplace.config(writers=named, output="other")), status=1)
    assert done.stdout == whole.stdout
    assert (workplace.folder / "other/predictions.jsonl").read_bytes() == lines
    assert (workplace.folder / "other/count.json").exists()
    assert (workplace.folder / "other/closed").exists()
    told = [line for line in done.stderr.splitlines() if line.startswith("run writer")]
    assert told[0].startswith("run writer 'toy-broken' failed: run writer 'toy-broken' can't be imported")
    assert told[1:] == ["run writer 'toy-fails' failed: RuntimeError: toy writer"]
    assert not list((workplace.folder / "other").glob(".*"))


@pytest.mark.parametrize("step", ["begin", "finish"])
def test_a_writer_that_changes_what_it_is_shown_takes_nothing_from_the_table(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    counts = registry.guest(GuestKind.WRITER, "toy-count")
    changes = {
        "begin": lambda self, folder, run, rows: rows.clear(),
        "finish": lambda self, summary: [row.figures.clear() for row in summary.rows] and None,
    }
    monkeypatch.setattr(counts.loaded, step, changes[step])
    config = {**TOY_RUN, "output": str(tmp_path / "out"), "store": str(tmp_path / "store")}
    job = Run(resolve(config, registry))
    execute(job, Display(Console(quiet=True)))
    (tmp_path / "out").mkdir()
    whole = write(job, tmp_path / "out", []).summary
    done = write(job, tmp_path / "out", [counts])
    assert done.summary == whole
    assert json.loads((tmp_path / "out/summary.json").read_text()) == to_dict(whole)


def test_predictions_of_an_earlier_run_do_not_stay_under_the_name_of_another(workplace):
    other = {"model": {"name": "toy", "says": "there is nothing"}}
    for writers, status in ((["report"], 0), (None, 0), (["toy-fails", "report"], 1)):
        workplace("run", str(workplace.config()))
        assert "predictions.jsonl" in files(workplace)
        workplace("run", str(workplace.config(writers=writers, **other)), status=status)
        assert "predictions.jsonl" not in files(workplace), writers


def test_what_writers_of_an_earlier_run_left_goes_where_another_writes(workplace):
    other = {"model": {"name": "toy", "says": "there is nothing"}}
    for writers, status in ((["predictions"], 0), (["predictions", "toy-count"], 0), (["toy-fails"], 1)):
        workplace("run", str(workplace.config()))
        assert {"predictions.jsonl", "report.html"} <= files(workplace)
        (workplace.folder / "out/mine.html").write_text("what a person put there stays")
        workplace("run", str(workplace.config(writers=writers, **other)), status=status)
        assert "report.html" not in files(workplace), writers
        assert "mine.html" in files(workplace)
        assert ("predictions.jsonl" in files(workplace)) == ("predictions" in writers)
    document = json.loads((workplace.folder / "out/run.json").read_text())
    assert document["files"] == []
    (workplace.folder / "out/run.json").write_text(json.dumps(document | {"files": ["../kept", 5]}))
    (workplace.folder / "kept").touch()
    workplace("run", str(workplace.config()))
    assert (workplace.folder / "kept").exists()
    assert json.loads((workplace.folder / "out/run.json").read_text())["files"] == ["report.html"]


class Stops(RunWriter):
    """Is stopped while it writes, as by Ctrl-C."""

    def begin(self, folder, run, rows):
        pass

    def add(self, result):
        pass

    def finish(self, summary):
        raise KeyboardInterrupt


@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_runs_files_stand_side_by_side_where_a_writing_is_stopped(tmp_path, seed):
    left = {"predictions.jsonl", "report.html", "summary.json"}
    for name in left:
        (tmp_path / name).touch()
    before = {"config": {"seed": 0}, "scope": {}, "stores": {}, "written": "yesterday", "files": ["report.html"]}
    (tmp_path / "run.json").write_text(json.dumps(before))
    run = before | {"config": {"seed": seed}, "written": "today"}
    stops = Guest("toy", "toy", lambda: "1", GuestKind.WRITER, "stops", "tests.test_writers:Stops")
    with pytest.raises(KeyboardInterrupt), Writers([stops], tmp_path, run, []) as writers:
        writers.finish(None)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", *(() if seed else left)}
    assert json.loads((tmp_path / "run.json").read_text())["config"] == {"seed": seed}


def test_a_half_written_file_never_takes_the_place_of_a_whole_one(workplace):
    workplace("run", str(workplace.config()))
    target = workplace.folder / "out/predictions.jsonl"
    target.unlink()
    target.mkdir()  # the file can't take its place
    done = workplace("run", str(workplace.config()), status=1)
    assert "run writer 'predictions' failed: can't write out/predictions.jsonl" in done.stderr
    assert (workplace.folder / "out/report.html").exists()
    assert not list((workplace.folder / "out").glob(".*"))


def test_a_writer_that_is_not_installed_is_told_before_anything_is_computed(workplace):
    done = workplace("run", str(workplace.config(writers=["toy-cuont"])), status=2)
    assert "run writer 'toy-cuont' (did you mean 'toy-count'?" in done.stderr
    assert not (workplace.folder / "store").exists()


def test_the_schema_knows_the_writers(workplace):
    listed, nobody = json.loads(workplace("schema").stdout)["properties"]["writers"]["anyOf"]
    assert {"predictions", "report", "toy-count"} <= set(listed["items"]["enum"])
    assert nobody == {"type": "null"}
