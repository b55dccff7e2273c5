"""What the server says of runs, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pixcore_attention.raw import file_name
from pixcore_explorer import going
from pixcore_explorer.atlas import MOST_DRAWN, Dots
from pixcore_explorer.command import view
from pixcore_explorer.export import export
from pixcore_explorer.figures import Figures
from pixcore_explorer.maps import Reading
from pixcore_explorer.opened import INDEX, OpenedRun
from pixcore_explorer.runs import about, keep_notes, runs_below
from pixcore_explorer.server import Explorer, serve

import pixcore
from pixcore.errors import DataError
from pixcore.files import RUN, SUMMARY
from pixcore.terminal import Console
from tests.served import answering
from tests.workplace import Workplace


def test_a_run_says_whether_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "deep/run"
    folder.mkdir(parents=True)
    going.begin(str(folder), {"model": {"name": "mini"}, "benchmark": {"name": "mini-world"}, "fidelity": "corrected"})
    ((key, found),) = runs_below([tmp_path]).items()
    told = about(key, found, [tmp_path])
    assert (told["name"], told["state"], told["model"], told["benchmark"]) == (
        "deep/run",
        "running",
        "mini",
        "mini-world",
    )
    state = json.loads((folder / going.STATE).read_text())
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    (folder / going.STATE).write_text(json.dumps({**state, "process": ended.pid}))
    assert about(key, found, [tmp_path])["state"] == "failed"
    going.end(str(folder))
    (folder / RUN).write_text("{")
    assert "run.json is not JSON" in about(key, found, [tmp_path])["error"]
    (folder / RUN).write_text("[]")
    assert "holds no JSON object" in about(key, found, [tmp_path])["error"]


def test_a_run_that_ends_while_it_is_looked_at_is_none_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def seen_last(path: Path) -> bool:
        there = is_file(path)
        if path.name == going.STATE:
            path.unlink(missing_ok=True)
        return there

    monkeypatch.setattr(Path, "is_file", seen_last)
    for look in (
        lambda: going.state_of(tmp_path),
        lambda: going.advance(str(tmp_path), "answer", 1, 2, 0.5),
        lambda: going.end(str(tmp_path)),
    ):
        going.begin(str(tmp_path), {})
        assert look() is None
        assert not (tmp_path / going.STATE).exists()


def test_a_part_that_is_done_is_no_failure(workplace: Workplace) -> None:
    workplace.environment["PIXCORE_PLUGINS"] = "toy,explorer"
    small = {"benchmark": {"name": "toy-boxes", "pairs": 1}, "selections": ["toy-first"], "control": None}
    workplace.config(**small, protocols=["segment"], writers=[])
    workplace("run", "run.yaml", "--shard", "1/2")
    folder = workplace.folder / "out"
    assert going.state_of(folder) is None
    going.begin(str(folder), {})
    state = json.loads((folder / going.STATE).read_text())
    (folder / going.STATE).write_text(json.dumps({**state, "process": os.getppid()}))
    going.end(str(folder))
    assert going.state_of(folder) is not None, "another part is at work"
    going.begin(str(folder), {})
    going.end(str(folder))
    assert going.state_of(folder) is None


def test_a_run_that_takes_the_place_of_another_does_not_show_that_ones_figures(shown: Any, tmp_path: Path) -> None:
    for name in (RUN, SUMMARY):
        (tmp_path / name).write_text((shown.root / "first" / name).read_text())
    config = json.loads((tmp_path / RUN).read_text())["config"]
    ((key, found),) = runs_below([tmp_path]).items()
    going.begin(str(tmp_path), config)
    assert about(key, found, [tmp_path])["rows"], "it goes on with what it has"
    model = {"name": "other", "checkpoint": "a/b"}
    going.begin(str(tmp_path), {**config, "model": model})
    told = about(key, found, [tmp_path])
    assert (told["model"], told["checkpoint"], told["state"]) == ("other", "a/b", "running")
    assert (told["rows"], told["samples"], told["seconds"]) == ([], 0, None)


def test_a_run_on_a_cluster_says_what_each_node_does(tmp_path: Path) -> None:
    going.begin(str(tmp_path), {})
    going.advance(str(tmp_path), "2 stages", 3, 8, 1.0)
    told = {"told": time.time(), "nodes": "node-a 12.1/s, node-b 11.8/s; GPUs busy 7 of 8"}
    (tmp_path / going.NODES).write_text(json.dumps(told))
    ((key, found),) = runs_below([tmp_path]).items()
    stage = "2 stages (node-a 12.1/s, node-b 11.8/s; GPUs busy 7 of 8)"
    assert about(key, found, [tmp_path])["going"]["stage"] == stage
    (tmp_path / going.NODES).write_text(json.dumps(told | {"told": 0}))  # a driver that was killed left it behind
    assert about(key, found, [tmp_path])["going"]["stage"] == "2 stages"


def test_notes_that_are_none_are_refused(tmp_path: Path) -> None:
    for wrong in (
        None,
        [],
        {"tags": "a", "note": ""},
        {"tags": ["a" * 61], "note": ""},
        {"tags": [], "note": "x" * 20_001},
    ):
        with pytest.raises(DataError):
            keep_notes(tmp_path, wrong)
    assert keep_notes(tmp_path, {"tags": [" a ", "a", ""], "note": "n"}) == {"tags": ["a"], "note": "n"}


def test_a_folder_without_runs_is_told_in_one_line(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        found = CliRunner().invoke(view, [str(place)])
        assert isinstance(found.exception, DataError)
        assert "\n" not in str(found.exception)


def test_an_export_that_fails_leaves_a_folder_that_takes_the_next(
    shown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise DataError("the record is damaged")

    monkeypatch.setattr(Figures, "drawn", fails)
    explorer = Explorer([shown.root / "first"])
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "new", tmp_path / "empty"):
        there = target.exists()
        with pytest.raises(DataError, match="is damaged"):
            export(explorer, target, Console(quiet=True))
        assert target.exists() == there
    assert not [*(tmp_path / "empty").iterdir()]
    earlier = tmp_path / "earlier"
    (earlier / "data").mkdir(parents=True)
    (earlier / "index.html").write_text("<html data-exported>")
    with pytest.raises(DataError, match="is damaged"):
        export(explorer, earlier, Console(quiet=True))
    assert (earlier / "index.html").exists(), "what an earlier export wrote stays"
    assert (earlier / "data").exists()


def test_an_export_over_an_earlier_one_keeps_nothing_of_runs_that_are_in_it_no_more(shown: Any, tmp_path: Path) -> None:
    site, data = tmp_path / "site", tmp_path / "site" / "data"
    export(Explorer([shown.root / "first", shown.root / "second"]), site, Console(quiet=True))
    first, second = shown.key("first"), shown.key("second")
    assert {f"{first}-lines.js", f"{second}-lines.js"} <= {path.name for path in data.iterdir()}
    (data / f"{first}-99-samples.js").write_text("of when it had more samples")
    own = {"mine.js", "2026010112-results.csv", "0123456789-notes.js"}
    for name in own:
        (data / name).write_text("somebody's own")
    export(Explorer([shown.root / "first"]), site, Console(quiet=True))
    left = {path.name for path in data.iterdir()}
    assert {f"{first}-lines.js", f"{first}-0-samples.js", "runs.js", *own} <= left
    assert not [name for name in left if name.startswith(second) or "-99-" in name]


def test_a_run_that_can_not_be_read_is_named_and_left_out_of_an_export(shown: Any, tmp_path: Path) -> None:
    root, store = tmp_path / "runs", str(shown.root.parent / "store")
    changes = {
        "moved": lambda text: text.replace(store, str(tmp_path / "gone")),
        "no plugin": lambda text: text.replace('"name": "mini"', '"name": "nobodys"'),
        "damaged": lambda text: text[:100],
        "whole": lambda text: text,
    }
    for name, change in changes.items():
        (root / name).mkdir(parents=True)
        (root / name / SUMMARY).write_text((shown.root / "first" / SUMMARY).read_text())
        (root / name / RUN).write_text(change((shown.root / "first" / RUN).read_text()))
    told = io.StringIO()
    page = export(Explorer([root]), tmp_path / "site", Console(file=told, width=60))
    lines = dict(line.split(" is left out: ") for line in told.getvalue().splitlines())
    assert set(lines) == {"moved", "no plugin", "damaged"}
    assert "are not at" in lines["moved"]
    assert "'nobodys'" in lines["no plugin"]
    assert "is not JSON" in lines["damaged"]
    runs = (page.parent / "data/runs.js").read_text()
    assert '"name":"whole"' in runs
    assert '"name":"moved"' not in runs
    with pytest.raises(DataError, match="no run is done and can be read"):
        export(Explorer([root / "moved"]), tmp_path / "none", Console(quiet=True))
    assert not (tmp_path / "none").exists()


def test_an_export_does_not_say_where_its_runs_and_their_data_lay(shown: Any, tmp_path: Path) -> None:
    folder, said = shown.root / "first", f"an error says {shown.root}/first/a.png, a person and/or one"
    keep_notes(folder, {"tags": [], "note": said})
    try:
        page = export(Explorer([folder]), tmp_path / "site", Console(quiet=True))
    finally:
        (folder / "notes.json").unlink()
    assert not [one for one in page.parent.rglob("*.js") if str(shown.root) in one.read_text()]
    assert "an error says first/a.png, a person and/or one" in (page.parent / "data/runs.js").read_text()


def _bytes(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as response:
        read: bytes = response.read()
        return read


def _status(address: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else text


def test_lines_come_in_parts_and_are_read_again_as_they_were(shown: Any) -> None:
    key = shown.key("first")
    run = shown.explorer.opened(key)[0]
    every = [*run.wait()]
    assert len(every) == 8
    parts = [shown.explorer.lines(key, since, most=3) for since in (0, 3, 6)]
    assert [line for part in parts for line in part["entries"]] == every
    assert [part["done"] for part in parts] == [False, False, True]
    again = OpenedRun(run.folder)
    assert [*again.wait()] == every
    assert again.wait().atlas == run.wait().atlas
    (run.folder / INDEX).write_text((run.folder / INDEX).read_text()[:-40])
    assert [*OpenedRun(run.folder).wait()] == every


def test_many_runs_hold_the_records_of_a_few_open(shown: Any, tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"run {number}").mkdir()
        for name in (RUN, SUMMARY):
            (tmp_path / f"run {number}" / name).write_text((shown.root / "first" / name).read_text())
    explorer = Explorer([tmp_path])
    runs = [explorer.opened(told["key"])[0] for told in explorer.runs()]
    (name, *_) = (line["id"] for line in runs[0].wait())
    for _ in range(2):
        for run in runs:
            assert run.payload(name)["id"] == name
            assert sum("job" in vars(one) for one in runs) <= 4
            assert "job" in vars(run)
    first, last = runs[0], runs[-1]
    with ThreadPoolExecutor(1) as elsewhere, last.lock:  # it is being read
        assert elsewhere.submit(lambda: [one.payload(name)["id"] for one in runs[:-1]]).result() == [name] * 6
        assert "job" in vars(last)
    assert first.payload(name)["id"] == name


def test_every_sample_of_a_run_that_goes_on_has_its_turn(shown: Any) -> None:
    """One a question: a long run is read a little at a time, and no part of it stays unread."""
    run = OpenedRun(shown.root / "going", moment=0)
    counts = [len(run.lines().entries) for _ in range(9)]
    assert counts == [1, 2, 3, 4, 5, 6, 7, 8, 8]


def test_a_run_that_was_made_again_is_shown_as_it_is_now(tmp_path: Path) -> None:
    config = {
        "benchmark": {"name": "mini-world", "pairs": 2},
        "protocols": ["segment"],
        "store": str(tmp_path / "store"),
    }
    first = pixcore.run(config, output=tmp_path / "run", limit=2, points={"name": "peak", "rank": 2})
    name = first.samples()[0].id
    ((key, _),) = runs_below([tmp_path]).items()
    explorer = Explorer([tmp_path])
    run, looking = explorer.opened(key)
    asked, given = Reading.of(name, {"probing": "segment"}), {"points": [[30, 30, 1]]}
    server = serve(explorer)
    with answering(server):
        picture = f"{server.address}runs/{key}/thumbnail?id={name}&probing=segment&row=oracle"
        before = run.payload(name), looking.masks(asked, given), _bytes(picture)
        pixcore.run(config, output=tmp_path / "run", masks={"name": "regions", "working_side": 16})
        assert _bytes(picture) != before[2]
    assert run.payload(name) != before[0]
    assert looking.masks(asked, given) != before[1]
    assert run.wait().total == 4


def test_what_the_server_refuses(shown: Any) -> None:
    root, key = shown.address.rsplit("/", 2)[0] + "/", shown.key("first")
    assert _status(root)[0] == 404
    assert _status(root + "wrong-token/runs")[0] == 404
    assert _status(shown.address + "runs", Host="evil.example")[0] == 400
    assert _status(shown.address + "runs", Origin="https://evil.example")[0] == 403
    for place in ("server.py", "runs/unknown/lines", "..%2fserver.py"):
        assert _status(shown.address + place)[0] == 404
    name = shown.explorer.opened(key)[0].wait().entries.name(0)
    masks = f"{shown.address}runs/{key}/masks?id={name}"
    for wrong in (
        {},
        {"probing": "segment"},
        {"probing": "segment", "points": [[-1, 5, 1]]},
        {"probing": "segment", "points": [[1e9, 5, 1]]},
        {"probing": "segment", "points": [[1, 1, 1]] * 33},
        {"probing": "segment", "points": [[1, 1, 0]]},
        {"probing": "segment", "points": [[10**400, 1, 1]]},
        {"probing": "segment", "points": "x"},
        {"probing": "segment", "tokens": [10_000]},
        {"probing": "segment", "tokens": [True]},
        {"probing": "segment", "tokens": [0], "layer": True},
        {"probing": "segment", "tokens": [0], "layer": 99},
        {"probing": "segment", "tokens": [0], "transforms": ["nobody"]},
        {"probing": "nobody", "points": [[1, 1, 1]]},
    ):
        status, said = _status(masks, wrong)
        assert status == 400, wrong
        assert said["error"]
        assert "\n" not in said["error"]
    assert _status(f"{shown.address}runs/{key}/sample?id=nobody")[0] == 400
    assert _status(f"{shown.address}runs/{key}/sample")[0] == 400
    for wrong in ("0-nothing.csv", "9-success.csv", "0-success.png", "success.csv", "..%2f0-success.csv"):
        assert _status(f"{shown.address}runs/{key}/figures/{wrong}")[0] in (400, 404), wrong
    assert "no masks under 'nobody'" in shown.ask(f"runs/{key}/figures?probing=nobody")["error"]


def test_rows_that_another_run_has_written_over_are_not_shown_as_an_answers_own(shown: Any) -> None:
    run, looking = shown.explorer.opened(shown.key("first"))
    name = next(iter(run.wait()))["id"]
    reading = Reading.of(name, {"probing": "segment"})
    path = shown.root.parent / "rows" / file_name(name, "segment")
    kept, rows = path.read_bytes(), np.load(path)
    assert looking.maps(reading)["layers"] == rows.shape[1]
    try:
        for other in (rows[:, :, :, ::-1], np.random.default_rng(0).random(rows.shape)):
            np.save(path, other.astype(np.float16))
            assert looking.maps(reading)["layers"] == 0
        path.write_bytes(kept[: len(kept) // 2])
        assert looking.maps(reading)["layers"] == 0
        with pytest.raises(DataError, match="kept no rows"):
            looking.matrix(reading, [0])
    finally:
        path.write_bytes(kept)
    assert looking.maps(reading)["layers"] == rows.shape[1]


def test_an_atlas_counts_every_phrase_and_draws_some_of_many_evenly() -> None:
    dots = Dots()
    for number in range(10_000):
        dots.add(number, 0.0, 0.5, 3 if number % 100 == 0 else 1, "a phrase")
    every, *concepts = dots.drawn()
    assert [every["of"], *(one["of"] for one in concepts)] == [10_000, 0, 9900, 0, 100, 0, 0, 0]
    places = [dot[0] for dot in every["drawn"]]
    assert len(places) == MOST_DRAWN
    assert {later - one for one, later in pairwise(places)} == {3, 4}
    assert [dot[0] for dot in concepts[3]["drawn"]] == [*range(0, 10_000, 100)]
