"""What the README shows works as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pixcore.config import resolve
from pixcore.plugins import registry
from tests.workplace import layered

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BIN = ".venv/bin/"
APART = 0.5
"""How far a number of the demo's table may be from the README's: on another processor 29 were, by up to 0.4."""

Run = Callable[[str], subprocess.CompletedProcess[str]]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_plugin_in_thirty_lines(workplace):
    """Installed the way pip would leave it: a package and its metadata on the path."""
    site = workplace.folder / "site"
    for code in blocks("python"):
        name = re.match(r"# (\S+\.py)", code)[1]
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(code)
    (toml,) = blocks("toml")
    metadata = site / "pixcore_compact-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pixcore-compact\nVersion: 0.1\n")
    entry = re.search(r"^compact = \"(.*)\"$", toml, flags=re.MULTILINE)[1]
    (metadata / "entry_points.txt").write_text(f"[pixcore]\ncompact = {entry}\n")
    workplace.environment["PYTHONPATH"] += f":{site}"
    workplace.environment["PIXCORE_PLUGINS"] = "toy,compact"
    workplace("run", str(workplace.config(selections=["toy-best", "compact"])))
    rows = {row["name"]: row["figures"]["M"]["value"] for row in workplace.summary()["rows"]}
    assert 0 < rows["compact"] <= rows["toy-best"]
    lines = "\n".join([toml, *blocks("python")]).splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 34


def test_the_config_names_what_is_installed():
    (text,) = blocks("yaml")
    resolved = resolve(yaml.safe_load(text), registry())
    assert resolved.components.one("model").name == "mini"


def test_the_card_of_mini_has_the_same_figures():
    card = (ROOT / "plugins/pixcore-mini/README.md").read_text()
    rows = dict(numbers(README.splitlines()))

    def told(row: str, column: int, value: str = "{}") -> str:
        return f"{value} ({{}}–{{}})".format(rows[row][column], *rows[row][5 + 2 * column : 7 + 2 * column])

    for row in ("oracle", "other-images points, oracle pick ◇", "random points, oracle pick ◇"):
        assert f"| {told(row, 3)} | {told(row, 2)} |" in card
    assert all(told("oracle", column, "**{} %**") in card for column in (0, 1))


def test_the_demo_is_a_config():
    assert resolve(yaml.safe_load((ROOT / "demo.yaml").read_text()), registry()).components["benchmark"] is not None


@pytest.fixture(scope="module")
def after_the_demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A clone as `make demo` leaves it, and a way to run there what the README prints."""
    folder = tmp_path_factory.mktemp("clone")
    environment = layered(folder / ".venv") | {"HF_HUB_OFFLINE": "1"}
    environment["PIXCORE_PLUGINS"] = ",".join(sorted(installed_by_the_demo()))
    shutil.copy(ROOT / "demo.yaml", folder)
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    (folder / "second.yaml").write_text(blocks("yaml")[0])
    Image.new("RGB", (64, 48), "teal").save(folder / "photo.jpg")

    def run(command: str) -> subprocess.CompletedProcess[str]:
        if command.startswith(f"{BIN}pip install"):  # what is installed now is no longer what make demo installs
            environment.pop("PIXCORE_PLUGINS", None)
        return subprocess.run(
            ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    done = run(f"COLUMNS=100 {BIN}pixcore run demo.yaml")
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    assert "Loading weights" not in done.stderr
    assert ".py:" not in done.stderr
    return run


def installed_by_the_demo() -> Iterator[str]:
    """The plugins of the packages that the Makefile names."""
    command = ["make", "-n", "-B", "demo"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for folder in re.findall(r"--editable (\S+)", made.stdout):
        about = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        yield from about.get("entry-points", {}).get("pixcore", {})


def printed() -> list[str]:
    """The commands that the README prints, without what it says of them."""
    lines = re.findall(rf"^    ({re.escape(BIN)}.*)$", README, flags=re.MULTILINE)
    return [line.partition("  #")[0].rstrip() for line in lines]


def numbers(lines: list[str]) -> Iterator[tuple[str, list[float]]]:
    """The rows of a table of figures, each with its figures and the ends of their intervals."""
    for line, below in pairwise(lines):
        found = re.fullmatch(r"(\S.*?)((?:\s{2,}▲?\d+\.\d){5})", line.rstrip())
        if found:
            ends = [float(end) for end in re.findall(r"\d+\.\d", below)]
            yield found[1], [float(value) for value in found[2].replace("▲", " ").split()] + ends


def less_controls() -> list[list[float]]:
    """By how much the README says that the oracle is ahead of both controls, with the ends of the intervals."""
    return [list(map(float, ends)) for ends in re.findall(r"by (\d+\.\d) \((\d+\.\d)–(\d+\.\d)\)", README)]


def test_the_table_is_what_the_demo_prints(after_the_demo: Run) -> None:
    (shown,) = re.findall(r"<!-- demo table -->\n```\n(.*?)```", README, flags=re.DOTALL)
    lines = shown.splitlines()
    made = after_the_demo("cat printed.txt").stdout.splitlines()[: len(lines)]
    expected, found = dict(numbers(lines)), dict(numbers(made))
    assert len(expected) == 9
    assert {len(values) for values in expected.values()} == {15}
    assert found.keys() == expected.keys()
    far = [
        (row, here, there)
        for row in expected
        for here, there in zip(found[row], expected[row], strict=True)
        if abs(here - there) > APART
    ]
    assert not far
    summary = json.loads(after_the_demo("cat runs/demo/summary.json").stdout)
    for told, row in zip(less_controls(), (one for one in summary["rows"] if "oracle pick" in one["key"]), strict=True):
        less = row["figures"]["M less control"]
        assert told == pytest.approx([less["value"], less["low"], less["high"]], abs=APART), row["key"]
    assert [line.split() for line in made[:4]] == [line.split() for line in lines[:4]]


@pytest.mark.long
def test_what_is_printed_works_as_printed(after_the_demo: Run) -> None:
    """One after the other; what needs more than the demo installs says what."""
    refused = {
        "ground photo.jpg": "llava-hf/llava-1.5-7b-hf",
        "benchmark=pixmmvp": "error: benchmark 'pixmmvp' is not installed: pip install pixcore-pixmmvp",
    }
    commands = printed()
    assert len(commands) >= 17
    for command in commands:
        done = after_the_demo(command)
        said = [message for words, message in refused.items() if words in command]
        assert done.returncode == (2 if said else 0), f"{command}\n{done.stdout}\n{done.stderr}"
        assert all(message in done.stderr for message in said), done.stderr
    assert "pixmmvp" in after_the_demo(f"{BIN}pixcore plugins benchmark").stdout
