"""A package of each kind is made, installed into a fresh environment, tested by its own tests, and used in a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from pixcore_testing.scaffold import KINDS, TEMPLATES, kind_called, new_package

from pixcore.errors import PluginError
from pixcore.plugins import Kind
from tools.kill_cluster import differs, records

ROOT = Path(__file__).parents[3]
NAMES = {kind: f"trial-{noun.split()[-1]}" if kind != "writer" else "trial-table" for kind, noun in KINDS.items()}
LONGEST, SHORTEST = "a-name-of-the-most-chars", "q"

CHECK = """
import sys
from pixcore.cli import main
for name in sys.argv[1:]:
    try:
        main(["check", name])
    except SystemExit as end:
        assert end.code == 0, name
"""
"""A program that checks one name after the other, as the command does: a process for each would take its time."""


class Environment:
    """A fresh environment beside the one that runs the tests, whose packages it sees, and every new package in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = {kind: new_package(kind, name, folder / "packages") for kind, name in NAMES.items()}
        made = folder / "environment"
        venv.create(made, with_pip=False, symlinks=True)
        self.python = made / "bin" / "python"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        here = [path for path in sys.path if path.endswith("site-packages")]
        lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in here)
        (made / "lib" / version / "site-packages" / "here.pth").write_text(lines)
        options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
        self("-m", "pip", "install", *options, *map(str, self.packages.values()))

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run Python in it, and give what it says."""
        kept = {key: value for key, value in os.environ.items() if key != "PIXCORE_PLUGINS"}
        done = subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=kept, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("new"))


def test_every_package_passes_its_own_tests(environment: Environment) -> None:
    said = environment("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "packages")
    assert "passed" in said
    assert "skipped" not in said


def test_every_package_keeps_the_contract_and_is_found(environment: Environment) -> None:
    said = environment("-c", CHECK, *NAMES.values())
    for name in NAMES.values():
        assert f"plugin {name!r} keeps the contract" in said
        assert f"command {name!r} keeps the contract" not in said, "it was checked by its name already"
        assert f"run writer {name!r} keeps the contract" not in said
    assert "error: " not in said


@pytest.fixture(scope="module")
def finished(environment: Environment) -> Path:
    """The folder of a run of nothing but new plugins."""
    config: dict[str, object] = {"control": None, "output": "out", "store": "store"}
    for kind in Kind:
        config |= dict.fromkeys(kind.sections, [NAMES[kind]] if kind.listed else NAMES[kind])
    config["writers"] = ["predictions", NAMES["writer"]]
    (environment.folder / "all.yaml").write_text(yaml.safe_dump(config))
    environment("-m", "pixcore", "run", "all.yaml")
    return environment.folder / "out"


def test_a_run_of_nothing_but_new_plugins(environment: Environment, finished: Path) -> None:
    folder = finished
    (row,) = json.loads((folder / "summary.json").read_text())["rows"]
    assert row["figures"]["M"]["value"] > 40, "the captioner looks at the square that it names"
    assert row["figures"]["A"]["value"] > 90, "and says its colour"
    lines = (folder / f"{NAMES['writer']}.csv").read_text().splitlines()
    noted = (folder / f"{NAMES['observer']}.jsonl").read_text().splitlines()
    assert len({line.partition(",")[0] for line in lines[1:]}) == 12
    assert len(noted) == 13
    said = environment("-m", "pixcore", NAMES["command"], "out")
    assert said == f"{row['figures']['M']['value']:6.2f}  {NAMES[Kind.SELECTIONS]}\n"


def test_a_new_executor_at_work_in_two_processes(environment: Environment, finished: Path) -> None:
    """Two parts of a run at once, each with the new executor, make the records of one process: each once, the same."""
    pytest.importorskip("pixcore_store")
    from pixcore_store.merging import merge

    places = [f"part-{number}" for number in (1, 2)]
    with ThreadPoolExecutor() as both:
        ways = [["--shard", f"{number}/2", "--set", f"output={place}"] for number, place in enumerate(places, 1)]
        list(both.map(lambda way: environment("-m", "pixcore", "run", "all.yaml", *way), ways))
    parts = [environment.folder / f"store-{number}-of-2" for number in (1, 2)]
    found = merge(parts, environment.folder / "merged", lambda line: None)
    assert (found.same, found.failures, found.conflicts) == (0, 0, [])
    alone = records(finished.parent / "store")
    assert found.records == sum(map(len, alone.values())) > 12
    assert differs(records(environment.folder / "merged"), alone) == ""


@pytest.mark.parametrize("name", [SHORTEST, LONGEST])
def test_every_package_is_clean(name: str, tmp_path: Path) -> None:
    for kind in KINDS:
        new_package(kind, name, tmp_path / kind)
    for command in (("check", "--quiet"), ("format", "--check", "--quiet")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_is_typed(environment: Environment) -> None:
    sources = [folder / "src" for folder in environment.packages.values()]
    modules = [option for source in sources for found in source.iterdir() for option in ("-p", found.name)]
    paths = os.pathsep.join([*map(str, sources), *filter(None, [os.environ.get("MYPYPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", *modules],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_package_holds(kind: str, tmp_path: Path) -> None:
    folder = new_package(kind, "blue-bird", tmp_path)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    inside = "src/pixcore_blue_bird"
    always = {"README.md", "LICENSE", "pyproject.toml", ".gitignore", ".github/workflows/tests.yml"}
    assert always | {f"{inside}/plugin.py", f"{inside}/py.typed", "tests/test_pixcore_blue_bird.py"} <= files
    assert ("run.yaml" in files) == (kind not in ("command", "observer"))
    for path in files:
        text = (folder / path).read_text(encoding="utf-8")
        assert "$" not in text.replace("${{ matrix.python }}", ""), path
    workflow = yaml.safe_load((folder / ".github/workflows/tests.yml").read_text())
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_a_package_requires_the_series_that_wrote_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixcore_testing.scaffold.__version__", "1.9.2", raising=False)
    about = tomllib.loads((new_package("points", "trial", tmp_path) / "pyproject.toml").read_text())["project"]
    required = [*about["dependencies"], *about["optional-dependencies"]["test"]]
    own = [one for one in required if one.startswith("pixcore")]
    assert own == ["pixcore>=1.9,<1.10", "pixcore-testing>=1.9,<1.10"]


def test_every_kind_has_a_template() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == {*KINDS, "package", "component"}


@pytest.mark.parametrize(
    ("word", "kind"),
    [("points", "points"), ("point-selector", "points"), ("selector", "points"), ("adapter", "model")],
)
def test_a_kind_goes_by_several_words(word: str, kind: str) -> None:
    assert kind_called(word) == kind


def test_an_unknown_kind() -> None:
    with pytest.raises(PluginError, match=r"no kind of plugin 'pionts' \(did you mean 'points'\?"):
        kind_called("pionts")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("points", "My_Points", "'My_Points' can't name a plugin"),
        ("points", "../points", "can't name a plugin"),
        ("points", "-points", "can't name a plugin"),
        ("points", "7-points", "can't name a plugin"),
        ("points", "", "can't name a plugin"),
        ("points", "p" * 25, "24 characters at most"),
        ("points", "none", "'none' is a word of YAML's or Python's own"),
        ("judge", "no", "'no' is a word of YAML's or Python's own"),
        ("points", "testing", "the name 'testing' is taken by pixcore-testing"),
        ("command", "run", "the name 'run' is taken by pixcore"),
        ("writer", "predictions", "the name 'predictions' is taken by pixcore"),
        ("points", "point-selector", "a class PointSelector would shadow pixcore's own PointSelector"),
    ],
)
def test_a_name_that_can_not_be_is_one_line(kind: str, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as refused:
        new_package(kind, name, tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "pixcore-corner" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(PluginError, match=r"pixcore-corner already \(choose another name"):
        new_package("points", "corner", tmp_path)
    assert [path.name for path in kept.parent.iterdir()] == ["mine.txt"]


def test_the_command(workplace) -> None:  # type: ignore[no-untyped-def]
    said = workplace("new", "selector", "corner", "--into", "made").stdout
    assert "wrote made/pixcore-corner, a point selector that works as it is" in said
    assert (
        "there is made/pixcore-corner already"
        in workplace("new", "points", "corner", "--into", "made", status=2).stderr
    )
    assert "no kind of plugin 'thing'" in workplace("new", "thing", "corner", status=2).stderr
