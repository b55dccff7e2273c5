"""What each package of the project says of itself, in one form for all, and no golden numbers in a wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pixcore.plugins import Kind, registry
from tools import packages, wheels

ROOT = packages.ROOT
PROJECTS = packages.projects()[1:]
ALL = pytest.mark.parametrize("path", packages.projects(), ids=lambda path: packages.about(path)["name"])
EXTRAS = {"standard", "demo", "transformers", "sam", "openai", "trackers", "docs", "all"}


def project(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {
        canonicalize_name(name): version for name, found, version in (one.partition("==") for one in lines) if found
    }


def test_every_package_is_looked_at():
    assert len(PROJECTS) >= 27
    assert len({project(path)["project"]["name"] for path in PROJECTS}) == len(PROJECTS)


@ALL
def test_a_package_says_what_all_say_and_what_only_it_can(path):
    """Authors, addresses, classifiers, the licence, the version, ranges; keywords, a README, its line in `all`."""
    lacks = packages.missing(path)
    assert not lacks, "\n".join(lacks)
    fix = f"{packages.about(path)['name']}: `python tools/packages.py` writes what is missing here"
    assert packages.written(path) == path.read_text(), fix
    for name in ("LICENSE", "NOTICE"):
        assert path.with_name(name).read_bytes() == (ROOT / name).read_bytes(), fix


@ALL
def test_every_requirement_has_both_bounds(path):
    for one in map(Requirement, packages.requirements(path)):
        if (one.name, path) != ("pixcore", packages.CORE):
            assert {spec.operator for spec in one.specifier} == {">=", "<"}, one
    own = [one for one in map(Requirement, packages.requirements(path)) if one.name.split("-")[0] == "pixcore"]
    assert path == packages.CORE or "pixcore" in {one.name for one in own}
    assert {str(one.specifier) for one in own} - {""} <= {"<0.2,>=0.1"}


def test_every_range_has_reasons_and_holds_what_the_tests_run_with():
    known, pinned = packages.bounds(), pins()
    required = {
        canonicalize_name(Requirement(line).name)
        for path in packages.projects()
        for line in packages.requirements(path)
    }
    assert set(known) == {name for name in required if name.split("-")[0] != "pixcore"}
    for name, entry in known.items():
        assert set(entry) in ({"range", "since"}, {"range", "since", "until"}), name
        assert all(entry.values()), name
        allowed = SpecifierSet(entry["range"])
        assert name not in pinned or pinned[name] in allowed, name
        above = Version(next(spec.version for spec in allowed if spec.operator == "<"))
        assert above.release in ((above.major,), (above.major, 0))
        if name in pinned and "until" not in entry:
            assert above.major == Version(pinned[name]).major + 1, f"{name}: not the next major version: say until when"
    pinless = set(known) - set(pinned)
    assert pinless <= {"mlflow", "pycocoevalcap", "timm", "torchvision", "trackio", "wandb"}, (
        "what the tests run with has its version in constraints.txt"
    )


def test_the_extras_of_the_core_are_those_of_the_pages():
    extras = packages.about(packages.CORE)["optional-dependencies"]
    assert set(extras) >= EXTRAS
    page = (ROOT / "docs" / "howto" / "install-plugins.md").read_text()
    listed = (ROOT / "requirements-docs.txt").read_text().splitlines()
    needed = {line.partition("#")[0].strip() for line in listed} - {""}
    named = (Requirement(line) for line in extras["docs"])
    assert {f"{one.name}[{','.join(one.extras)}]".removesuffix("[]") for one in named} == needed
    for name in extras:
        assert f'"pixcore[{name}]"' in page, f"the extra {name} has no line in docs/howto/install-plugins.md"


@pytest.mark.parametrize(
    ("tool", "given", "status"),
    [
        (packages, "--help", 0),
        (packages, "--versoin", 2),
        (packages, "0.x", 2),
        (wheels, "--help", 0),
        (wheels, "-x", 2),
    ],
)
def test_a_tool_that_is_asked_for_help_or_told_wrong_changes_nothing(
    tool, given, status, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    before = packages.CORE.read_bytes()
    with pytest.raises(SystemExit) as end:
        tool.main([given])
    assert end.value.code == status
    said = capsys.readouterr()
    assert (said.out if status == 0 else said.err).strip()
    assert not any(tmp_path.iterdir())
    assert packages.CORE.read_bytes() == before


def test_a_package_that_says_nothing_is_told_what_to_add(tmp_path):
    """What the author of a new package reads: its name, and each thing to write."""
    folder = tmp_path / "pixcore-new"
    (folder / "src" / "pixcore_new").mkdir(parents=True)
    bare = '[build-system]\nrequires = ["hatchling"]\n\n[project]\nname = "pixcore-new"\nversion = "7"\n'
    bare += 'description = "New"\nreadme = "README.md"\ndependencies = ["pixcore", "click>=8", "unheard-of"]\n'
    path = folder / "pyproject.toml"
    path.write_text(bare)
    said = "\n".join(packages.missing(path))
    for lack in (
        "description",
        "README.md",
        "keywords",
        "a table [unheard-of]",
        '"pixcore-new>=',
        "pixcore_new/py.typed",
    ):
        assert f"pixcore-new lacks {lack}" in said
    path.write_text(packages.written(path))
    assert '["hatchling>=1.27,<2"]' in path.read_text()
    about, core = packages.about(path), packages.about(packages.CORE)
    for word in ("license", "license-files", "requires-python", "authors", "classifiers", "urls", "version"):
        assert about[word] == core[word], word
    assert about["dependencies"][:2] == ["pixcore>=0.1,<0.2", f"click{packages.bounds()['click']['range']}"]
    assert packages.written(path) == path.read_text()


@pytest.mark.parametrize("path", [ROOT / "pyproject.toml", *PROJECTS], ids=lambda path: path.parent.name)
def test_no_wheel_holds_golden_or_recording_code(path):
    sources = project(path)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = [file for source in sources for file in (path.parent / source).rglob("*.py")]
    assert files
    assert not [file for file in files if file.stem.startswith(("goldens", "recording"))]
    assert not [file for file in files if "tests.goldens" in file.read_text()]
    assert "goldens" not in project(path)["project"].get("optional-dependencies", {})


def test_every_model_adapter_runs_the_common_suite():
    """`tests/adapters.py` holds what all of them must do; an adapter that no suite is run on is told here."""
    suites = [text for path in ROOT.glob("plugins/*/tests/*.py") if "AdapterSuite" in (text := path.read_text())]
    names = {one.name for one in registry().all(Kind.MODEL) if one.distribution.startswith("pixcore-")}
    assert len(names) >= 10
    assert not {name for name in names if not any(f'"{name}"' in text for text in suites)}
