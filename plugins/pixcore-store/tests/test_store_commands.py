"""Stores made apart become one; what contradicts is told; what is damaged is found; what no run needs goes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pixcore_store import commands
from pixcore_store.folders import StoreFile
from pixcore_store.merging import merge

from pixcore.errors import StoreError
from pixcore.stages.serialise import Entry
from pixcore.stages.store import StageStore
from tests.workplace import Workplace

INGREDIENTS = {"model": {"name": "toy", "version": "1"}, "seed": 0}


def store_of(folder: Path, values: dict[str, Any], stage: str = "answer") -> StageStore:
    store = StageStore(folder, stage, INGREDIENTS)
    for key, value in values.items():
        store.put(key, f"sample {key}", Entry({"text": value}, {"map": np.arange(6, dtype=np.float16)}))
    store.spend(float(len(values)))
    return store


def called(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], standalone_mode=False)


def test_an_answer_that_was_asked_for_twice_is_one_where_the_same_was_said(tmp_path: Path) -> None:
    for name, asked, said in (("a", "9:00", "yes"), ("b", "9:05", "yes"), ("c", "9:10", "no")):
        store = StageStore(tmp_path / name, "exchanges", {})
        store.remember("paid", {"text": said, "asked": asked, "attempts": 1})
        store.close()
    found = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "united", lambda line: None)
    assert (found.exchanges, found.conflicts) == (1, [])
    assert len(merge([tmp_path / "c"], tmp_path / "united", lambda line: None).conflicts) == 1


def test_stores_are_merged_and_none_is_changed(tmp_path: Path) -> None:
    first = store_of(tmp_path / "a", {"1": "one", "2": "two"})
    first.put_failure("9", "sample 9", "broke")
    second = store_of(tmp_path / "b", {"2": "two", "3": "three", "9": "nine"})
    second.remember("paid", {"said": "yes"})
    for store in (first, second):
        store.close()
    before = {path: path.read_bytes() for path in tmp_path.glob("*/*.sqlite")}
    found = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c", lambda line: None)
    assert (found.records, found.same, found.failures, found.exchanges, found.conflicts) == (4, 1, 1, 1, [])
    assert {path: path.read_bytes() for path in before} == before
    united = StageStore(tmp_path / "c", "answer", INGREDIENTS)
    assert [united.get(key).body["text"] for key in "1239"] == ["one", "two", "three", "nine"]  # type: ignore[union-attr]
    assert united.failure("9") is None
    assert united.recall("paid") == {"said": "yes"}
    assert united.seconds == 5.0
    again = merge([tmp_path / "a"], tmp_path / "c", lambda line: None)
    assert (again.records, again.same, again.failures) == (0, 2, 0)
    assert united.seconds == 5.0
    grown = StageStore(tmp_path / "a", "answer", INGREDIENTS)
    grown.put("4", "sample 4", Entry({"text": "four"}))
    grown.spend(1.5)
    assert merge([tmp_path / "a"], tmp_path / "c", lambda line: None).records == 1
    assert united.seconds == 6.5  # what was added before is not added again


def test_a_conflict_is_told_and_the_first_stays(tmp_path: Path) -> None:
    store_of(tmp_path / "a", {"1": "one"})
    store_of(tmp_path / "b", {"1": "other"})
    done = called(commands.merge, tmp_path / "a", tmp_path / "b", "-o", tmp_path / "c")
    assert done.return_value == 1
    assert "has another record of sample 1 than" in done.output
    kept = StageStore(tmp_path / "c", "answer", INGREDIENTS).get("1")
    assert kept is not None
    assert kept.body == {"text": "one"}


@pytest.mark.parametrize("value", [np.array(5.0), np.array([np.nan, 1]), np.zeros((2, 0))])
def test_a_record_that_was_packed_otherwise_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: np.ndarray[Any, Any]
) -> None:
    packed = zlib.compress
    for folder, effort in (("a", 1), ("b", 9)):
        with monkeypatch.context() as patch:
            patch.setattr(zlib, "compress", lambda data, effort=effort, **_: packed(data, effort))
            store = StageStore(tmp_path / folder, "answer", INGREDIENTS)
            store.put("1", "sample 1", Entry({}, {"map": value}))
            store.close()
    found = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c", lambda line: None)
    assert (found.records, found.same, found.conflicts) == (1, 1, [])


def test_a_damaged_record_is_merged_nowhere_and_found_by_the_check(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a", {"1": "one", "2": "two"})
    store.close()
    assert called(commands.check, tmp_path / "a").return_value == 0
    with sqlite3.connect(store.path) as database:
        database.execute("""UPDATE records SET body = '{"text":"won"}' WHERE key = '1'""")
    with pytest.raises(StoreError, match="did not arrive as it was made") as refused:
        merge([tmp_path / "a"], tmp_path / "c", lambda line: None)
    (path,) = (tmp_path / "a").glob("*.sqlite")
    assert refused.value.message.startswith(f"{path}: the record ")
    assert "store check" in str(refused.value)
    done = called(commands.check, tmp_path / "a")
    assert done.return_value == 1
    assert store.path.name in done.output.replace("\n", "")


@pytest.mark.parametrize(("damaged", "said"), [("a", "did not arrive as it was made"), ("b", "not as it was written")])
def test_a_record_that_is_damaged_on_one_side_is_not_there_already(tmp_path: Path, damaged: str, said: str) -> None:
    for name in "ab":
        store_of(tmp_path / name, {"1": "one", "2": "two"}).close()
    (path,) = (tmp_path / damaged).glob("*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE records SET body = replace(body, 'two', 'six')")
    database.close()
    with pytest.raises(StoreError, match=said) as told:
        merge([tmp_path / "a"], tmp_path / "b", lambda line: None)
    assert str(path) in told.value.message


def test_what_lies_there_is_listed(tmp_path: Path) -> None:
    store_of(tmp_path, {"1": "one", "2": "two"}).put_failure("3", "sample 3", "broke")
    (listed,) = json.loads(called(commands.ls, tmp_path, "--json").output)
    assert (listed["stage"], listed["made from"], listed["records"], listed["failures"]) == ("answer", "toy", 2, 1)
    assert listed["seconds"] == 2.0
    assert "answer" in called(commands.ls, tmp_path).output


def test_what_no_run_needs_is_pruned_when_asked(tmp_path: Path) -> None:
    stores = [store_of(tmp_path / "store", {"1": "one"}, stage) for stage in ("answer", "propose", "exchanges")]
    needed, other, paid = (store.path for store in stores)
    for store in stores:
        store.close()
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"stores": {"answer": [str(needed)]}}))
    assert other.name in called(commands.prune, tmp_path / "store", "--runs", tmp_path / "runs").output.replace(
        "\n", ""
    )
    assert other.exists()
    called(commands.prune, tmp_path / "store", "--runs", tmp_path / "runs", "--delete")
    assert (needed.exists(), other.exists(), paid.exists()) == (True, False, True)
    shutil.rmtree(run)
    with pytest.raises(StoreError, match="no run lies below"):
        raise called(commands.prune, tmp_path / "store", "--runs", tmp_path / "runs").exception  # type: ignore[misc]


def no_run_needs(folder: Path) -> tuple[Any, ...]:
    """A folder of runs of which none needs anything, and the command that prunes `folder/store` by it."""
    (folder / "runs" / "other").mkdir(parents=True)
    (folder / "runs" / "other" / "run.json").write_text(json.dumps({"stores": {}}))
    return commands.prune, folder / "store", "--runs", folder / "runs", "--delete"


KILLED = """
import os, sys
from pathlib import Path
from pixcore.stages.serialise import Entry
from pixcore.stages.store import StageStore

store = StageStore(Path(sys.argv[1]), "answer", {"seed": 0})
store.put("1", "sample 1", Entry({"text": "x" * 100}))
os._exit(9)
"""


def test_a_folder_that_no_run_uses_is_told(tmp_path: Path) -> None:
    asked = no_run_needs(tmp_path)
    store_of(tmp_path / "store", {"1": "one"}).close()
    listed = called(*asked[:-1]).output.replace("\n", "")
    assert f"no run below {tmp_path / 'runs'} uses {tmp_path / 'store'}" in listed


def test_a_full_disk_can_be_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # a module's would be cut short for good
    asked = no_run_needs(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "store"], check=False)
    assert {path.suffix for path in (tmp_path / "store").iterdir()} == {".sqlite", ".sqlite-wal", ".sqlite-shm"}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        done = called(*asked)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.exception is None
    assert not list((tmp_path / "store").iterdir())


def test_a_file_of_ones_own_beside_a_store_is_not_pruned(tmp_path: Path) -> None:
    asked = no_run_needs(tmp_path)
    store = store_of(tmp_path / "store", {"1": "one"})
    store.close()
    own = store.path.with_name(f"{store.path.name}-backup")
    own.write_bytes(store.path.read_bytes())
    notes = store.path.with_name("my-notes.sqlite")
    copied = store.path.with_name(store.path.name.replace(".sqlite", "-copied.sqlite"))
    notes.write_text("another program's")
    copied.write_bytes(store.path.read_bytes())
    assert f"removed: {store.path}" in called(*asked).output
    assert sorted((tmp_path / "store").iterdir()) == sorted([own, notes, copied])


def test_what_a_run_behind_a_link_needs_is_not_pruned(tmp_path: Path) -> None:
    stores = [store_of(tmp_path / "store", {"1": "one"}, stage) for stage in ("answer", "propose", "select")]
    needed, stopped, nobodys = (store.path for store in stores)
    for store in stores:
        store.close()
    for name in ("here", "disk/done", "disk/half"):
        (tmp_path / "runs" / name if name == "here" else tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs" / "here" / "run.json").write_text(json.dumps({"stores": {}}))
    (tmp_path / "disk" / "done" / "run.json").write_text(json.dumps({"stores": {"answer": [str(needed)]}}))
    (tmp_path / "disk" / "half" / ".begun.json").write_text(json.dumps({"began": "now", "stores": [str(stopped)]}))
    for name in ("large", "latest"):
        (tmp_path / "runs" / name).symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "circle").symlink_to(tmp_path / "runs")
    done = called(commands.prune, tmp_path / "store", "--runs", tmp_path / "runs", "--delete")
    assert "runs that need the rest: 2" in done.output
    assert (needed.exists(), stopped.exists(), nobodys.exists()) == (True, True, False)


def test_nothing_is_pruned_where_runs_can_not_be_looked_for(tmp_path: Path) -> None:
    store_of(tmp_path / "store", {"1": "one"}).close()
    with pytest.raises(StoreError, match=r"can't look into .*nowhere: No such file"):
        raise called(commands.prune, tmp_path / "store", "--runs", tmp_path / "nowhere").exception  # type: ignore[misc]


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "answer-0.sqlite").write_text("nothing")
    with pytest.raises(StoreError, match=r"can't read the stage store .*answer-0\.sqlite"):
        StoreFile.read(tmp_path / "answer-0.sqlite")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE records SET arrays = 7 WHERE key = '1'", "holds what no record does"),
        ("UPDATE exchanges SET document = '{'", "remembered under paid is not as it was written"),
        ("UPDATE exchanges SET document = replace(document, 'yes', 'yet')", "under paid is not as it was written"),
        ("UPDATE ingredients SET document = '[]'", "what it was made from is no object"),
        ("DROP TABLE spent", "no such table: spent"),
    ],
)
def test_what_no_version_wrote_is_one_line(tmp_path: Path, change: str, said: str) -> None:
    store = store_of(tmp_path / "a", {"1": "one"})
    store.remember("paid", {"said": "yes"})
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute(change)
    with pytest.raises(StoreError, match=said):
        merge([tmp_path / "a"], tmp_path / "c", lambda line: None)


def test_a_damaged_answer_of_a_service_is_told_and_no_other_is_given_up(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "a", "exchanges", {})
    for key in ("first", "second"):
        store.remember(key, {"said": "yes"})
    assert "answers of services 2, all as they were written" in called(commands.check, tmp_path / "a").output
    with sqlite3.connect(store.path) as database:
        database.execute("UPDATE exchanges SET document = replace(document, 'yes', 'yet') WHERE key = 'second'")
    done = called(commands.check, tmp_path / "a")
    assert done.return_value == 1
    assert "what was remembered under second is not as it was written" in done.output
    with pytest.raises(StoreError) as refused:
        merge([tmp_path / "a"], tmp_path / "c", lambda line: None)
    assert "asks for that answer anew" in refused.value.hint
    assert "move it away" not in refused.value.hint


def test_a_store_of_another_version_leaves_nothing_behind(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a", {"1": "one"})
    store.close()
    path = store.path
    path.rename(path.with_name("answer-00000000000000000000.sqlite"))
    with pytest.raises(StoreError, match="another version of pixcore"):
        merge([tmp_path / "a"], tmp_path / "c", lambda line: None)
    assert not (tmp_path / "c").exists()
    done = called(commands.check, tmp_path / "a")
    assert done.return_value == 1
    assert "was written by another version of pixcore, or renamed" in done.output


def test_nothing_is_merged_where_a_source_is_none(tmp_path: Path) -> None:
    store_of(tmp_path / "a", {"1": "one"})
    with pytest.raises(StoreError, match="nowhere holds no stage store"):
        merge([tmp_path / "a", tmp_path / "nowhere"], tmp_path / "c", lambda line: None)
    assert not (tmp_path / "c").exists()


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    for folder, said in (("a", "one"), ("[b]", "other")):
        store = StageStore(tmp_path / folder, "answer", INGREDIENTS)
        store.put("1", "[/red]", Entry({"text": said}))
    done = called(commands.merge, tmp_path / "a", tmp_path / "[b]", "-o", tmp_path / "c")
    assert done.exception is None
    assert "[b]" in done.output
    assert "another record of [/red] than" in done.output


def test_a_damaged_file_is_told_and_the_others_are_listed(tmp_path: Path) -> None:
    store_of(tmp_path, {"1": "one"})
    (tmp_path / "propose-0.sqlite").write_text("nothing")
    done = called(commands.ls, tmp_path)
    assert done.return_value == 1
    assert "answer" in done.output
    assert "file is not a database" in done.output


def test_a_file_that_a_run_is_at_work_on_is_not_pruned(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", {"1": "one"})
    (tmp_path / "runs" / "other").mkdir(parents=True)
    (tmp_path / "runs" / "other" / "run.json").write_text(json.dumps({"stores": {}}))
    asked = commands.prune, tmp_path / "store", "--runs", tmp_path / "runs", "--delete"
    assert "in use" in called(*asked).output
    assert store.get("1") is not None
    merge([tmp_path / "store"], tmp_path / "copy", lambda line: None)  # and may be merged meanwhile
    store.close()
    assert "removed" in called(*asked).output
    assert not list((tmp_path / "store").iterdir())


def test_what_a_stopped_run_needs_goes_when_it_is_given_up(tmp_path: Path) -> None:
    stores = [store_of(tmp_path / "store", {"1": "one"}, stage) for stage in ("answer", "propose", "select")]
    shared, own, nobodys = (store.path for store in stores)
    for store in stores:
        store.close()
    for name, document in {
        "done/run.json": {"stores": {"answer": [str(shared)]}},
        "half/.begun.json": {"began": "yesterday", "stores": [str(shared), str(own)]},
    }.items():
        (tmp_path / "runs" / name).parent.mkdir(parents=True)
        (tmp_path / "runs" / name).write_text(json.dumps(document))
    asked = commands.prune, tmp_path / "store", "--runs", tmp_path / "runs"
    told = called(*asked, "--delete").output
    assert f"half-way since yesterday: {tmp_path / 'runs' / 'half'}, 1 files that no other run needs, 0.0 MiB" in told
    assert (shared.exists(), own.exists(), nobodys.exists()) == (True, True, False)
    assert f"not needed: {own}, 0.0 MiB" in called(*asked, "--half-way").output
    assert own.exists()
    assert "given up" in called(*asked, "--half-way", "--delete").output
    assert (shared.exists(), own.exists()) == (True, False)
    assert "half-way" not in called(*asked).output


SMALL = {
    "benchmark": {"name": "toy-boxes", "pairs": 1},
    "selections": ["toy-first"],
    "control": None,
    "writers": [],
}


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (("run",), "out"),
        (("run", "--profile"), "out"),
        (("seeds", "--seed", "1"), "out/seed-1"),
        (("run", "--shard", "1/2"), "out"),
    ],
)
def test_a_run_that_is_stopped_has_noted_what_it_needs(
    workplace: Workplace, command: tuple[str, ...], output: str
) -> None:
    workplace.environment["PIXCORE_PLUGINS"] = "toy,store,progress,report,scoring"
    workplace.config(**SMALL, judge="toy-sulky-judge", on_error="stop")
    workplace(*command, "run.yaml", status=None)
    note = json.loads((workplace.folder / output / ".begun.json").read_text())
    there = {path.name for path in workplace.folder.glob("store*/*.sqlite")}
    assert {Path(path).name for path in note["stores"]} >= {name for name in there if not name.startswith("exchanges")}
    workplace.config(**SMALL)
    workplace(*command, "run.yaml")
    assert (workplace.folder / output / ".begun.json").exists() == ("--shard" in command), "parts are to be united"
    workplace(*[word for word in command if word not in ("--shard", "1/2")], "run.yaml")
    assert not (workplace.folder / output / ".begun.json").exists()


def test_a_run_that_is_begun_from_python_has_noted_what_it_needs(workplace: Workplace) -> None:
    workplace.environment["PIXCORE_PLUGINS"] = "toy,store"
    workplace.config(**SMALL, judge="toy-sulky-judge", on_error="stop")
    script = workplace.folder / "script.py"
    script.write_text("import pixcore\npixcore.run('run.yaml')\n")
    about: Any = {"cwd": workplace.folder, "env": workplace.environment, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, script], check=False, **about)
    assert "failed in stage judge" in done.stderr
    assert json.loads((workplace.folder / "out" / ".begun.json").read_text())["stores"]


@pytest.mark.parametrize("stage", ["propose", "answer"])  # the second under the very name that the other store has
def test_a_run_that_is_given_up_is_forgotten_where_its_store_is(tmp_path: Path, stage: str) -> None:
    here, elsewhere = store_of(tmp_path / "store", {"1": "one"}), store_of(tmp_path / "other", {"1": "one"}, stage)
    for store in (here, elsewhere):
        store.close()
    for name, document in {
        "done/run.json": {"stores": {"answer": [str(here.path)]}},
        "half/.begun.json": {"began": "yesterday", "stores": [str(elsewhere.path)]},
    }.items():
        (tmp_path / "runs" / name).parent.mkdir(parents=True)
        (tmp_path / "runs" / name).write_text(json.dumps(document))
    asked = "--runs", tmp_path / "runs", "--half-way", "--delete"
    assert "half-way since" not in called(commands.prune, tmp_path / "store", *asked).output
    assert (tmp_path / "runs" / "half" / ".begun.json").exists()
    assert "given up" in called(commands.prune, tmp_path / "other", *asked).output
    assert not (tmp_path / "runs" / "half" / ".begun.json").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", "[" * 100_000),
        (".begun.json", '{"began": "now", "stores": [5]}'),
        (".begun.json", '{"began": "now", "stores": "answer-0.sqlite"}'),
    ],
)
def test_nothing_is_pruned_where_a_run_does_not_say_what_it_needs(tmp_path: Path, name: str, text: str) -> None:
    store_of(tmp_path / "store", {"1": "one"}).close()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / name).write_text(text)
    with pytest.raises(StoreError, match=name):
        raise called(commands.prune, tmp_path / "store", "--runs", tmp_path / "runs").exception  # type: ignore[misc]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_can_not_be_written_is_read(tmp_path: Path) -> None:
    store_of(tmp_path / "a", {"1": "one"}).close()
    (tmp_path / "a").chmod(0o555)
    try:
        assert called(commands.check, tmp_path / "a").return_value == 0
        assert merge([tmp_path / "a"], tmp_path / "c", lambda line: None).records == 1
    finally:
        (tmp_path / "a").chmod(0o755)
