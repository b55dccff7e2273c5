"""Observers hear of each sample once, however often a run is killed, gone on with, repeated and written again."""

from __future__ import annotations

import importlib
import json
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from pixcore.config import read_yaml, resolve
from pixcore.runs.execute import execute
from pixcore.runs.observers import Observers
from pixcore.runs.plan import Run
from pixcore.runs.progress import Display
from pixcore.terminal import Console
from tests.test_plugins import loaded, plugin

PAIRS = 20
NAMES = {f"s{index}" for index in range(2 * PAIRS)}


@pytest.fixture
def observed(workplace):
    """What the toy observer has heard so far, by hook."""
    workplace.environment["PIXCORE_PLUGINS"] = "toy,toy-observer,report"

    def heard(hook: str) -> list[dict]:
        path = workplace.folder / "observed.jsonl"
        text = path.read_text() if path.exists() else ""
        lines = [said(line) for line in text.splitlines()]
        return [line for line in lines if line["hook"] == hook]

    return heard


def said(line: str) -> dict:
    """What a line says; nothing where it is being written, or its writer was killed while it wrote."""
    try:
        return json.loads(line)
    except ValueError:
        return {"hook": None}


@pytest.mark.parametrize("kills", [3, pytest.param(8, marks=pytest.mark.long)])
def test_each_sample_once_over_kills_a_second_run_and_a_report(workplace, observed, kills):
    model = {"name": "toy", "pause": 0.002}
    config = str(workplace.config(model=model, benchmark={"name": "toy-boxes", "pairs": PAIRS}, batch_size=1))
    rng = random.Random(12)
    for _ in range(kills):
        before = len(observed("sample_finished"))
        process = workplace.start("run", config)
        deadline = time.monotonic() + 600
        while process.poll() is None and len(observed("sample_finished")) == before:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
    workplace("run", config)
    told = Counter(line["record"]["sample_id"] for line in observed("sample_finished"))
    assert set(told.values()) == {1}
    assert len(NAMES - set(told)) <= kills, "a kill may cost the telling in flight, and no other"
    assert len(observed("run_finished")) == 1
    started = len(observed("run_started"))
    workplace("run", config)
    workplace("report", "out")
    assert sum(told.values()) == len(observed("sample_finished"))
    assert (len(observed("run_started")), len(observed("run_finished"))) == (started, 1)


def test_what_observers_hear(workplace, observed):
    workplace("run", str(workplace.config()))
    (started,), (finished,) = observed("run_started"), observed("run_finished")
    assert started["run"] == finished["run"] == "out"
    written = json.loads((workplace.folder / "out/run.json").read_text())
    assert started["config"] == written["config"]
    assert started["stores"] == sorted(path for paths in written["stores"].values() for path in paths)
    assert finished["summary"] == workplace.summary()
    records = [line["record"] for line in observed("sample_finished")]
    assert {record["sample_id"] for record in records} == {f"s{index}" for index in range(6)}
    assert not any(line["answered"] for line in observed("sample_finished")), "told before the results are written"
    lines = {(line["sample_id"], line["protocol"]): line for line in workplace.predictions()}
    for record in records:
        assert record["pair"] == str(int(record["sample_id"][1:]) // 2)
        assert set(record["categories"]) == {"side"}
        for probing, line in record["probings"].items():
            own = {key: value for key, value in line.items() if key not in ("correct", "iou")}
            assert own == lines[record["sample_id"], probing]
    figures = {row["key"]: row["figures"]["M"]["value"] for row in workplace.summary()["rows"]}
    for row, mean in figures.items():
        mine = [record["probings"]["segment"]["iou"][row] for record in records]
        assert 100 * sum(mine) / len(mine) == pytest.approx(mean)
    stages = Counter(line["stage"] for line in observed("stage_advanced"))
    assert stages["propose"] >= 1
    assert all(line["done"] <= line["total"] and line["seconds"] >= 0 for line in observed("stage_advanced"))
    last = [line for line in observed("stage_advanced") if line["stage"] == "propose"][-1]
    assert last["done"] == last["total"]


def test_progress_is_told_at_most_once_a_second(workplace, observed):
    model = {"name": "toy", "pause": 0.05}
    began = time.monotonic()
    workplace("run", str(workplace.config(model=model, batch_size=1, benchmark={"name": "toy-boxes", "pairs": 6})))
    took = time.monotonic() - began
    counts = Counter(line["stage"] for line in observed("stage_advanced"))
    assert max(counts.values()) <= took + 1


def test_a_sample_that_failed_is_told_once_it_is_good(workplace, observed):
    failing = {"name": "toy", "fails_on": ["s2"]}
    workplace("run", str(workplace.config(model=failing, on_error="record")))
    assert "s2" not in {line["record"]["sample_id"] for line in observed("sample_finished")}
    assert len(observed("sample_finished")) == 5


def test_shards_tell_their_own_and_the_last_command_the_end(workplace, observed):
    config = str(workplace.config())
    for part in ("1/2", "2/2", "2/2"):
        workplace("run", config, "--shard", part)
    assert [line["shard"] for line in observed("part_finished")] == [[1, 2], [2, 2]], "and not again"
    assert len(observed("run_started")) == 2
    assert not observed("run_finished")
    workplace("run", config)
    assert len(observed("part_finished")) == 2
    told = Counter(line["record"]["sample_id"] for line in observed("sample_finished"))
    assert set(told.values()) == {1}
    assert len(told) == 6
    assert len(observed("run_finished")) == 1


def test_another_config_in_the_same_folder_is_another_run(workplace, observed):
    workplace("run", str(workplace.config()))
    workplace("run", str(workplace.config(seed=3)))
    told = Counter(line["record"]["sample_id"] for line in observed("sample_finished"))
    assert set(told.values()) == {2}
    assert len(observed("run_finished")) == 2


def test_an_observer_that_fails_harms_nothing(workplace, observed):
    (workplace.folder / "observed.jsonl").mkdir()
    done = workplace("run", str(workplace.config()))
    assert "observer toy-observer.sample_finished failed: IsADirectoryError" in done.stderr
    assert len(workplace.predictions()) == 18


class Counting(Run):
    """A run that knows how often somebody looked for a sample's records."""

    looked = 0

    def records(self, sample):
        self.looked += 1
        return super().records(sample)


def test_where_nobody_hears_of_samples_none_is_read(workplace, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "toy"))
    monkeypatch.chdir(workplace.folder)
    heard = []
    clerk = plugin(
        run_started=lambda run, config: heard.append("started"),
        run_finished=lambda run, summary: heard.append("finished"),
    )
    registry = loaded(toy=importlib.import_module("toy_pixcore.plugin"), clerk=clerk)
    document = read_yaml(workplace.config(writers=[]))

    def carry_out(**other):
        job = Counting(resolve(document | other, registry))
        job.resolved.config.output.mkdir(exist_ok=True)
        observers = Observers(job, registry, Display(Console(quiet=True)))
        execute(job, observers)
        observers.finish({})
        assert job.looked == 0

    carry_out()
    assert heard == ["started", "finished"]
    carry_out()
    assert heard == ["started", "finished"], "everything is done and told"
    carry_out(output="other")
    assert heard == 2 * ["started", "finished"], "nothing to do, and nobody was told of this folder"
