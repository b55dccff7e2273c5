"""`--json` on every command that prints figures: one walk over all commands, and what some of them say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import pixcore
from pixcore.commands.run import json_option
from pixcore.errors import ConfigError
from pixcore.plugins import GuestKind, registry

NO_FIGURES = {
    "annotate": "a page",
    "benchmarks import-via": "writes a file",
    "benchmarks parse-objects": "writes a file",
    "app": "a page",
    "benchmarks fetch": "gets files",
    "benchmarks check": "says whether files are right",
    "view": "a page",
    "export": "writes files",
    "benchmarks export": "writes files",
    "store merge": "moves records",
    "store check": "says whether records are right",
    "store prune": "removes records",
    "new": "writes a package",
    "check": "says whether a plugin is right",
    "schema": "is JSON itself",
    "verify": "says whether a model is right",
}
"""The commands that have no `--json`, each with the reason."""


def test_every_command_that_prints_figures_gives_them_as_json() -> None:
    for guest in registry().guests(GuestKind.COMMAND):
        own = [option for option in guest.loaded.params if "--json" in option.opts]
        assert bool(own) != (guest.name in NO_FIGURES), f"{guest.name}: --json, or a line above that says why not"
        assert all(option.is_flag or option.help == OPTION.help for option in own), f"{guest.name}: one json_option"


OPTION = json_option(click.Command("any")).params[0]
"""What `--json` is where it names a file."""

CONFIG = {"benchmark": {"name": "mini-world", "pairs": 3}, "selections": ["oracle", "phrase-overlap"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("pixcore_mini", "pixcore_mini_world", "pixcore_statistics", "pixcore_services"):
        pytest.importorskip(package)
    work = tmp_path_factory.mktemp("json")
    for seed in (0, 1):
        pixcore.run(CONFIG, seed=seed, output=work / f"seed-{seed}", store=work / "store")
    image = pixcore.open_run(work / "seed-0").samples()[0].image
    image.pil().save(work / "scene.png")
    (work / "run.json").write_text(json.dumps({"model": "mini", "benchmark": "mini-world"}))
    return work


def said(*words: Any) -> Any:
    """What a command prints with `--json -`."""
    *command, last = words[0].split(" ")
    guest = registry().guest(GuestKind.COMMAND, " ".join([*command, last]))
    result = CliRunner().invoke(guest.loaded, [*map(str, words[1:]), "--json", "-"], catch_exceptions=False)
    return json.loads(result.stdout)


def test_what_they_say_is_what_the_table_says(folder: Path) -> None:
    runs = (folder / "seed-0", folder / "seed-1")
    assert said("compare", *runs)["rows"] == ["phrase-overlap", "phrase-overlap"]
    assert said("compare", *runs, runs[0])["samples"] == 6
    assert said("report", runs[0]) == json.loads((runs[0] / "summary.json").read_text("utf-8"))
    labels = [row["row"] for row in said("probing", runs[0])["rows"]]
    assert len(set(labels)) == len(labels) >= 2
    (group,) = said("power", "--clusters", 150)["groups"]
    assert group["n"] == 150
    assert group["by_spread"]["0.1"] == pytest.approx(100 * 0.1 / 150**0.5 * 2.8167, rel=5e-3)  # t, 80 % power, n = 150
    found = said("ground", folder / "scene.png", "the boat", "--model", "mini")
    assert found["text"]
    assert found["choice"]["outcome"] in ("chosen", "absent", "nothing")
    assert said("services estimate", folder / "run.json")["services"] == []
    (emergence,) = said("emergence", runs[0])["models"]
    assert emergence["samples"] == len(pixcore.open_run(runs[0]).samples())
    assert not (runs[0] / "emergence").exists()
    written = folder / "power.json"
    CliRunner().invoke(registry().guest(GuestKind.COMMAND, "power").loaded, ["--clusters", "9", "--json", str(written)])
    assert json.loads(written.read_text())["groups"][0]["n"] == 9
    with pytest.raises(click.BadParameter, match="is a directory"):  # told before anything is drawn
        OPTION.type_cast_value(click.Context(click.Command("any")), str(folder))


def test_s_as_in_tables_is_of_what_the_config_named(folder: Path) -> None:
    pixcore.run({**CONFIG, "s_of": ["A†", "M"]}, output=folder / "named", store=folder / "store")
    rows = json.loads((folder / "named" / "summary.json").read_text())["rows"]
    assert any(row["figures"]["M†"]["value"] > row["figures"]["M"]["value"] for row in rows), "the better is another"
    found = said("probing", folder / "named")["rows"]
    assert [one["chosen"] for one in found] == pytest.approx([row["figures"]["S"]["value"] for row in rows])


def test_a_run_says_what_its_folder_has(folder: Path) -> None:
    """Of a run that works, of one that is shown as it was written, and into a file beside the table."""
    config = folder / "small.json"
    small = {"model": "mini", "benchmark": {"name": "mini-world", "pairs": 1}, "selections": ["oracle"], "writers": []}
    config.write_text(json.dumps({**small, "output": str(folder / "small"), "store": str(folder / "small-store")}))
    first = said("run", config)
    assert first == json.loads((folder / "small" / "summary.json").read_text())
    assert first["samples"] == 2
    assert said("run", config) == first
    run = registry().guest(GuestKind.COMMAND, "run").loaded
    beside = CliRunner().invoke(run, [str(config), "--json", str(folder / "beside.json")], catch_exceptions=False)
    assert "oracle" in beside.stdout
    assert json.loads((folder / "beside.json").read_text()) == first
    profile = said("profile run", config)["profile"]
    kept = json.loads((folder / "small" / "run.json").read_text())["profile"]
    assert [(line["stage"], line["part"]) for line in profile] == [(line["stage"], line["part"]) for line in kept]
    assert said("services ask-anew", config) == json.loads((folder / "small" / "drift.json").read_text())
    with pytest.raises(ConfigError, match="no figures to write of a part"):
        said("run", config, "--shard", "1/2", "--set", f"output={folder / 'part'}")
    assert not (folder / "part").exists()
