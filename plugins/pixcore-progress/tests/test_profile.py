"""Where a run's time goes: every second once, and the same records as without looking."""

from __future__ import annotations

import io
import json
import time

import pytest
from pixcore_progress.profile import Profile, Spent

from pixcore.terminal import Console


def test_a_second_belongs_to_the_innermost_part_that_is_at_work() -> None:
    profile = Profile()

    def items():
        for number in range(2):
            with profile.part("store"):
                time.sleep(0.02)
            time.sleep(0.05)
            yield number

    started = time.perf_counter()
    with profile.part("own", "stage"):
        time.sleep(0.03)
        assert list(profile.timed("component", items)()) == [0, 1]
    whole = time.perf_counter() - started
    spent = {part: one.seconds for (stage, part), one in profile.spent.items() if stage == "stage"}
    assert 0.16 <= sum(spent.values()) <= whole
    assert (spent["store"] >= 0.04, spent["component"] >= 0.1, spent["own"] >= 0.03) == (True, True, True)
    assert [row["calls"] for row in profile.document() if row["part"] == "store"] == [2]


def test_what_waits_is_told_as_what_computes() -> None:
    """A judge behind a server takes the clock's time and hardly any of the processor's."""
    profile = Profile()
    profile.spent[("judge", "store")] = Spent(3, 5.0, 5.0)
    profile.spent[("judge", "judge remote")] = Spent(3, 95.0, 0.004)
    profile.spent[("judge", "nothing")] = Spent(3, 0.05, 0.004)
    written = io.StringIO()
    Console(file=written).print(profile.table())
    _, first, second = written.getvalue().splitlines()
    assert first.split() == ["judge", "judge", "remote", "3", "95.0", "95.0", "%", "0.0", "0"]
    assert second.split() == ["store", "3", "5.0", "5.0", "%", "5.0", "0"]


def test_a_profiled_run_has_the_same_records_and_says_who_took_what(workplace) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",progress"
    done = workplace("run", str(workplace.config()), "--profile")
    assert "mask generator toy-squares" in done.stdout
    rows = json.loads((workplace.folder / "out" / "run.json").read_text())["profile"]
    parts = {(row["stage"], row["part"]): row for row in rows}
    for place in (
        ("answer", "model adapter toy"),
        ("propose", "mask generator toy-squares"),
        ("propose", "store"),
        ("results", "scoring"),
        ("results", "writer report"),
    ):
        assert parts[place]["calls"] > 0
    again = workplace("run", str(workplace.config()))
    assert "propose: 12 of 12 there already" in again.stderr
    assert "profile" not in json.loads((workplace.folder / "out" / "run.json").read_text())


def test_what_other_processes_do_is_not_looked_into(workplace) -> None:
    pytest.importorskip("pixcore_ray")
    workplace.environment["PIXCORE_PLUGINS"] += ",progress,ray"
    workplace.config(executor="processes")
    done = workplace("run", "run.yaml", "--profile", status=2)
    assert "the executor 'processes' may work in others (--executor local)" in done.stderr
    assert "mask generator toy-squares" in workplace("run", "run.yaml", "--profile", "--executor", "local").stdout


def test_a_writer_that_fails_costs_no_other_its_file(workplace) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",progress"
    workplace.config(writers=["toy-broken", "predictions"])
    done = workplace("run", "run.yaml", "--profile", status=1)
    assert "run writer 'toy-broken' failed: run writer 'toy-broken' can't be imported" in done.stderr
    assert len(workplace.predictions()) == 18
    assert "mask generator toy-squares" in done.stdout


def test_a_profile_is_of_one_run(workplace) -> None:
    workplace.environment["PIXCORE_PLUGINS"] += ",progress"
    workplace.config(seeds=[1, 2])
    done = workplace("run", "run.yaml", "--profile", status=2)
    assert "a profile is of one run, and the config has the seeds 1, 2 (--set 'seeds=[]'" in done.stderr
