"""What an index of packages would get: wheels, what is in them, and a run in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tools.packages import ROOT, about, projects
from tools.wheels import build_all, build_one

PROJECTS = pytest.mark.parametrize("project", projects(), ids=lambda project: about(project)["name"])


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All wheels and sdists; processes of one test session build them once."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    target = shared / "dist"
    with FileLock(shared / "dist.lock"):
        if not target.is_dir():
            build_all(target)
    return target


def wheel_of(project: Path, dist: Path) -> zipfile.ZipFile:
    table = about(project)
    return zipfile.ZipFile(dist / f"{table['name'].replace('-', '_')}-{table['version']}-py3-none-any.whl")


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


@PROJECTS
def test_a_wheel_holds_the_module_and_nothing_else(project: Path, dist: Path) -> None:
    (source,) = tomllib.loads(project.read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    module = project.parent / source
    files = {path for path in module.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    wheel = wheel_of(project, dist)
    inside = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert inside == {path.relative_to(module.parent).as_posix() for path in files}
    assert f"{module.name}/py.typed" in inside
    assert not [name for name in inside if re.search(r"(^|/)(test_[^/]*\.py|conftest\.py)$", name)]
    licences = {Path(name).name: wheel.read(name) for name in wheel.namelist() if ".dist-info/licenses/" in name}
    assert licences == {name: (ROOT / name).read_bytes() for name in ("LICENSE", "NOTICE")}


def test_wheels_have_what_is_not_code(dist: Path) -> None:
    named = {
        "pixcore-mini": "pixcore_mini/weights/model.safetensors",
        "pixcore-mini-sam": "pixcore_mini_sam/weights/model.safetensors",
        "pixcore-mini-seg": "pixcore_mini_seg/weights/a-1/mini-seg.safetensors",
        "pixcore-notebook": "pixcore_notebook/templates/views.html",
        "pixcore-report": "pixcore_report/templates/report.html",
        "pixcore-annotate": "pixcore_annotate/page/page.html",
        "pixcore-explorer": "pixcore_explorer/page/app.js",
        "pixcore-openai": "pixcore_openai/prices.yaml",
        "pixcore-testing": "pixcore_testing/templates/package/.gitignore.tmpl",
    }
    for project in projects():
        if file := named.pop(about(project)["name"], None):
            assert file in wheel_of(project, dist).namelist()
    assert not named


@PROJECTS
def test_what_an_index_shows(project: Path, dist: Path) -> None:
    said = metadata_of(wheel_of(project, dist))
    assert (said["Author"], said["License-Expression"]) == ("pixcore developers", "Apache-2.0")
    assert said["Description-Content-Type"] == "text/markdown"
    links = re.findall(r"\]\(([^)]*)\)", said.get_payload())
    assert not [link for link in links if not link.startswith(("https://", "#"))]
    for link in links:  # each link into this repository is to something that is there
        inside = re.match(r"https://[^/]*/pixcore/pixcore/(?:(?:blob|tree)/)?main/([^#]*)", link)
        assert inside is None or (ROOT / inside[1]).exists(), link


def test_an_index_would_take_them(dist: Path) -> None:
    files = sorted(map(str, [*dist.glob("*.whl"), *dist.glob("*.tar.gz")]))
    assert len(files) == 2 * len(projects())
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_sources_give_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    """Whenever they were written, wherever they lie, whatever their owner lets others do."""
    package = ROOT / "plugins" / "pixcore-points"
    copy = shutil.copytree(package, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*"):
        os.utime(path, (1_500_000_000, 1_500_000_000))
        path.chmod(0o700 if path.is_dir() else 0o600)
    _, again = build_one(copy, tmp_path)
    assert again.read_bytes() == (dist / again.name).read_bytes()
    sdist, _ = build_one(package, tmp_path)
    assert sdist.read_bytes() == (dist / sdist.name).read_bytes()


class Environment:
    """A fresh environment that sees what others make, and nothing of pixcore but what is installed from wheels."""

    def __init__(self, folder: Path, dist: Path) -> None:
        self.folder = folder
        self.dist = dist
        venv.create(folder / "environment", with_pip=False, symlinks=True)
        self.bin = folder / "environment" / "bin"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = folder / "environment" / "lib" / version / "site-packages"
        for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for path in Path(site).iterdir():
                if "pixcore" not in path.name and path.name != "__pycache__":
                    (self.packages / path.name).symlink_to(path)

    def __call__(self, *command: str) -> str:
        """Run a command of the environment in a folder that is not the project's, and give what it says."""
        left_out = {"PYTHONPATH", "PIXCORE_PLUGINS", *(name for name in os.environ if name.startswith("PIP_"))}
        kept = {key: value for key, value in os.environ.items() if key not in left_out}
        done = subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder,
            env={**kept, "PIP_CONFIG_FILE": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, extra: str) -> None:
        """Install the core with an extra from the wheels alone; what others make has to be there, in the ranges."""
        options = ("--quiet", "--no-index", "--disable-pip-version-check", "--find-links", str(self.dist))
        core = next(self.dist.glob("pixcore-*.whl"))
        self("python", "-m", "pip", "install", *options, f"{core}[{extra}]")

    def installed(self) -> set[str]:
        """Name the packages of pixcore that are installed."""
        return {path.name.partition("-")[0].replace("_", "-") for path in self.packages.glob("pixcore*.dist-info")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, dist: Path) -> Environment:
    return Environment(tmp_path_factory.mktemp("wheels"), dist)


@pytest.mark.long
def test_the_demo_runs_from_wheels_alone(environment: Environment) -> None:
    """The extra `demo` is all that demo.yaml needs, in whichever folder it lies."""
    environment.install("demo")
    said = subprocess.run(
        ["make", "--silent", "--eval", "shown: ; @echo $(DEMO)", "shown"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {about(ROOT / folder / "pyproject.toml")["name"] for folder in said.stdout.split()}
    assert environment.installed() == listed, "the extra `demo`, and the Makefile's DEMO"
    shutil.copy(ROOT / "demo.yaml", environment.folder)
    environment("pixcore", "run", "demo.yaml", "--limit", "4")
    output = environment.folder / "runs" / "demo"
    rows = json.loads((output / "summary.json").read_text())["rows"]
    config = yaml.safe_load((ROOT / "demo.yaml").read_text())
    named = {one["label"] if isinstance(one, dict) else one for one in config["selections"]}
    assert named <= {row["label"] for row in rows}
    best = next(row for row in rows if row["name"] == "oracle")
    assert best["figures"]["M"]["value"] > 0
    assert (output / "report.html").is_file()
    assert (output / "predictions.jsonl").is_file()


@pytest.mark.long
def test_everything_installs_together_and_loads(environment: Environment) -> None:
    """The extra `all`: every package, each of its modules, each plugin, from its wheel."""
    environment.install("all")
    names = {about(project)["name"] for project in projects()}
    assert environment.installed() == names
    environment("python", "-m", "pip", "check")
    modules = sorted(name.replace("-", "_") for name in names)
    program = f"import importlib\nfor name in {modules}: print(importlib.import_module(name).__file__)"
    files = environment("python", "-c", program).splitlines()
    assert {Path(file).parent.parent for file in files} == {environment.packages}
    said = environment("pixcore", "plugins")
    assert "not loaded" not in said
    assert "mini-world" in said
