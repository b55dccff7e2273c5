"""Decisions survive, can be undone, and merge; images of a benchmark come out."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from pixcore_annotate.journal import Journal, state_from_json
from pixcore_annotate.merge import export, merge
from pixcore_annotate.project import State, read_tasks, write_tasks
from pixcore_coco_referring.benchmark import CocoReferring
from pixcore_coco_referring.config import CocoReferringConfig

from pixcore import masks
from pixcore.cli import main
from pixcore.errors import DataError


def journal(folder: Path, name: str = "ann") -> Journal:
    return Journal(folder, name, read_tasks(folder))


def test_decisions_are_there_after_a_restart(folder: Path) -> None:
    first = journal(folder)
    assert first["item-0"] == State(expression="the door of house 0")
    first.decide("item-0", State(("23",), (), "the door", "done"))
    first.decide("item-1", State((), ((1.0, 2.0, 30.0, 2.0, 30.0, 40.0),), "a roof", "done"))
    again = journal(folder)
    assert again["item-0"] == first["item-0"]
    assert again["item-1"] == first["item-1"]


def test_undo_goes_back_one_by_one_even_after_a_restart(folder: Path) -> None:
    first = journal(folder)
    first.decide("item-0", State(("17",), (), "a", "open"))
    first.decide("item-0", State(("17", "23"), (), "b", "done"))
    first.decide("item-1", State((), (), "c", "absent"))
    assert first.undo() == "item-1"
    again = journal(folder)
    assert again["item-1"].status == "open"
    assert again["item-0"].expression == "b"
    assert again.undo() == "item-0"
    assert again["item-0"].expression == "a"
    assert [again.undo(), again.undo()] == ["item-0", None]
    assert journal(folder)["item-0"] == State(expression="the door of house 0")


def test_a_line_cut_short_is_dropped_and_work_goes_on(folder: Path) -> None:
    first = journal(folder)
    first.decide("item-0", State(("23",), (), "kept", "done"))
    whole = first.path.read_bytes()
    for cut in (1, 10, len(whole) - 1):
        first.path.write_bytes(whole + whole[:cut])
        again = journal(folder)
        assert again["item-0"].expression == "kept"
        again.decide("item-1", State((), (), "new", "absent"))
        assert journal(folder)["item-1"].expression == "new"
        first.path.write_bytes(whole)


@pytest.mark.skipif(os.name != "posix", reason="how large a file may grow is limited on POSIX alone")
@pytest.mark.parametrize("room", [1, 30])
def test_what_a_full_disk_cut_short_spoils_no_later_decision(
    folder: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr("sys.dont_write_bytecode", True)  # a module's would be cut short for good
    mine = journal(folder)
    mine.decide("item-0", State(("23",), (), "kept", "done"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (mine.path.stat().st_size + room, limits[1]))
    try:
        for _ in range(2):
            with pytest.raises(DataError, match="can't write"):
                mine.decide("item-1", State((), (), "lost", "absent"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    mine.decide("item-1", State((), (), "said again", "absent"))
    again = journal(folder)
    assert [again[name].expression for name in ("item-0", "item-1")] == ["kept", "said again"]
    assert again.undo() == "item-1"


def _work(folder: str, started: object) -> None:
    mine = journal(Path(folder))
    number = 0
    while True:
        mine.decide("item-0", State(("23",), (), f"expression {number}", "done"))
        print(number, flush=True, file=open(Path(folder) / "shown", "a"))  # noqa: SIM115 - what the page has shown
        number += 1


def test_a_kill_loses_nothing_that_was_shown(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_work, args=(str(folder), None))
    process.start()
    shown = folder / "shown"
    while not shown.exists() or shown.read_text().count("\n") < 5:
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    last = int(shown.read_text().split("\n")[-2])
    kept = int(journal(folder)["item-0"].expression.split()[1])
    assert kept in (last, last + 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "is not JSON"),
        ("[]", "is not a decision"),
        ('{"item": "other", "state": {}}', "unknown item 'other'"),
        ('{"item": "item-0", "state": {"keep": 5}}', "damaged state"),
    ],
)
def test_a_damaged_journal_names_its_line(folder: Path, line: str, message: str) -> None:
    (folder / "decisions-ann.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        journal(folder)


def test_what_the_page_sends_is_checked(folder: Path) -> None:
    item = read_tasks(folder)["item-0"]
    good = {"keep": ["23"], "polygons": [[-5, 10, 400, 10, 100, 300]], "expression": " door ", "status": "done"}
    state = state_from_json(good, item)
    assert state.polygons == ((0.0, 10.0, 200.0, 10.0, 100.0, 120.0),)
    assert state.expression == "door"
    for change in ({"keep": ["99"]}, {"polygons": [[1, 2, 3, 4]]}, {"status": "maybe"}, {"polygons": "x"}):
        with pytest.raises(DataError):
            state_from_json({**good, **change}, item)
    with pytest.raises(DataError, match="annotator's name"):
        journal(folder, "../evil")
    with pytest.raises(DataError, match="is there already"):
        write_tasks(folder, [])


def test_two_annotators_merge_with_their_conflicts_shown(folder: Path, tmp_path: Path) -> None:
    ann, ben = journal(folder, "ann"), journal(folder, "ben")
    ann.decide("item-0", State(("23",), (), "The door", "done"))
    ben.decide("item-0", State(("23",), (), "the door", "done"))
    ann.decide("item-1", State(("17",), (), "the house", "done"))
    ben.decide("item-1", State(("23",), (), "the house", "done"))
    ann.decide("item-2", State((), (), "the cat", "absent"))
    ben.decide("item-2", State(("17",), (), "the cat", "skipped"))
    merged = merge(folder)
    assert set(merged.states) == {"item-0", "item-2"}
    (conflict,) = merged.conflicts
    assert (conflict.item, set(conflict.said)) == ("item-1", {"ann", "ben"})
    assert conflict.about.startswith("mask (IoU 0.1")
    assert merge(folder, prefer="ben").states["item-1"].keep == ("23",)
    with pytest.raises(DataError, match="nobody called 'cyd'"):
        merge(folder, prefer="cyd")

    path = export(folder, merged.states, tmp_path / "benchmark")
    assert len(json.loads(path.read_text())["images"]) == 2
    samples = {one.id: one for one in CocoReferring(CocoReferringConfig(root=tmp_path / "benchmark")).samples()}
    assert set(samples) == {"item-0", "item-2"}
    assert samples["item-2"].absent
    assert samples["item-0"].expression == "The door"
    expected = np.zeros((120, 200), bool)
    expected[40:70, 50:80] = True
    np.testing.assert_array_equal(masks.decode(samples["item-0"].mask), expected)  # type: ignore[arg-type]
    assert samples["item-0"].image.pixels().shape == (120, 200, 3)


def test_done_with_nothing_is_no_decision_and_no_absent_object(folder: Path, tmp_path: Path) -> None:
    """An older page could leave such decisions."""
    journal(folder, "ann").decide("item-0", State((), (), "x", "done"))
    journal(folder, "ann").decide("item-1", State(("17",), (), "y", "done"))
    merged = merge(folder)
    assert (set(merged.states), set(merged.undecided)) == ({"item-1"}, {"item-0", "item-2"})


def test_looking_at_a_journal_changes_nothing(folder: Path) -> None:
    first = journal(folder)
    first.decide("item-0", State(("23",), (), "kept", "done"))
    half = first.path.read_bytes() + b'{"item": "item-'  # somebody is writing this very moment
    first.path.write_bytes(half)
    merge(folder)
    assert first.path.read_bytes() == half


def test_opposite_words_about_absence_are_a_conflict(folder: Path) -> None:
    journal(folder, "ann").decide("item-0", State((), (), "x", "absent"))
    journal(folder, "ben").decide("item-0", State(("17",), (), "x", "done"))
    (conflict,) = merge(folder).conflicts
    assert conflict.about == "absence"


def test_export_on_the_command_line_says_what_conflicts(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal(folder, "ann").decide("item-0", State(("17",), (), "x", "done"))
    journal(folder, "ben").decide("item-0", State(("23",), (), "x", "done"))
    journal(folder, "ben").decide("item-1", State(("23",), (), "y", "done"))
    with pytest.raises(SystemExit) as end:
        main(["annotate", str(folder), "--export", str(tmp_path / "out")])
    assert not end.value.code
    said = " ".join(capsys.readouterr().err.split())
    assert "conflict about item item-0, mask (IoU" in said
    assert "1 items; 1 undecided and 1 in conflict are left out" in said
    journal(folder, "cyd").decide("item-2", State(("23",), (), "z", "done"))
    with pytest.raises(SystemExit) as end:
        main(["annotate", str(folder), "--export", str(tmp_path / "out"), "--prefer", "cyd"])  # who has not decided it
    assert not end.value.code
    said = " ".join(capsys.readouterr().err.split())
    assert "2 items; 0 undecided and 1 in conflict are left out" in said
    with pytest.raises(SystemExit) as end:
        main(["annotate", str(tmp_path / "out")])
    assert end.value.code == 2
    assert "holds no tasks.json" in capsys.readouterr().err


def test_an_export_replaces_its_own_file_and_nobody_elses(folder: Path, tmp_path: Path) -> None:
    ann, target = journal(folder), tmp_path / "benchmark"
    ann.decide("item-0", State(("23",), (), "the door", "done"))
    path = export(folder, merge(folder).states, target)
    ann.decide("item-1", State((), (), "the roof", "absent"))
    export(folder, merge(folder).states, target)
    assert len(json.loads(path.read_text())["images"]) == 2
    other = tmp_path / "other"
    write_tasks(other, list(read_tasks(folder).values())[:1])
    for text in ('{"images": [], "annotations": []}', "[]", '{"images": ['):
        path.write_text(text)
        with pytest.raises(DataError, match=r"annotations\.json") as refused:
            export(folder, {}, target)
        assert "choose another folder" in str(refused.value)
        assert path.read_text() == text
    path.unlink()
    export(folder, merge(folder).states, target)
    with pytest.raises(DataError, match="was not made from this"):
        export(other, {}, target)


def test_decisions_of_the_server_before_are_there_though_it_ended_after_they_were_read(folder: Path) -> None:
    before = journal(folder)
    before.hold()
    before.decide("item-0", State(("23",), (), "the door", "done"))
    half = before.path.read_bytes()[:-9]
    before.path.write_bytes(half)  # while the server before writes
    after = journal(folder)
    before.path.write_bytes(b"")
    before.decide("item-0", State(("23",), (), "the door", "done"))
    before.decide("item-1", State((), (), "the roof", "absent"))
    before.release()
    after.hold()
    assert (after["item-0"].status, after.length) == ("done", 2)
    after.decide("item-2", State((), (), "the cat", "absent"))
    after.release()
    assert journal(folder).length == 3


def test_pictures_are_found_from_a_benchmark_behind_a_link(folder: Path, tmp_path: Path) -> None:
    journal(folder).decide("item-0", State(("23",), (), "the door", "done"))
    (tmp_path / "a" / "disk" / "elsewhere").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "disk" / "elsewhere")
    export(folder, merge(folder).states, tmp_path / "link" / "benchmark")
    (sample,) = CocoReferring(CocoReferringConfig(root=tmp_path / "link" / "benchmark")).samples()
    assert sample.image.pixels().shape == (120, 200, 3)


def test_a_target_that_is_a_file_is_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as end:
        main(["annotate", str(folder), "--export", str(tmp_path / "file")])
    assert end.value.code == 2
    assert "choose another folder" in capsys.readouterr().err


def test_a_folder_that_has_tasks_is_refused_before_anything_is_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["annotate", str(folder), "--instances", str(tmp_path / "nowhere.json")])
    assert end.value.code == 2
    assert "leave --objects and --instances out to go on" in capsys.readouterr().err


def test_who_has_no_login_is_somebody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)  # as of a container's user
    with pytest.raises(SystemExit):
        main(["annotate", str(folder), "--no-browser", "--review", "ann"])
    assert "nobody called 'ann' has decided anything" in capsys.readouterr().err


@pytest.mark.parametrize("ended", ["\n", "", "\r\n"])
def test_a_whole_last_line_counts_though_an_editor_left_its_end_out(folder: Path, ended: str) -> None:
    first = journal(folder)
    first.decide("item-0", State(("23",), (), "kept", "done"))
    first.decide("item-1", State((), (), "kept too", "absent"))
    first.path.write_bytes(first.path.read_bytes().removesuffix(b"\n") + ended.encode())
    again = journal(folder)
    assert again["item-1"].expression == "kept too"
    again.decide("item-2", State((), (), "new", "skipped"))
    last = journal(folder)
    assert [last[name].expression for name in ("item-0", "item-1", "item-2")] == ["kept", "kept too", "new"]
    assert [last.undo(), last.undo()] == ["item-2", "item-1"]
