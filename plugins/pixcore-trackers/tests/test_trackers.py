"""Each tracker has a run once, whatever commands worked on it, and one that fails ends nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
import struct
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_trackers.sessions import KEY, _key_of, note, take_back, was_told
from pixcore_trackers.writers import shown

from pixcore.figures.rows import RowSpec
from pixcore.masks import encode
from pixcore.records import Candidate, Image, ProtocolResult, Response, Sample, SampleResult, Selection

Found = dict[str, Any]
"""What a tracker holds: "runs", how many; "figures" by name, "told" how often each; "tables" with their first column;
"pictures", how many; "stages", the steps that each stage's curve has.
"""


TRACKERS = ["tensorboard", "mlflow", "wandb", "trackio"]
few = pytest.mark.parametrize(
    "tracker", [pytest.param(one, marks=pytest.mark.long if one == "mlflow" else ()) for one in TRACKERS], indirect=True
)
"""All trackers in `make test-long`; mlflow, which takes a third of a minute to start, only there."""


@pytest.fixture(params=TRACKERS)
def tracker(request: pytest.FixtureRequest, workplace: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracker that is installed, whose files lie in the workplace."""
    name: str = request.param
    pytest.importorskip(name, reason=f"{name} is not installed")
    folder = workplace.folder
    workplace.environment |= {
        "PIXCORE_PLUGINS": "toy,trackers,report",
        "MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "WANDB_MODE": "offline",
        "TRACKIO_DIR": str(folder / "trackio"),
        **{f"WANDB_{what}_DIR": str(folder / "wandb-home") for what in ("DATA", "CACHE", "CONFIG")},
    }
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return name


def read_tensorboard(folder: Path) -> Found:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "out/tensorboard"), {"images": 0, "scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    curves = {tag: events.Scalars(tag) for tag in tags["scalars"]}
    texts = [one.tensor_proto.string_val[0].decode() for one in events.Tensors("samples")]
    return {
        "runs": 1,
        "figures": {tag[8:]: points[-1].value for tag, points in curves.items() if tag.startswith("figures/")},
        "told": Counter(tag[8:] for tag, points in curves.items() for _ in points if tag.startswith("figures/")),
        "stages": {
            tag[7:]: [one.step for one in points] for tag, points in curves.items() if tag.startswith("stages/")
        },
        "tables": [[line.split("|")[1].strip() for line in text.splitlines()[2:]] for text in texts],
        "pictures": sum(len(events.Images(tag)) for tag in tags["images"]),
    }


def read_mlflow(folder: Path) -> Found:
    from mlflow.tracking import MlflowClient

    client = MlflowClient((folder / "mlruns").as_uri())
    runs = [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]
    (run,) = runs
    assert run.info.status == "FINISHED"
    assert run.data.params["model.name"] == "toy"
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    files = sorted(one.path for one in client.list_artifacts(run.info.run_id) if one.path.endswith(".json"))
    local = [Path(client.download_artifacts(run.info.run_id, file, str(folder))) for file in files]
    tables = [json.loads(path.read_text()) for path in local]
    return {
        "runs": len(runs),
        "figures": {name[8:]: run.data.metrics[name] for name in history if name.startswith("figures/")},
        "told": Counter(name[8:] for name, points in history.items() for _ in points if name.startswith("figures/")),
        "stages": {name[7:]: [one.step for one in points] for name, points in history.items() if "stages/" in name},
        "tables": [[row[table["columns"].index("sample")] for row in table["data"]] for table in tables],
        "pictures": sum(len({json.dumps(row[-1]) for row in table["data"]}) for table in tables),
    }


def read_wandb(folder: Path) -> Found:
    from wandb.proto import wandb_internal_pb2

    files = sorted((folder / "out/wandb").glob("offline-run-*/*.wandb"))
    figures: dict[str, float] = {}
    told, tables, stages = Counter[str](), [], {}
    for file in files:
        for data in log_records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            for item in record.summary.update:
                key = item.key or ".".join(item.nested_key)
                if key.startswith("figures/"):
                    figures[key[8:]] = json.loads(item.value_json)
                    told[key[8:]] += 1
            for item in record.history.item:
                key = item.key or ".".join(item.nested_key)
                if key.startswith("stages/") and key.endswith(" records"):
                    stages.setdefault(key[7:-8], []).append(json.loads(item.value_json))
                elif key == "samples.path":
                    path = json.loads(item.value_json)
                    tables.append([row[0] for row in json.loads((file.parent / "files" / path).read_text())["data"]])
    staged = [path for path in (folder / "wandb-home").rglob("*") if path.is_file()]
    return {
        "runs": len({file.stem for file in files}),
        "figures": figures,
        "told": told,
        "stages": stages,
        "tables": tables,
        "pictures": len([path for path in staged if path.read_bytes()[:4] == b"\x89PNG"]),
    }


def log_records(log: bytes) -> Iterator[bytes]:
    """The records of W&B's file: LevelDB's log format, blocks of 32 KiB, after a header of 7 bytes."""
    place, record, block = 7, b"", 1 << 15
    while place + 7 <= len(log):
        if block - place % block < 7:
            place += block - place % block
        _, length, kind = struct.unpack_from("<IHB", log, place)
        record += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


def read_trackio(folder: Path) -> Found:
    with sqlite3.connect(folder / "trackio/pixcore.db") as base:
        rows = base.execute("select run_name, metrics from metrics order by id").fetchall()
    figures: dict[str, float] = {}
    told, tables, stages = Counter[str](), [], {}
    for one in [json.loads(metrics) for _, metrics in rows]:
        for key, value in one.items():
            if key.startswith("figures/"):
                figures[key[8:]] = value
                told[key[8:]] += 1
            elif key.startswith("stages/") and key.endswith(" records"):
                stages.setdefault(key[7:-8], []).append(value)
            elif key == "samples":
                tables.append([row["sample"] for row in value["_value"]])
    return {
        "runs": len({name for name, _ in rows}),
        "figures": figures,
        "told": told,
        "stages": stages,
        "tables": tables,
        "pictures": len(list((folder / "trackio/media").rglob("*.png"))),
    }


READ: dict[str, Callable[[Path], Found]] = {
    "tensorboard": read_tensorboard,
    "mlflow": read_mlflow,
    "wandb": read_wandb,
    "trackio": read_trackio,
}


def test_a_run_is_there_once_over_all_commands(tracker: str, workplace: Any) -> None:
    config = str(workplace.config(writers=["predictions", tracker]))
    workplace("run", config, "--shard", "1/2")  # half of the records, and no figures
    key = (workplace.folder / "out" / KEY).read_text()
    workplace("run", config)
    workplace("run", config)  # nothing is left to do
    assert (workplace.folder / "out" / KEY).read_text() == key
    found = READ[tracker](workplace.folder)
    summary = workplace.summary()
    lines = workplace.predictions()
    assert found["runs"] == 1
    expected = {
        f"{row['name']}/{name}": figure["value"]
        for row in summary["rows"]
        for name, figure in row["figures"].items()
        if figure["value"] is not None
    } | {"samples": summary["samples"], "failed": 0}
    plain = {name.replace("†", " free") if tracker == "mlflow" else name: value for name, value in expected.items()}
    assert found["figures"] == pytest.approx({mended(name, tracker): value for name, value in plain.items()}, abs=1e-4)
    assert set(found["told"].values()) == {1}
    assert found["tables"] == [[line["sample_id"] for line in by_sample(lines)]]
    assert found["pictures"] > 0
    assert sum(steps[-1] for stage, steps in found["stages"].items() if stage.startswith("answer")) == len(lines)
    assert all(steps == sorted(set(steps)) for steps in found["stages"].values()), "no stage is told twice of one step"


def mended(name: str, tracker: str) -> str:
    """A row's name as MLflow takes it."""
    return name.replace(", ", "_ ") if tracker == "mlflow" else name


def by_sample(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(line["sample_id"] for line in lines))
    return sorted(lines, key=lambda line: names.index(line["sample_id"]))


@few
def test_a_killed_run_goes_on_as_the_same(tracker: str, workplace: Any) -> None:
    model = {"name": "toy", "pause": 0.02}
    benchmark = {"name": "toy-boxes", "pairs": 20}
    config = str(workplace.config(writers=["predictions", tracker], model=model, benchmark=benchmark, batch_size=1))
    process = workplace.start("run", config)
    while process.poll() is None and not (workplace.folder / "out" / KEY).exists():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    workplace("run", config)
    found = READ[tracker](workplace.folder)
    assert found["runs"] == 1
    assert set(found["told"].values()) == {1}
    assert len(found["tables"]) == 1
    assert found["figures"]["samples"] == workplace.summary()["samples"]


@few
def test_a_tracker_that_is_named_later_is_told_what_is_there_and_then_what_is_new(tracker: str, workplace: Any) -> None:
    workplace("run", str(workplace.config(writers=["predictions"])))
    for _ in range(2):
        workplace("run", str(workplace.config(writers=["predictions", tracker])))
    workplace("run", str(workplace.config(writers=["predictions", tracker], selections=["toy-best"])))
    found = READ[tracker](workplace.folder)
    assert found["runs"] == 1
    assert found["told"]["samples"] == 2
    assert len(found["tables"]) == 2
    assert found["tables"][0] == found["tables"][1]


def with_wandb(workplace: Any, source: str) -> Path:
    """Put a module of that name in wandb's place, and give the folder that it lies in."""
    site: Path = workplace.folder / "site"
    site.mkdir()
    (site / "wandb.py").write_text(source)
    workplace.environment["PYTHONPATH"] = f"{site}:{workplace.environment['PYTHONPATH']}"
    workplace.environment["PIXCORE_PLUGINS"] = "toy,trackers"
    return site


@pytest.mark.parametrize("does", ["raise SystemExit(3)", "raise RuntimeError('no server')", "raise ImportError('x')"])
def test_a_tracker_that_fails_ends_no_run(does: str, workplace: Any) -> None:
    with_wandb(workplace, does + "\n")
    done = workplace("run", str(workplace.config(writers=["predictions", "wandb"])))
    told = [line for line in done.stderr.splitlines() if "tracker" in line]
    assert len(told) == 1
    assert told[0].startswith("note: tracker wandb failed, and is told no more of this run: ")
    assert ('pip install "pixcore-trackers[wandb]"' in told[0]) == ("ImportError" in does)
    assert workplace.predictions()


WANDB = """
import pathlib, sys

CALLS, FAILS = pathlib.Path(__file__).with_name("calls"), pathlib.Path(__file__).with_name("fails")

def called(what):
    with CALLS.open("a") as file:
        file.write(what + "\\n")
    if FAILS.exists() and what in FAILS.read_text():
        raise ConnectionError("no network")

class Table:
    def __init__(self, columns): pass
    def add_data(self, *row): pass

class Summary:
    def update(self, figures): called("figures")

class Run:
    summary = Summary()
    def log(self, what): called("samples") if "samples" in what else None
    def finish(self, exit_code): pass

def init(**options): return Run()
def Settings(**options): pass
def Image(picture): pass
"""
THAT_TELLS_ITS_END = WANDB.replace("exit_code): pass", 'exit_code): called(f"finish {exit_code}")')


@pytest.mark.parametrize("fails", ["figures", "samples"])
def test_a_tracker_that_failed_is_told_by_the_next_command(fails: str, workplace: Any) -> None:
    site = with_wandb(workplace, WANDB)
    (site / "fails").write_text(fails)
    config = str(workplace.config(writers=["predictions", "wandb"]))
    assert "tracker wandb failed" in workplace("run", config).stderr
    (site / "fails").unlink()
    (site / "calls").unlink()
    for _ in range(2):
        assert "tracker" not in workplace("run", config).stderr
    assert (site / "calls").read_text().split() == ["figures", "samples"]


def test_a_tracker_that_failed_is_told_where_nothing_else_has_changed(workplace: Any) -> None:
    site = with_wandb(workplace, WANDB)
    workplace.environment["PIXCORE_PLUGINS"] = "toy,trackers,mini-world,store"
    (site / "fails").write_text("figures")
    benchmark = {"name": "mini-world", "pairs": 2}
    config = str(workplace.config(writers=["predictions", "wandb"], benchmark=benchmark))
    for _ in range(2):
        assert "tracker wandb failed" in workplace("run", config).stderr
    (site / "fails").unlink()
    (site / "calls").unlink()
    assert "nothing has changed" not in workplace("run", config).stderr
    assert "nothing has changed" in workplace("run", config).stderr
    assert (site / "calls").read_text().split() == ["figures", "samples"]


def test_a_part_that_is_done_is_closed(workplace: Any) -> None:
    site = with_wandb(workplace, THAT_TELLS_ITS_END)
    config = str(workplace.config(writers=["predictions", "wandb"]))
    workplace("run", config, "--shard", "1/2")
    assert (site / "calls").read_text().splitlines() == ["finish 0"]
    workplace("run", config)
    assert (site / "calls").read_text().splitlines() == ["finish 0", "figures", "samples", "finish 0"]


def test_a_run_that_ends_early_is_closed_as_failed(workplace: Any) -> None:
    site = with_wandb(workplace, THAT_TELLS_ITS_END)
    config = str(workplace.config(writers=["predictions", "wandb"], selections=["toy-careless"]))
    process = workplace.start("run", config)  # its exit is a whole process's
    assert "toy strategy failed" in process.communicate()[1]
    assert (site / "calls").read_text().splitlines() == ["finish 1"]
    workplace("run", config, "--set", "on_error=record")
    assert (site / "calls").read_text().splitlines()[-1] == "finish 0"


@pytest.mark.parametrize(
    ("choices", "tinted"),
    [
        ({"oracle": Selection.chosen(0, 0), "first": Selection.absent(), "second": Selection.chosen(0, 0)}, False),
        ({"oracle": Selection.chosen(0, 0), "first": Selection.chosen(0, 0), "second": Selection.absent()}, True),
        ({"oracle": Selection.chosen(0, 0)}, True),
    ],
)
def test_the_picture_shows_the_first_strategys_choice_alone(choices: dict[str, Selection], tinted: bool) -> None:
    image = Image.from_pixels(np.full((8, 8, 3), 128, np.uint8))
    candidate = Candidate(None, None, (encode(np.eye(8, dtype=bool)),), (0.5,))
    outcome = ProtocolResult("segment", "?", candidates=(candidate,), selections=choices)
    rows = [RowSpec("oracle", uses_ground_truth=True), RowSpec("first"), RowSpec("second")]
    (line,) = shown(SampleResult(Sample("one", image), {"segment": outcome}), rows)
    assert (np.ptp(np.asarray(line.picture)) > 0) == tinted


def test_a_text_that_no_file_can_say_is_told_with_its_escape() -> None:
    image = Image.from_pixels(np.zeros((4, 4, 3), np.uint8))
    outcome = ProtocolResult("segment", "half \ud800?", Response("half \ud800\nand more"))
    (line,) = shown(SampleResult(Sample("one \ud800", image), {"segment": outcome}), [])
    told = (line.sample, line.asked, line.said)
    assert told == ("one \\ud800", "half \\ud800?", "half \\ud800\nand more")


def test_a_run_that_names_no_tracker_leaves_nothing_of_one(workplace: Any) -> None:
    workplace.environment["PIXCORE_PLUGINS"] = "toy,trackers"
    workplace("run", str(workplace.config()))
    assert not list((workplace.folder / "out").glob(".tracker*"))


def test_of_several_processes_one_names_the_run(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: _key_of(tmp_path / "run"), range(40)))
    assert len(keys) == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == [KEY]


def test_what_was_told_is_kept_by_tracker(tmp_path: Path) -> None:
    assert note(tmp_path, "mlflow", "abc")
    assert not note(tmp_path, "mlflow", "abc")
    assert note(tmp_path, "wandb", "abc")
    assert was_told(tmp_path, "wandb", "abc")
    assert not was_told(tmp_path, "wandb", "ab")
    for _ in range(2):
        take_back(tmp_path, "wandb", "abc")
        assert not was_told(tmp_path, "wandb", "abc")
        assert was_told(tmp_path, "mlflow", "abc")
        assert note(tmp_path, "wandb", "abc")
        assert was_told(tmp_path, "wandb", "abc")


@pytest.mark.parametrize(
    ("name", "as_mlflow_has_it"),
    [
        ("figures/oracle/M† cIoU", "figures/oracle/M free cIoU"),
        ("figures/attend-and-segment v1.5: my_own/M", "figures/attend-and-segment v1.5: my_own/M"),
        ("figures/random points, oracle pick/M", "figures/random points_ oracle pick/M"),
        ("figures/红/M", "figures/红/M"),
        ("figures/k=3/M", "figures/k_x3d_3/M"),
        ("figures/k3/M", "figures/k3/M"),
        ("figures/†/M", "figures/_x2020_/M"),
        ("figures/a//b/../M", "figures/a_x2f_/b/_x2e_./M"),
        ("figures/a_ b_x3d_/M", "figures/a_x5f_ b_x5f_x3d_/M"),
    ],
)
def test_a_name_that_mlflow_refuses_is_written_otherwise(name: str, as_mlflow_has_it: str) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from pixcore_trackers.to_mlflow import _named

    assert _named(name) == as_mlflow_has_it


def test_a_parameter_that_mlflow_can_not_change_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    from pixcore_trackers.to_mlflow import Client
    from pixcore_trackers.tracker import TrackedRun

    def open_with(**options: Any) -> None:
        config = {"model": {"name": "toy", "prompt": "a\n b ", **options}}
        Client(TrackedRun("0" * 32, tmp_path / "out", config)).close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_with(temperature=0.0)
        open_with(temperature=0.0, most=3)
    with pytest.warns(UserWarning, match=r"mlflow keeps the first value of model\.temperature; another `output:`"):
        open_with(temperature=0.7, most=3)


@pytest.mark.parametrize("size", [*range(1, 5), 300])
def test_different_names_stay_different_in_mlflow(size: int) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from mlflow.utils.validation import _validate_metric
    from pixcore_trackers.to_mlflow import _named

    labels = ["".join(one) for one in product("_x3d,= ./:†红", repeat=min(size, 4))]
    names = {f"figures/{'红' * (size - 4)}{label}/M" for label in labels}
    told = {_named(name) for name in names}
    for one in told:
        _validate_metric(one, 1.0, 0, 0)
        assert len(one.encode()) <= 250
    assert len(told) == len(names)
