"""A third party never takes the place of what the project's own packages offer, whenever and however it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pixcore.plugins import registry
from tools.shipped import TABLE, table

HEAD = "from pixcore import hookimpl\n\n\n"
HOOKS = {
    "judge": "register_judges",
    "model": "register_model_adapters",
    "command": "register_commands",
    "writer": "register_run_writers",
}
PACKAGES = "judges,mini,report,scoring,testing"

Install = Callable[..., None]


def offering(kind: str, *names: str, marker: str = "hookimpl", more: str = "") -> str:
    """A plugin's code that claims names of one kind."""
    claims = "".join(f"    register({name!r}, 'pathlib:Path', summary='Mine.'{more})\n" for name in names)
    wraps = "    yield\n" if "wrapper" in marker else ""
    return f"@{marker}\ndef {HOOKS[kind]}(register):\n{claims}{wraps}\n\n"


@pytest.fixture
def install(workplace: Any) -> Install:
    """Install a third party's distribution: its module and the metadata that pip would leave, first on the path."""

    def install(distribution: str, code: str, entry: str, target: str = "") -> None:
        site = workplace.folder / distribution
        record = site / f"{distribution}-1.0.dist-info"
        record.mkdir(parents=True)
        (site / f"{distribution}_plugin.py").write_text(HEAD + code)
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text(f"[pixcore]\n{entry} = {target or f'{distribution}_plugin'}\n")
        environment = workplace.environment
        environment["PYTHONPATH"] = os.pathsep.join([str(site), environment["PYTHONPATH"]])
        environment["PIXCORE_PLUGINS"] = ",".join([*PACKAGES.split(","), *([entry] if entry not in PACKAGES else [])])

    return install


def offered(workplace: Any) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Who offers what, and a line for each failure."""
    said = json.loads(workplace("plugins", "--json").stdout)
    everything = [*said["components"], *said["commands"], *said["writers"]]
    whose = {(one["kind"], one["name"]): one["distribution"] for one in everything}
    return whose, [f"{one['plugin']} of {one['distribution']}: {one['error']}" for one in said["failures"]]


@pytest.fixture
def before(workplace: Any) -> dict[tuple[str, str], str]:
    """What is offered without any third party."""
    workplace.environment["PIXCORE_PLUGINS"] = PACKAGES
    whose, failures = offered(workplace)
    assert not failures
    assert whose["command", "score"] == "pixcore-scoring"
    return whose


@pytest.mark.parametrize("marker", ["hookimpl", "hookimpl(tryfirst=True)", "hookimpl(wrapper=True)"])
@pytest.mark.parametrize("entry", ["aaa", "zzz"])
def test_names_of_ours_stay_ours(
    workplace: Any, before: dict[tuple[str, str], str], install: Install, entry: str, marker: str
) -> None:
    claims = [
        ("judge", ["exact-match", "greedy-judge"]),
        ("model", ["mini"]),
        ("command", ["run", "plugins", "score", "greedy"]),
        ("writer", ["predictions", "report"]),
    ]
    install("greedy", "".join(offering(kind, *names, marker=marker) for kind, names in claims), entry)
    whose, failures = offered(workplace)
    assert whose == before | {("judge", "greedy-judge"): "greedy", ("command", "greedy"): "greedy"}
    assert len(failures) == 7
    assert all(line.startswith(f"{entry} of greedy: the ") and "not of greedy" in line for line in failures)
    assert any("the judge 'exact-match' is that of pixcore-judges" in line for line in failures)
    assert any("the command 'run' is that of pixcore," in line for line in failures)
    assert "Usage: pixcore score" in workplace("score", "--help").stdout


def test_no_command_of_ours_becomes_a_group(
    workplace: Any, before: dict[tuple[str, str], str], install: Install
) -> None:
    install("greedy", offering("command", "run fast", "score all", "tidy up"), "aaa")
    whose, failures = offered(workplace)
    assert whose == before | {("command", "tidy up"): "greedy"}
    assert len(failures) == 2
    assert "Usage: pixcore run [OPTIONS] CONFIG" in workplace("run", "--help").stdout


@pytest.mark.parametrize(
    ("entry", "target", "expected"),
    [
        ("mini", "", "mini of greedy: PluginError: the plugin 'mini' of pixcore-mini stands in its place"),
        ("pixcore", "", "pixcore of greedy: PluginError: the plugin 'pixcore' of pixcore stands in its place"),
        ("aaa", "pixcore_mini.plugin", "aaa of greedy: PluginError: the plugin 'mini' of pixcore-mini stands in its"),
        ("aaa", "pixcore.commands.own", "aaa of greedy: PluginError: the plugin 'pixcore' of pixcore stands in its"),
    ],
)
def test_an_entry_point_of_ours_stays_ours(
    workplace: Any, before: dict[tuple[str, str], str], install: Install, entry: str, target: str, expected: str
) -> None:
    install("greedy", offering("judge", "greedy-judge"), entry, target)
    whose, (failure,) = offered(workplace)
    assert whose == before
    assert failure.startswith(expected)
    assert "names are one namespace" in failure


def test_two_third_parties_with_one_entry_point_are_told_apart(workplace: Any, install: Install) -> None:
    install("first", offering("judge", "a"), "same")
    install("second", offering("judge", "b"), "same")
    _, (failure,) = offered(workplace)
    assert failure.startswith("same of second: ") or failure.startswith("same of first: ")
    assert "stands in its place" in failure


def test_a_default_of_ours_stays_the_default(workplace: Any, install: Install) -> None:
    """Where a config says nothing, and nobody asked for the third party's."""
    install("greedy", offering("judge", "greedy-judge", more=", default=True"), "aaa")
    document = {"benchmark": None, "model": "mini", "selections": [], "control": None, "protocols": ["question"]}
    script = (
        "from pixcore.config import resolve; from pixcore.plugins import registry\n"
        f"print(resolve({document!r}, registry()).components.one('judge').name)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=workplace.environment, capture_output=True, text=True, check=True)
    assert done.stdout == "exact-match\n"


@pytest.mark.parametrize(
    ("command", "what", "package"),
    [
        (["score", "x.jsonl"], "command 'score'", "scoring"),
        (["run", "run.yaml", "--set", "benchmark=pixmmvp"], "benchmark 'pixmmvp'", "pixmmvp"),
        (["run", "run.yaml", "--set", "writers=[report]"], "run writer 'report'", "report"),
        (["run", "run.yaml", "--estimate"], "command 'services estimate'", "services"),
        (["store", "ls"], "command 'store'", "store"),
        (["benchmarks", "check", "folder"], "command 'benchmarks'", "datasets"),
    ],
)
def test_what_is_not_installed_names_its_package(workplace: Any, command: list[str], what: str, package: str) -> None:
    workplace.config()
    workplace.environment["PIXCORE_PLUGINS"] = "toy"
    said = workplace(*command, status=2).stderr
    assert f"{what} is not installed: pip install pixcore-{package}, and name it in PIXCORE_PLUGINS\n" in said


def test_a_plugin_that_is_not_installed_names_its_package(workplace: Any) -> None:
    program = "import pixcore.plugins as p; p.entry_points = lambda broken: []; from pixcore.cli import main; main()"
    environment = workplace.environment | {"PIXCORE_PLUGINS": "sam"}
    command = [sys.executable, "-c", program, "plugins"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == "error: PIXCORE_PLUGINS names 'sam', which is not installed (pip install pixcore-sam)\n"


def test_the_table_of_what_ships_is_of_these_packages() -> None:
    if registry().failures:
        pytest.skip(f"not every plugin loads here: {registry().failures[0].error}")
    assert TABLE.read_text(encoding="utf-8") == table(), "python -m tools.shipped writes it anew"
