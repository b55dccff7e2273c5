"""Whole runs from the command line: the estimate, the budget, what a second run costs, drift, and the key."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from pixcore.cli import main
from pixcore.plugins import registry

KEY = "sk-test-3f9d2c71b8a04e6595d1c0ffee"
TOY = Path(__file__).resolve().parents[3] / "tests" / "toy"


class Place:
    """A folder with a config of the core's toy components, judged by a language model; commands run in-process."""

    def __init__(self, folder: Path, url: str, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capture = capture
        self.document = {
            "benchmark": {"name": "toy-boxes", "pairs": 3},
            "model": "toy",
            "extractor": "toy-rows",
            "transforms": [],
            "grouper": "toy-each",
            "points": "toy-peak",
            "masks": "toy-squares",
            "selections": ["toy-best", {"name": "automatic", "base_url": url, "attempts": 2}],
            "control": None,
            "judge": {"name": "openai", "base_url": url, "attempts": 2},
            "letter_judge": "toy-judge",
            "output": "out",
            "store": "store",
        }

    def write(self, **changes: object) -> str:
        """Write the config with some sections changed."""
        config = self.folder / "run.yaml"
        config.write_text(yaml.safe_dump({**self.document, **changes}))
        return str(config)

    def __call__(self, *arguments: str, status: int = 0, **changes: object) -> Done:
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["run", self.write(**changes), *arguments])
        said = self.capture.readouterr()
        assert ended.value.code == status, said
        return Done(said.out, said.err)


class Done(NamedTuple):
    """What a command said."""

    stdout: str
    stderr: str


@pytest.fixture
def place(tmp_path, server, monkeypatch, capfd):
    server.script.answer = lambda asked: '{"answer": "yes", "number": 1}'
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("PIXCORE_PLUGINS", "toy,openai,services,statistics")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    registry.cache_clear()
    yield Place(tmp_path, server.url, capfd)
    registry.cache_clear()


def test_a_second_run_costs_nothing_and_needs_no_key(place, server, monkeypatch):
    place()
    asked = len(server.calls)
    assert asked > 0
    first = (place.folder / "out" / "summary.json").read_text()
    monkeypatch.delenv("OPENAI_API_KEY")
    place(output="elsewhere")
    assert len(server.calls) == asked
    assert (place.folder / "elsewhere" / "summary.json").read_text() == first
    changed = {**place.document["judge"], "concurrency": 2, "timeout": 9}
    place(judge=changed)
    assert len(server.calls) == asked, "how a server is asked changes no record"


def test_of_what_was_paid_for_only_what_is_damaged_is_paid_again_and_that_is_told(place, server):
    place()
    asked, figures = len(server.calls), (place.folder / "out" / "summary.json").read_text()
    (store,) = place.folder.glob("store/exchanges-*.sqlite")
    with sqlite3.connect(store) as database:
        one = "key = (SELECT min(key) FROM exchanges WHERE document LIKE '%yes%')"
        database.execute(f"UPDATE exchanges SET document = replace(document, 'yes', 'yet') WHERE {one}")
    for stage in ("select", "judge"):
        for path in place.folder.glob(f"store/{stage}-*"):
            path.unlink()
    said = place().stderr
    assert len(server.calls) == asked + 1
    assert said.count("is not as it was written; it is asked for anew") == 1
    assert (place.folder / "out" / "summary.json").read_text() == figures


def test_a_budget_that_cannot_be_kept_is_refused_before_anything_is_computed(place, server):
    for section in ("judge", "selections"):
        unknown = {**place.document["judge"], "model": "my-own"}
        named = [*place.document["selections"][:1], {**unknown, "name": "automatic"}]
        refused = place(budget=5, status=2, **{section: unknown if section == "judge" else named})
        assert "budget: 5 USD can't be kept: the price of model 'my-own' is not known" in refused.stderr
        for path in place.folder.glob("store/*.sqlite"):
            with sqlite3.connect(path) as database:
                assert database.execute("SELECT count(*) FROM records").fetchone() == (0,)
    place(budget={"calls": 500}, judge=unknown)
    place(budget=5, judge=unknown)  # nothing is left to ask


def test_the_estimate_spends_nothing_and_comes_true(place, server):
    before = place("--estimate").stdout
    assert not server.calls
    assert "assumed: none is computed yet" in before
    assert "gpt-5.1" in before
    assert "gpt-4o" in before
    place("--limit", "2")
    assert len(server.calls) > 0
    told = place("--estimate").stdout
    assert "spent before" in told
    place()
    calls = len(server.calls)
    ledger = [json.loads(line) for line in (place.folder / "out" / "spending.jsonl").read_text().splitlines()]
    assert sum(line["calls"] for line in ledger) == calls
    assert all(line["usd"] > 0 for line in ledger)
    after = place("--estimate").stdout
    assert "nothing left to ask" in after
    unknown = {**place.document["judge"], "model": "my-own"}
    assert "price unknown" in place("--estimate", judge=unknown).stdout
    refused = place("--estimate", judge=unknown, budget=5, status=2)
    assert "price unknown" in refused.stdout
    assert "budget: 5 USD can't be kept: the price of model 'my-own' is not known" in refused.stderr
    refused = place("--estimate", "--json", "-", judge=unknown, budget=5, status=2)
    assert any(line["expense"]["usd"] is None for line in json.loads(refused.stdout)["services"])
    assert "budget: 5 USD can't be kept" in refused.stderr
    budget = {"usd": 0.5, "tokens": 2_000_000}
    assert "budget: 0.5 usd, 2,000,000 tokens\n" in place("--estimate", budget=budget).stdout
    assert (
        "price unknown" not in place("--estimate", judge=unknown, prices={"my-own": {"input": 0, "output": 0}}).stdout
    )


def test_a_budget_stops_the_run_and_more_of_it_goes_on(place, server):
    stopped = place(budget={"calls": 7}, status=2)
    assert "the budget of 7 calls is spent" in stopped.stderr
    assert "raise budget:" in stopped.stderr
    assert len(server.calls) == 7
    place(budget={"calls": 7}, status=2)
    assert len(server.calls) == 7, "what was spent counts on"
    place(budget={"calls": 1000})
    asked = {call.digest for call in server.calls}
    assert len(asked) == len(server.calls), "nothing is asked twice"


def test_a_budget_in_dollars_needs_a_price(place, server):
    judge = {**place.document["judge"], "model": "my-own"}
    stopped = place(budget=5, judge=judge, selections=["toy-best"], status=2)
    assert "price of model 'my-own' is not known" in stopped.stderr
    assert not server.calls
    place(budget=5, judge=judge, selections=["toy-best"], prices={"my-own": {"input": 0.1, "output": 0.2}})


def test_a_fresh_judge_asks_anew_and_tells_the_drift(place, server):
    place()
    asked = len(server.calls)
    server.script.answer = lambda asked: '{"answer": "no", "number": 2}'
    server.script.fingerprint = "fp_2"
    told = place("--fresh-judge").stderr
    assert len(server.calls) > asked
    drift = json.loads((place.folder / "out" / "drift.json").read_text())["stages"]
    judged = drift["judge: question"]
    assert judged["asked"] == judged["compared"] == len(judged["changed"]) == 6
    assert judged["served"] == {"before": ["served-model-2026-11 fp_1"], "after": ["served-model-2026-11 fp_2"]}
    assert "6 of 6 changed (100.0 %)" in told
    assert {judged["agreement"][which][0] for which in ("gained", "lost")} == {0, 6}  # all one way
    calls = len(server.calls)
    place()
    assert len(server.calls) == calls, "the fresh answers are the ones that are kept"


def test_where_there_is_no_server_it_says_how_to_name_one_before_anything_is_computed(place, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    log = tmp_path / "log"
    stopped = place(selections=["automatic"], model={"name": "toy", "log": str(log)}, status=2)
    assert "OPENAI_API_KEY is not set" in stopped.stderr
    assert "base_url: http://localhost:8000/v1" in stopped.stderr
    assert not log.exists()


def test_one_failed_sample_is_recorded_and_the_run_goes_on(place, server):
    failing = []

    def faults(asked, count):
        if not failing and not asked.images:
            failing.append(asked.digest)
        return "500" if asked.digest in failing else None

    server.script.faults = faults
    done = place(on_error="record", benchmark={"name": "toy-boxes", "pairs": 3})
    assert "failed" in done.stderr
    assert (place.folder / "out" / "summary.json").exists()


@pytest.mark.parametrize("fault", [None, "401", "400", "500"])
def test_the_key_is_nowhere(place, server, monkeypatch, fault):
    """In no file that a run writes and in nothing that it prints, however it ends and whatever the server says."""
    server.script.faults = lambda asked, count: fault
    server.script.answer = lambda asked: f'{{"answer": "yes", "number": 1}} {asked.authorization}'
    # a wrong key ends every run; errors throughout do where enough calls fail in a row to take the server for dead
    first, second = {"401": (2, 2), "500": (2, 0)}.get(fault, (0, 0))
    said = [*place("--fresh-judge", "--traceback", status=first, on_error="record")]
    key_file = place.folder / "key.txt"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    monkeypatch.delenv("OPENAI_API_KEY")
    from_file = {**place.document["judge"], "api_key_file": str(key_file), "model": "other"}
    said += place("--traceback", judge=from_file, selections=["toy-best"], status=second, on_error="record")
    assert {call.authorization for call in server.calls} == {f"Bearer {KEY}"}
    key_file.unlink()
    no_key_in(said, place.folder)


def test_the_key_is_in_no_debug_log(place):
    """The client logs requests where `OPENAI_LOG` says so, which it reads when it is imported."""
    command = [sys.executable, "-m", "pixcore", "run", place.write(selections=["toy-best"])]
    environment = {**os.environ, "PYTHONPATH": str(TOY), "OPENAI_LOG": "debug"}
    done = subprocess.run(command, cwd=place.folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "HTTP Response" in done.stderr, "there is a log to search"
    no_key_in([done.stdout, done.stderr], place.folder)


def no_key_in(said, folder):
    for text in said:
        assert KEY not in text
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 2
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
        if path.suffix == ".sqlite":
            with sqlite3.connect(path) as database:
                assert KEY not in "\n".join(database.iterdump())


def test_the_flip_rate_stands_with_the_table(place, server):
    selections = ["toy-best", {**place.document["selections"][1], "orders": 3}]
    place(selections=selections)
    notes = json.loads((place.folder / "out" / "summary.json").read_text())["notes"]
    assert any(note.startswith("automatic: another order of the pictures changes") for note in notes), notes
