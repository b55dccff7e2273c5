"""Whole runs whose text is from elsewhere: a real server with real faults, an earlier run's file, mini to replay it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from PIL import Image as PILImage
from pixcore_replay.served import BLIND, SILENT

from pixcore.cli import main
from pixcore.plugins import registry
from pixcore.records import Image

PLUGINS = (
    "replay,folder,table,openai,services,statistics,mini,mini-world,attention,points,regions,selection,groupers,judges,"
    "scoring"
)


class Done(NamedTuple):
    """What a command said."""

    stdout: str
    stderr: str


class Place:
    """A folder with a config of mini on three pairs of drawn scenes; commands run in this process."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capture = folder, capture

    def write(self, **changes: object) -> str:
        """Write the config with some sections changed."""
        document = {
            "benchmark": {"name": "mini-world", "pairs": 3},
            "model": "mini",
            "grouper": "words",
            "selections": ["oracle"],
            "output": "out",
            "store": "store",
        }
        (self.folder / "run.yaml").write_text(yaml.safe_dump({**document, **changes}))
        return str(self.folder / "run.yaml")

    def __call__(self, *arguments: str, status: int = 0, **changes: object) -> Done:
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["run", self.write(**changes), *arguments])
        said = self.capture.readouterr()
        assert ended.value.code == status, said
        return Done(said.out, said.err)

    def lines(self, output: str = "out") -> list[dict[str, Any]]:
        """What a run predicted."""
        return known(json.loads(line) for line in (self.folder / output / "predictions.jsonl").read_text().splitlines())

    def notes(self, output: str = "out") -> list[str]:
        """What stands below a run's table."""
        return list(json.loads((self.folder / output / "summary.json").read_text())["notes"])


@pytest.fixture
def place(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXCORE_PLUGINS", PLUGINS)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    registry.cache_clear()
    yield Place(tmp_path, capfd)
    registry.cache_clear()


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """What mini itself predicts: the run that a replay is held to, and its answers by picture and prompt."""
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PIXCORE_PLUGINS", PLUGINS)
        registry.cache_clear()
        config = Place(folder, None).write()  # type: ignore[arg-type]  # nothing is captured
        with pytest.raises(SystemExit) as ended:
            main(["run", config])
        assert ended.value.code == 0
        from pixcore_mini_world.benchmark import MiniWorld
        from pixcore_mini_world.config import MiniWorldConfig

        pictures = {sample.id: shown(sample.image) for sample in MiniWorld(MiniWorldConfig(pairs=3)).samples()}
    registry.cache_clear()
    lines = [json.loads(line) for line in (folder / "out" / "predictions.jsonl").read_text().splitlines()]
    return folder, lines, {(pictures[line["sample_id"]], line["prompt"]): line["text"] for line in lines}


def known(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predictions without the spans of answers that nobody looks at: there a server's tokens are words."""
    return [
        {key: value for key, value in line.items() if key != "token_spans" or line["protocol"] != "letter"}
        for line in lines
    ]


def shown(image: Image | Any) -> str:
    """A hash of a picture's pixels."""
    pixels = image.pixels() if isinstance(image, Image) else image
    return hashlib.sha256(pixels.tobytes()).hexdigest()


@pytest.fixture
def speaking(server, live):
    """A server that answers as mini does."""
    _, _, texts = live
    server.script.answer = lambda asked: texts[shown(asked.images[0]), asked.text]
    return server


def text_from(server: Any, **options: object) -> dict[str, object]:
    """The model mini with its text from a server."""
    return {"name": "mini", "text": {"server": server.url, "model": "mini", "attempts": 2, **options}}


def test_text_from_a_server_and_attention_from_a_replay_are_what_the_model_says_and_sees_itself(place, speaking, live):
    _, expected, _ = live
    speaking.script.faults = lambda asked, count: "500" if not count and int(asked.digest, 16) % 5 == 0 else None
    estimate = place("--estimate", model=text_from(speaking)).stdout
    assert not speaking.calls
    assert "answer (text alone)" in estimate
    place(model=text_from(speaking))
    assert place.lines() == known(expected), "spans, points, masks and choices are those of the live run"
    assert {tuple(part["type"] for part in call.body["messages"][0]["content"]) for call in speaking.calls} == {
        ("image_url", "text")
    }
    assert all(call.body["temperature"] == 0 for call in speaking.calls)
    document = json.loads((place.folder / "out" / "run.json").read_text())["config"]["model"]
    assert (document["name"], document["model"]["name"], document["text"]["name"]) == ("replayed", "mini", "served")
    asked = len(speaking.calls)
    place(model=document)
    place(model=text_from(speaking, concurrency=3), output="again")
    assert len(speaking.calls) == asked, "a second run, and how a server is asked, cost nothing"


def test_a_budget_stops_the_run_and_more_of_it_goes_on(place, speaking):
    model = {"name": "served", "server": speaking.url, "model": "mini", "attempts": 2}
    stopped = place(model=model, budget={"calls": 5}, status=2)
    assert "the budget of 5 calls is spent" in stopped.stderr
    assert len(speaking.calls) == 5
    place(model=model, budget={"calls": 100})
    assert len({call.digest for call in speaking.calls}) == len(speaking.calls), "nothing is asked twice"
    ledger = (place.folder / "out" / "spending.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["calls"] for line in ledger) == len(speaking.calls)


def test_a_model_that_only_answers_has_a_row_of_answers_and_the_table_says_why(place, speaking, live):
    _, expected, _ = live
    said = place(model={"name": "served", "server": speaking.url, "model": "mini"})
    assert [line["text"] for line in place.lines()] == [line["text"] for line in expected]
    summary = json.loads((place.folder / "out" / "summary.json").read_text())
    assert [row["key"] for row in summary["rows"]] == ["answers"]
    assert f"18 answers: {BLIND}" in place.notes()
    assert "gives no attention" in said.stdout


def test_a_run_that_is_killed_asks_nothing_twice_that_was_answered(place, speaking):
    model = {"name": "served", "server": speaking.url, "model": "mini", "timeout": 300}
    hung: list[str] = []

    def faults(asked: Any, count: int) -> str | None:
        if not hung and sum(speaking.answered.values()) >= 4:
            hung.append(asked.digest)
        return "hang" if hung == [asked.digest] and count == 0 else None

    speaking.script.faults = faults
    command = [sys.executable, "-m", "pixcore", "run", place.write(model=model, masks=None)]
    running = subprocess.Popen(command, cwd=place.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not hung or remembered(place.folder) < sum(speaking.answered.values()):
        assert running.poll() is None
        time.sleep(0.1)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    place(model=model, masks=None)
    assert set(speaking.answered.values()) == {1}
    assert len(place.lines()) == 18


def remembered(folder: Path) -> int:
    """How many answers a run has kept."""
    for path in (folder / "store").glob("exchanges-*.sqlite"):
        with sqlite3.connect(path, timeout=30) as database:
            try:
                return int(database.execute("SELECT count(*) FROM exchanges").fetchone()[0])
            except sqlite3.OperationalError:
                return 0
    return 0


def test_one_refused_request_costs_its_sample_alone(place, speaking):
    first: list[str] = []

    def faults(asked: Any, count: int) -> str | None:
        first.append(asked.digest)
        return "400" if asked.digest == first[0] else None

    speaking.script.faults = faults
    model = {"name": "served", "server": speaking.url, "model": "mini"}
    place(model=model, on_error="record")
    failed = [line for line in place.lines() if line.get("error")]
    assert len(failed) == 1
    assert "400" in failed[0]["error"]
    assert set(speaking.seen.values()) == {1}, "neighbours, and the refused one, are asked once"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"text": 3}, "model.text: got 3 (expected {server: http://localhost:8000/v1"),
        ({"text": {"server": "localhost:8000", "model": "m"}}, "model.text.server: got 'localhost:8000'"),
        ({"text": {"server": "http://localhost:1/v1"}}, "model.text.model: is needed and missing"),
        ({"text": {"server": "http://localhost:1/v1", "model": "m", "patiense": 3}}, "did you mean 'patience'?"),
        (
            {"text": {"server": "http://localhost:1/v1", "base_url": "http://localhost:1/v1", "model": "m"}},
            "base_url and server are two names of one option: leave one out",
        ),
        ({"text": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"text": "texts.xlsx"}, "save a table of a spreadsheet as .csv"),
        ({"text": {"name": "replayed"}}, "model.text"),
        ({"text": {"name": "nobody"}}, "no installed plugin offers the model adapter 'nobody'"),
        ({"text": "texts.csv", "checkpont": "x"}, "did you mean 'checkpoint'?"),
        ({"name": "recorded", "file": "texts.csv", "text": "texts.csv"}, "the model 'recorded' can't replay a text"),
    ],
)
def test_what_a_config_gets_wrong_is_said_in_one_line(place, change, error):
    (place.folder / "texts.xlsx").write_bytes(b"PK")
    (place.folder / "texts.csv").write_text("index,protocol,prediction\ntest-0-0000a,question,A car.\n")
    said = place(model={"name": "mini", **change}, status=2).stderr
    assert error in said
    assert len([line for line in said.splitlines() if line.startswith("error")]) == 1
    assert "Traceback" not in said


def test_a_text_of_unknown_price_under_a_budget_in_dollars_is_refused_at_once(place, speaking):
    assert "budget: 5 USD can't be kept" in place(model=text_from(speaking), budget=5, status=2).stderr
    assert not speaking.calls


def test_a_wrong_key_ends_the_run_and_is_not_printed(place, speaking):
    speaking.script.faults = lambda asked, count: "401"
    said = place(model=text_from(speaking), on_error="record", status=2).stderr
    assert "sk-test" not in said
    assert "error: " in said


@pytest.mark.parametrize("replayed", [False, True])
def test_samples_that_are_asked_alike_have_each_its_own_recorded_text(place, replayed):
    rows = []
    for name, text in (("a", "It is a car."), ("b", "It is a tree.")):
        PILImage.new("RGB", (64, 64), "green").save(place.folder / f"{name}.png")
        rows.append({"sample_id": name, "protocol": "question", "text": text})
    (place.folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    listed = "".join(f"{name},{name}.png,What is it?,a car|a tree,0\n" for name in "ab")
    (place.folder / "samples.csv").write_text("id,image,question,options,answer\n" + listed)
    model = {"name": "mini", "text": "texts.jsonl"} if replayed else {"name": "recorded", "file": "texts.jsonl"}
    benchmark = {"name": "folder", "root": ".", "images": "."}
    alone = {"extractor": None, "masks": None, "selections": [], "protocols": ["question"]}
    place("--sample", "b", benchmark=benchmark, model=model, **alone)
    place(benchmark=benchmark, model=model, **alone)
    assert {line["sample_id"]: line["text"] for line in place.lines()} == {
        row["sample_id"]: row["text"] for row in rows
    }


def test_an_earlier_runs_texts_are_replayed_and_what_the_tokenizer_lacks_is_said(place, live):
    folder, expected, _ = live
    file = folder / "out" / "predictions.jsonl"
    place(model={"name": "mini", "text": str(file)})
    assert place.lines() == known(expected)
    strange = [
        {**line, "text": "\N{AUTOMOBILE} quixotic car, parked." if n == 0 else line["text"]}
        for n, line in enumerate(expected)
    ]
    (place.folder / "strange.jsonl").write_text("".join(json.dumps(line) + "\n" for line in strange))
    said = place(model={"name": "mini", "text": "strange.jsonl"}, output="strange")
    assert "1 answer: the replaying tokenizer can't reproduce this text" in said.stdout
    assert any("can't reproduce" in note for note in place.notes("strange"))
    first = place.lines("strange")[0]
    assert first["text"] == strange[0]["text"], "the text is judged and grouped to the letter"
    phrases = [candidate["phrase"] for candidate in first["candidates"]]
    assert "car" in phrases
    assert "quixotic" not in phrases


def test_half_a_surrogate_pair_is_replayed_as_what_stands_for_it(place, live):
    _, expected, _ = live
    strange = [{**line, "text": "A car \ud83d."} if n == 0 else line for n, line in enumerate(expected)]
    (place.folder / "strange.jsonl").write_text("".join(json.dumps(line) + "\n" for line in strange))
    said = place(model={"name": "mini", "text": "strange.jsonl"})
    assert "1 answer: the replaying tokenizer can't reproduce this text" in said.stdout
    assert place.lines()[0]["text"] == "A car \ud83d."


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize(
    ("reason", "notice"), [("length", SILENT), ("max_tokens", SILENT), ("content_filter", BLIND)], ids=str
)
def test_an_answer_of_which_nothing_came_is_empty_and_says_why(place, speaking, replayed, reason, notice):
    thought = {"role": "assistant", "content": None, "reasoning_content": "The user asks about a car, so"}
    speaking.script.choice = {"finish_reason": reason, "message": thought}
    served = {"server": speaking.url, "model": "mini"}
    place(model={"name": "mini", "text": served} if replayed else {"name": "served", **served})
    assert {line["text"] for line in place.lines()} == {""}
    notes = place.notes()
    assert any(notice in note for note in notes) == (notice == SILENT or not replayed), notes
