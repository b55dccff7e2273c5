"""A run of which nothing has changed is shown as it was written; whatever changes is noticed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PILImage
from pixcore_datasets.data_files import there
from pixcore_store.heard import hearing, stamp

from tests.workplace import TOY, Workplace

SAID = "nothing has changed since these results were written"


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    """A workplace with a toy of its own that may be edited, and a benchmark that reads no file."""
    own = workplace.folder / "own"
    shutil.copytree(TOY, own)
    environment = workplace.environment
    environment["PYTHONPATH"] = environment["PYTHONPATH"].replace(str(TOY), str(own))
    environment["PIXCORE_PLUGINS"] = "toy,mini-world,store,table"
    workplace.config(benchmark={"name": "mini-world", "pairs": 2})
    return workplace


def edit(place: Workplace, name: str, text: str = "\n# edited\n") -> None:
    path = place.folder / name
    path.write_text((path.read_text() if path.exists() else "") + text)


def forget_a_record(place: Workplace) -> None:
    path = min((place.folder / "store").glob("judge-*.sqlite"))
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM records WHERE key = (SELECT key FROM records LIMIT 1)")
    database.close()


def install(place: Workplace) -> None:
    record = place.folder / "own" / "other-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")


CHANGES: dict[str, Callable[[Workplace], Any]] = {
    "a record is gone": forget_a_record,
    "an output is gone": lambda place: (place.folder / "out" / "predictions.jsonl").unlink(),
    "a plugin that only computes is edited": lambda place: edit(place, "own/toy_pixcore/components.py"),
    "a package is installed": install,
    "what was noted is damaged": lambda place: (place.folder / "out" / ".unchanged").write_text("{"),
}


def test_it_is_shown_alike_and_any_change_is_noticed(place: Workplace) -> None:
    first = place("run", "run.yaml")
    assert SAID not in first.stderr
    written = {path.name: path.stat().st_mtime_ns for path in (place.folder / "out").iterdir()}
    again = place("run", "run.yaml")
    assert SAID in again.stderr
    assert again.stdout == first.stdout
    assert written == {path.name: path.stat().st_mtime_ns for path in (place.folder / "out").iterdir()}
    for what, change in CHANGES.items():
        change(place)
        noticed = place("run", "run.yaml")
        assert SAID not in noticed.stderr, what
        assert noticed.stdout == first.stdout, what
    assert SAID not in place("run", "run.yaml", "--limit", "2").stderr, "another run"


def test_what_a_benchmark_reads_is_noticed_when_it_changes(place: Workplace) -> None:
    data = place.folder / "data"
    (data / "images").mkdir(parents=True)
    for name, value in (("a", 40), ("b", 90)):
        PILImage.new("L", (16, 12), value).save(data / "images" / f"{name}.png")
    (data / "samples.csv").write_text("id,image,expression\na,a.png,box\nb,b.png,box\n")
    place.environment["PIXCORE_PLUGINS"] = "toy,folder,store,table"
    place.config(benchmark={"name": "folder", "root": str(data)}, control=None, protocols=["segment"], writers=[])
    first = place("run", "run.yaml")
    assert "2 samples" in first.stdout
    assert SAID in place("run", "run.yaml").stderr
    PILImage.new("L", (16, 12), 50).save(data / "images" / "a.png")
    assert SAID not in place("run", "run.yaml").stderr
    assert SAID in place("run", "run.yaml").stderr
    before = (data / "samples.csv").stat()
    (data / "samples.csv").write_text("id,image,expression\na,a.png,box\nb,b.png,fox\n")
    os.utime(data / "samples.csv", ns=(before.st_atime_ns, before.st_mtime_ns))  # as who unpacks an archive sets it
    assert SAID not in place("run", "run.yaml").stderr


def test_code_that_is_edited_while_a_run_is_at_work_is_noticed(place: Workplace) -> None:
    place.config(benchmark={"name": "mini-world", "pairs": 1}, model={"name": "toy", "pause": 0.3}, batch_size=1)
    process = place.start("run", "run.yaml")
    while process.poll() is None and not list((place.folder / "store").glob("answer-*.sqlite")):
        time.sleep(0.01)
    time.sleep(0.1)
    edit(place, "own/toy_pixcore/components.py")
    process.communicate()
    assert process.returncode == 0
    assert SAID not in place("run", "run.yaml").stderr
    assert SAID in place("run", "run.yaml").stderr


def test_what_is_read_is_heard(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("id")
    (tmp_path / "pictures").mkdir()
    with hearing() as heard:
        (tmp_path / "table.csv").read_text()
        list((tmp_path / "pictures").iterdir())
        (tmp_path / "written.txt").write_text("")
        there(tmp_path / "other.csv")
        with pytest.raises(FileNotFoundError):
            (tmp_path / "missing" / "one.png").read_bytes()
    names = {"table.csv", "pictures", "other.csv", "missing", "missing/one.png"}
    assert {path for path in heard if path.startswith(str(tmp_path))} == {
        str(tmp_path),
        *(str(tmp_path / n) for n in names),
    }
    (tmp_path / "table.csv").read_text()
    assert str(tmp_path / "written.txt") not in heard


def test_what_is_written_while_others_are_read_is_known_as_it_was_read(tmp_path: Path) -> None:
    table, picture = tmp_path / "table.csv", tmp_path / "picture.png"
    for path in (table, picture):
        path.write_text("before")
    with hearing() as heard:
        table.read_text()
        table.write_text("edited since")  # of another size: clocks of file systems are coarse
        picture.read_text()
        table.read_text()
    assert heard[str(table)] != stamp(str(table))
    assert heard[str(picture)] == stamp(str(picture))


def test_what_reads_files_unheard_or_has_failed_is_worked_on_each_time(place: Workplace) -> None:
    place.config(benchmark={"name": "toy-boxes", "pairs": 1})
    place("run", "run.yaml")
    assert not (place.folder / "out" / ".unchanged").exists()
    place.config(benchmark={"name": "mini-world", "pairs": 1}, judge="toy-sulky-judge", on_error="record")
    assert "failed" in place("run", "run.yaml").stderr
    assert not (place.folder / "out" / ".unchanged").exists()
