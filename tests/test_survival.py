"""Kill a run at any instant and start it again: nothing is lost but the sample in flight, nothing is done twice."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import kills

HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


def records(store: Path) -> dict[str, dict[str, tuple]]:
    """Everything that the stage stores hold, file by file, except when it was written."""
    found = {}
    for path in sorted(store.glob("*.sqlite")):
        with sqlite3.connect(path) as database:
            rows = database.execute("SELECT key, sample_id, body, arrays, error FROM records").fetchall()
        found[path.name] = {row[0]: row[1:] for row in rows}
    return found


@pytest.mark.parametrize("most", [4, pytest.param(20, marks=pytest.mark.long)])
def test_kills_at_random_instants_end_like_an_undisturbed_run(workplace, most):
    """SIGKILL at random instants, until the run has ended and beyond."""
    log = workplace.folder / "answered.log"
    model = {"name": "toy", "pause": 0.005, "log": str(log)}
    benchmark = {"name": "toy-boxes", "pairs": 40}
    config = workplace.config(model=model, benchmark=benchmark, batch_size=1)
    rng = random.Random(20261123)
    kills = finished = 0
    while kills < most:
        process = workplace.start("run", str(config))
        deadline = time.monotonic() + 600
        before = _written(workplace.folder / "store")
        # the instants are counted from the first record on, or start-up would eat most of them
        while process.poll() is None and _written(workplace.folder / "store") == before:
            assert time.monotonic() < deadline, "the run makes no records"
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.12))
        process.send_signal(signal.SIGKILL)
        kills += 1
        if process.wait() == 0:
            finished += 1
        process.stdout.close()
        process.stderr.close()
    interrupted = workplace("run", str(config))
    assert "240/240" in interrupted.stderr or "there already" in interrupted.stderr

    answered = Counter(line for line in log.read_text().splitlines())
    assert len(answered) == 240
    assert sum(answered.values()) <= 240 + kills, "a kill may cost the sample in flight, and no other"

    undisturbed = workplace.config(model=model, benchmark=benchmark, batch_size=1, store="fresh", output="calm")
    workplace("run", str(undisturbed))
    assert records(workplace.folder / "store") == records(workplace.folder / "fresh")
    assert workplace.predictions("out") == workplace.predictions("calm")
    assert workplace.summary("out") == workplace.summary("calm")


@pytest.mark.parametrize(
    "outputs",
    [pytest.param(("out0", "out1"), marks=pytest.mark.long), ("out0", "out0")],
    ids=["two folders", "one folder"],
)
def test_two_processes_on_one_store(workplace, outputs):
    model, benchmark = {"name": "toy", "pause": 0.01}, {"name": "toy-boxes", "pairs": 15}
    config = workplace.config(model=model, benchmark=benchmark)
    both = [workplace.start("run", str(config), "--set", f"output={output}") for output in outputs]
    for process in both:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    workplace("run", str(workplace.config(model=model, benchmark=benchmark, store="fresh", output="calm")))
    assert records(workplace.folder / "store") == records(workplace.folder / "fresh"), "none is lost, none twice"
    for output in outputs:
        assert workplace.predictions(output) == workplace.predictions("calm")
        assert workplace.summary(output) == workplace.summary("calm")


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.long)])
def test_a_kill_at_any_moment_leaves_whole_files_and_the_next_run_ends_as_if_there_had_been_none(tmp_path, times):
    """Files being written, put in place and removed; half of one is cleared by the next run."""
    moments = list(kills.campaign(tmp_path, times=times, seed=20261128))
    assert [one for one in moments if one[1] is not None] == []
    assert sum(moment > 0 for moment, _ in moments) == times


def test_a_store_is_readable_while_it_is_written(workplace):
    config = workplace.config(model={"name": "toy", "pause": 0.05}, benchmark={"name": "toy-boxes", "pairs": 15})
    process = workplace.start("run", str(config))
    while _written(workplace.folder / "store") == 0:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)  # in the middle, whatever it is doing
    kept = _written(workplace.folder / "store")
    process.send_signal(signal.SIGCONT)
    process.communicate()
    assert process.returncode == 0
    assert 0 < kept < _written(workplace.folder / "store")


def test_ctrl_c_says_how_to_go_on(workplace):
    config = workplace.config(model={"name": "toy", "pause": 0.2})
    process = workplace.start("run", str(config))
    while _written(workplace.folder / "store") == 0:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "the same command goes on" in errors
    assert "Traceback" not in errors
    workplace("run", str(config))


def test_ctrl_c_gives_a_terminal_its_cursor_back(workplace):
    workplace.environment["PIXCORE_PLUGINS"] += ",progress"
    config = workplace.config(model={"name": "toy", "pause": 0.2})
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pixcore", "run", str(config)],
        cwd=workplace.folder,
        env={**workplace.environment, "TERM": "xterm"},
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while HIDE_CURSOR not in shown:
        shown += os.read(leader, 4096)
    while _written(workplace.folder / "store") == 0:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # how a terminal ends
        while more := os.read(leader, 4096):
            shown += more
    os.close(leader)
    assert process.wait(timeout=300) == 130
    assert shown.rfind(SHOW_CURSOR) > shown.rfind(HIDE_CURSOR)


def test_shards_have_stores_of_their_own_that_are_merged(workplace):
    workplace.environment["PIXCORE_PLUGINS"] += ",store"
    log = workplace.folder / "answered.log"
    config = workplace.config(model={"name": "toy", "log": str(log)}, benchmark={"name": "toy-boxes", "pairs": 5})
    assert "0 of 0 there" in workplace("run", str(config), "--limit", "1", "--shard", "3/3").stderr  # none is left
    for shard in ("1/3", "2/3", "3/3"):
        assert "store-1-of-3" in workplace("run", str(config), "--shard", shard).stderr or shard != "1/3"
    assert len(log.read_text().splitlines()) == 30
    assert not (workplace.folder / "out" / "summary.json").exists()
    assert not (workplace.folder / "store").exists()
    workplace("store", "merge", *(f"store-{part}-of-3" for part in (1, 2, 3)), "-o", "store")
    workplace("run", str(config))
    assert len(log.read_text().splitlines()) == 30
    assert workplace.summary()["samples"] == 10


def _written(store: Path) -> int:
    total = 0
    for path in store.glob("*.sqlite"):
        try:
            with sqlite3.connect(path, timeout=10) as database:
                total += database.execute("SELECT COUNT(*) FROM records").fetchone()[0]
        except sqlite3.OperationalError:
            continue  # not yet created
    return total
